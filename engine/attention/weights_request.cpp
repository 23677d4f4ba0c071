#include "engine/attention/weights_request.hpp"

#include <array>
#include <string>

#include "engine/contract/check_numbers.hpp"
#include "engine/contract/check_shape.hpp"
#include "engine/contract/sequences.hpp"
#include "engine/tensor/view_check.hpp"
#include "headwise/error.hpp"

namespace headwise {
namespace {

void check_choice(const char* name, std::span<const std::int32_t> choice, std::int64_t count) {
    std::int64_t least = 0;
    for (std::size_t i = 0; i < choice.size(); ++i) {
        if (choice[i] < least || choice[i] >= count)
            throw Error(std::string(name) + "[" + std::to_string(i) + "] is " + std::to_string(choice[i]) +
                        ": expected ascending numbers below " + std::to_string(count));
        least = std::int64_t{choice[i]} + 1;
    }
}

/// A result that is asked for; its last extent is checked where it is known.
CheckedView checked_result(const char* name, const AnyTensor& view, const AttentionShape& shape, const ChosenRows& chosen,
                           bool has_queries) {
    check_extent(name, view, 0, shape.batch, "the number of sequences");
    check_extent(name, view, 1, chosen.heads(), "the heads asked for");
    if (has_queries) check_extent(name, view, 2, chosen.queries(), "the queries asked for");
    check_unit_stride(name, view);
    return checked_view(name, view);
}

void check_keys(const char* name, const AnyTensor& view, std::int64_t keys) {
    const std::size_t last = view.rank - 1;
    if (view.data && view.extent[last] < keys)
        throw Error(at((std::string(name) + ".extent").c_str(), static_cast<std::int64_t>(last)) + " is " +
                    std::to_string(view.extent[last]) + ", expected at least " + std::to_string(keys) +
                    ": the keys of the longest sequence");
}

void check_top(const AttentionWeights& results) {
    if (!results.top_weights.data && !results.top_keys.data) return;
    if (!results.top_weights.data || !results.top_keys.data)
        throw Error(std::string(results.top_weights.data ? "top_keys" : "top_weights") + ".data is null: the two go together");
    check_extent("top_keys", results.top_keys, 3, results.top_weights.extent[3], "top_weights.extent[3], the number of keys");
    if (results.top_weights.extent[3] < 1 || results.top_weights.extent[3] > kMaxLength)
        throw Error("top_weights.extent[3] is " + std::to_string(results.top_weights.extent[3]) + ": expected 1 to " +
                    std::to_string(kMaxLength) + " keys");
}

}  // namespace

ChosenRows::ChosenRows(const AttentionShape& shape, const AttentionWeightsRequest& request) : shape_(shape), request_(request) {
    checked_view("request.heads", request.heads);
    checked_view("request.queries", request.queries);
    check_choice("request.heads", request.heads, shape.num_heads);
    check_choice("request.queries", request.queries, shape.query_length);
}

void check_weights(const AttentionShape& shape, const AttentionOptions& options, const CallTensors& tensors,
                   const AttentionArguments& a, const ChosenRows& chosen, const AttentionWeights& results) {
    std::array<CheckedView, 4> written;
    std::size_t count = 0;
    const auto add = [&](const char* name, const AnyTensor& view, bool has_queries) {
        if (view.data) written[count++] = checked_result(name, view, shape, chosen, has_queries);
    };
    add("weights", results.weights, true);
    add("top_weights", results.top_weights, true);
    add("top_keys", results.top_keys, true);
    add("key_means", results.key_means, false);
    const CheckedView read[] = {checked_view("request.heads", chosen.request().heads),
                                checked_view("request.queries", chosen.request().queries)};
    for (const CheckedView& result : std::span(written).first(count))
        for (const CheckedView& array : read) check_apart(result, array);
    check_top(results);
    check_call(shape, options, tensors, a, std::span(written).first(count));
    std::int64_t keys = 0;
    for (std::int64_t b = 0; b < shape.batch; ++b) keys = std::max(keys, sequence_at(a, b).keys);
    check_keys("weights", results.weights, keys);
    check_keys("key_means", results.key_means, keys);
}

}  // namespace headwise
