#include <fmt/format.h>

#include <array>

#include "cases/shape_json.hpp"
#include "measure/machine_report.hpp"
#include "text/csv_field.hpp"
#include "text/json_text.hpp"
#include "variants/report.hpp"

namespace headwise::tools {
namespace {

const char* figure_name(Figure figure) {
    static constexpr std::array<const char*, 5> kNames{"extra_time", "flop_rate", "speedup", "bandwidth", "thread_speedup"};
    return kNames[static_cast<std::size_t>(figure)];
}

const char* yardstick_unit(Figure figure) {
    return figure == Figure::bandwidth ? "GB/s" : "GF/s";
}

nlohmann::ordered_json variant_json(const VariantResult& result) {
    using Object = nlohmann::ordered_json;
    const VariantEntry& entry = result.entry;
    const auto or_null = [](const auto& value) { return value ? Object(*value) : Object(nullptr); };
    const auto if_measured = [&](auto value) { return result.measured() ? Object(value) : Object(nullptr); };
    const Quartiles q = result.measured() ? result.value() : Quartiles{};
    return {{"case", entry.base},
            {"shape", shape_json(entry.shape, entry.causal)},
            {"variant", entry.name},
            {"threads", result.threads},
            {"figure", figure_name(entry.figure)},
            {"value", if_measured(q.median)},
            {"value_quartiles", if_measured(std::array{q.low, q.median, q.high})},
            {"goal", or_null(result.goal())},
            {"met", or_null(result.met())},
            {"seconds", if_measured(result.measurement.seconds.median)},
            {"gflops", if_measured(result.gflops())},
            {"yardstick", if_measured(result.yardstick())},
            {"yardstick_unit", yardstick_unit(entry.figure)},
            {"rounds", result.measurement.rounds},
            {"calls_per_round", result.measurement.calls_per_round},
            {"wrong", result.accuracy.wrong()},
            {"max_abs_error", result.accuracy.out.engine_error},
            {"naive_max_abs_error", result.accuracy.out.naive_error},
            {"checked_rows", result.accuracy.out.rows}};
}

}  // namespace

std::string variants_json(const VariantComparison& comparison) {
    nlohmann::ordered_json json{{"schema", "headwise.compare-variants/1"},
                                {"machine", machine_json(comparison)},
                                {"results", nlohmann::ordered_json::array()}};
    for (const VariantResult& result : comparison.results) json["results"].push_back(variant_json(result));
    return json_text(json, 2);
}

std::string variants_csv(const VariantComparison& comparison) {
    std::string text =
        "case,variant,threads,figure,value,goal,met,seconds,gflops,yardstick,yardstick_unit,wrong,max_abs_error,naive_max_abs_"
        "error\n";
    for (const VariantResult& result : comparison.results) {
        const auto if_measured = [&](double value) { return result.measured() ? fmt::format("{}", value) : std::string(); };
        const auto goal = result.goal();
        const auto met = result.met();
        text += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n", csv_field(result.entry.base),
                            csv_field(result.entry.name), result.threads, figure_name(result.entry.figure),
                            if_measured(result.value().median), goal ? fmt::format("{}", *goal) : "",
                            met ? fmt::format("{}", *met) : "", if_measured(result.measurement.seconds.median),
                            if_measured(result.gflops()), if_measured(result.yardstick()), yardstick_unit(result.entry.figure),
                            result.accuracy.wrong(), result.accuracy.out.engine_error, result.accuracy.out.naive_error);
    }
    return text;
}

}  // namespace headwise::tools
