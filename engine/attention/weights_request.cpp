#include "engine/attention/weights_request.hpp"

#include <array>
#include <string>

#include "engine/attention/check_arguments.hpp"
#include "engine/attention/sequences.hpp"
#include "engine/tensor/memory_range.hpp"
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

template <class T, std::size_t Rank>
MemoryRange check_result(const char* name, const TensorView<T, Rank>& view, std::int64_t batch, std::int64_t heads) {
    if (!view.data) return {};
    check_extent(name, view, 0, batch, "the number of sequences");
    check_extent(name, view, 1, heads, "the heads asked for");
    check_unit_stride(name, view);
    const ElementRange range = checked_range(name, view);
    check_no_self_overlap(name, view);
    return memory_range(view, range);
}

template <class T, std::size_t Rank>
void check_keys(const char* name, const TensorView<T, Rank>& view, std::int64_t keys) {
    if (view.data && view.extent[Rank - 1] < keys)
        throw Error(std::string(name) + ".extent[" + std::to_string(Rank - 1) + "] is " + std::to_string(view.extent[Rank - 1]) +
                    ", expected at least " + std::to_string(keys) + ": the keys of the longest sequence");
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
    check_choice("request.heads", request.heads, shape.num_heads);
    check_choice("request.queries", request.queries, shape.query_length);
}

void check_weights(const AttentionShape& shape, const AttentionOptions& options, const AttentionArguments& a,
                   const CheckedKeys& checked, const ChosenRows& chosen, const AttentionWeights& results) {
    std::int64_t keys = 0;
    for (std::int64_t b = 0; b < shape.batch; ++b) keys = std::max(keys, sequence_at(a, b).keys);
    const std::array<Written, 4> written{
        {{"weights", check_result("weights", results.weights, shape.batch, chosen.heads())},
         {"top_weights", check_result("top_weights", results.top_weights, shape.batch, chosen.heads())},
         {"top_keys", check_result("top_keys", results.top_keys, shape.batch, chosen.heads())},
         {"key_means", check_result("key_means", results.key_means, shape.batch, chosen.heads())}}};
    const auto check_queries = [&](const char* name, const auto& view) {
        if (view.data) check_extent(name, view, 2, chosen.queries(), "the queries asked for");
    };
    check_queries("weights", results.weights);
    check_queries("top_weights", results.top_weights);
    check_queries("top_keys", results.top_keys);
    check_top(results);
    check_keys("weights", results.weights, keys);
    check_keys("key_means", results.key_means, keys);
    const MemoryRange sums = a.log_sum_exp.data ? check_log_sum_exp(a) : MemoryRange{};
    for (std::size_t i = 0; i < written.size(); ++i) {
        check_apart(written[i].name, written[i].memory, "query", memory_range(a.query, checked.query));
        check_apart(written[i].name, written[i].memory, "key", memory_range(a.key, checked.key));
        check_apart(written[i].name, written[i].memory, "log_sum_exp", sums);
        for (std::size_t j = 0; j < i; ++j) check_apart(written[i].name, written[i].memory, written[j].name, written[j].memory);
    }
    check_inputs(shape, options, a, written);
}

}  // namespace headwise
