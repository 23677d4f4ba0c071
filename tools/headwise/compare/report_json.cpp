#include <fmt/format.h>

#include <array>

#include "cases/shape_json.hpp"
#include "compare/report.hpp"
#include "measure/machine_report.hpp"
#include "text/json_text.hpp"

namespace headwise::tools {
namespace {

using Json = nlohmann::ordered_json;

struct ShapeJson {
    Json operator()(const AttentionCase& c) const {
        Json json = shape_json(c.shape, c.causal);
        json["layout"] = layout_name(c.layout);
        if (c.scale) json["scale"] = *c.scale;
        return json;
    }
    Json operator()(const MatmulCase& c) const { return {{"batch", c.batch}, {"m", c.m}, {"n", c.n}, {"k", c.k}}; }
    Json operator()(const LayerCase& c) const {
        return {{"b", c.batch},
                {"s", c.length},
                {"model", c.model_dim},
                {"heads", c.num_heads},
                {"kv_heads", c.num_kv_heads},
                {"causal", causal_name(c.causal)}};
    }
};

Json quartiles_json(const Quartiles& q) {
    return {q.low, q.median, q.high};
}

Json optional_json(const std::optional<double>& value) {
    return value ? Json(*value) : Json(nullptr);
}

Json result_json(const CaseResult& result) {
    static constexpr std::array<const char*, 2> kBounds{"multiply-add", "reading"};
    const Accuracy& accuracy = result.accuracy;
    const Measurement& m = result.measurement;
    const bool reads = result.bound == Bound::reading;
    const auto if_checked = [&](double value) { return result.checked() ? Json(value) : Json(nullptr); };
    return {{"case", result.name},
            {"op", case_op(result.sizes)},
            {"shape", std::visit(ShapeJson{}, result.sizes)},
            {"threads", result.threads},
            {"seconds", m.seconds.median},
            {"gflops", result.gflops()},
            {"peak_fraction", reads ? Json(nullptr) : Json(m.fraction.median)},
            {"bandwidth_fraction", reads ? Json(m.fraction.median) : Json(nullptr)},
            {"naive_gflops", if_checked(accuracy.naive_gflops)},
            {"speedup", if_checked(result.speedup())},
            {"max_abs_error", if_checked(accuracy.engine_error)},
            {"naive_max_abs_error", if_checked(accuracy.naive_error)},
            {"arguments", result.random_input ? Json("--case " + case_text(result.sizes)) : Json(nullptr)},
            {"bound", kBounds[static_cast<std::size_t>(result.bound)]},
            {"flops", result.flops},
            {"read_bytes", result.read_bytes},
            {"read_gbs", result.read_gigabytes()},
            {"seconds_quartiles", quartiles_json(m.seconds)},
            {"fraction_quartiles", quartiles_json(m.fraction)},
            {reads ? "read_bandwidth_gbs" : "fma_peak_gflops", m.yardstick},
            {"rounds", m.rounds},
            {"calls_per_round", m.calls_per_round},
            {"checked_rows", accuracy.rows},
            {"total_rows", accuracy.total_rows},
            {"max_abs_result", if_checked(accuracy.largest)},
            {"model_max_abs_error", optional_json(accuracy.engine_to_model)},
            {"naive_model_max_abs_error", optional_json(accuracy.naive_to_model)}};
}

}  // namespace

std::string comparison_json(const Comparison& comparison) {
    Json json{{"schema", "headwise.compare/1"}, {"machine", machine_json(comparison)}, {"results", Json::array()}};
    for (const CaseResult& result : comparison.results) json["results"].push_back(result_json(result));
    return json_text(json, 2);
}

}  // namespace headwise::tools
