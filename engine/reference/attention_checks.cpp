#include <algorithm>
#include <limits>
#include <string>

#include "engine/contract/check_arguments.hpp"
#include "engine/contract/check_shape.hpp"
#include "engine/reference/checks.hpp"
#include "engine/reference/sequences.hpp"
#include "engine/tensor/view_check.hpp"
#include "headwise/error.hpp"

namespace headwise::reference {
namespace {

/// The engine's checks, but that rows may have any stride and any dimension, and that each sequence may have keys of its own where
/// the engine would read those that sequences share.
void check_call(const CallTensors& tensors, const AttentionOptions& options, AttentionArguments rules,
                std::span<const CheckedView> results = {}) {
    const auto known = [](const AnyTensor& view, auto& argument) {
        std::copy_n(view.extent.begin(), view.rank, argument.extent.begin());
    };
    known(tensors.query, rules.query);
    known(tensors.key, rules.key);
    rules.shared_keys = 0;
    const AttentionShape shape = shape_of(tensors, rules);
    check_shape(shape, options, ShapeNames::of_views(), std::numeric_limits<std::int64_t>::max());
    headwise::check_call(shape, options, tensors, rules, results, Rows::any_stride);
    if (rules.score_function.apply && !rules.score_function.apply_one)
        throw Error("score_function.apply_one is null: the reference calls it for each pair");
}

}  // namespace

template <class T>
void check_attention(const TensorView<const T, 4>& query, const TensorView<const T, 4>& key, const TensorView<const T, 4>& value,
                     const TensorView<T, 4>& out, const AttentionOptions& options, const AttentionArguments& rules,
                     const TensorView<T, 3>& log_sum_exp) {
    CallTensors tensors{query, key, value, out, {}};
    if (log_sum_exp.data) tensors.log_sum_exp = log_sum_exp;
    check_call(tensors, options, rules);
}

template <class T>
void check_attention_weights(const TensorView<const T, 4>& query, const TensorView<const T, 4>& key,
                             const TensorView<T, 4>& weights, const AttentionOptions& options, const AttentionArguments& rules) {
    check_extent("weights", weights, 0, query.extent[0], "the batch of query");
    check_extent("weights", weights, 1, query.extent[1], "the heads of query");
    check_extent("weights", weights, 2, query.extent[2], "the length of query");
    const CheckedView results[] = {checked_view("weights", weights)};
    check_call({query, key, {}, {}, {}}, options, rules, results);
    const std::int64_t keys = Sequences(query.extent, key.extent, options, rules).most_keys();
    if (weights.extent[3] < keys)
        throw Error("weights.extent[3] is " + std::to_string(weights.extent[3]) + ": expected at least " + std::to_string(keys) +
                    ", the most keys of a sequence");
}

// One list of the two types that the reference exists for.
#define HEADWISE_INSTANTIATE(T)                                                                                                  \
    template void check_attention(const TensorView<const T, 4>&, const TensorView<const T, 4>&, const TensorView<const T, 4>&,   \
                                  const TensorView<T, 4>&, const AttentionOptions&, const AttentionArguments&,                   \
                                  const TensorView<T, 3>&);                                                                      \
    template void check_attention_weights(const TensorView<const T, 4>&, const TensorView<const T, 4>&, const TensorView<T, 4>&, \
                                          const AttentionOptions&, const AttentionArguments&);
HEADWISE_INSTANTIATE(float)
HEADWISE_INSTANTIATE(double)
#undef HEADWISE_INSTANTIATE

}  // namespace headwise::reference
