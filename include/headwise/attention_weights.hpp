#pragma once

#include <cstdint>
#include <span>

#include "headwise/attention.hpp"
#include "headwise/export.hpp"
#include "headwise/tensor.hpp"

namespace headwise {

/// Whose weights: of these query heads and these queries of each sequence, both ascending and without repeats; empty: of all.
struct AttentionWeightsRequest {
    std::span<const std::int32_t> heads{};
    std::span<const std::int32_t> queries{};
};

/// What "does it look at" comes to; what has data == nullptr is not written. The second extent counts the heads asked for, the
/// third the queries asked for (all: those of the plan's longest sequence), any strides, the last one 1. Where a sequence has no
/// such query or key, weights are 0 and keys -1.
struct AttentionWeights {
    TensorView<float, 4> weights{};  ///< [batch, heads, queries, at least the keys of the longest sequence]
    /// [batch, heads, queries, k]: the k largest weights that are above 0, in falling order (equal ones: the lower key first), and
    /// their keys: both or neither.
    TensorView<float, 4> top_weights{};
    TensorView<std::int32_t, 4> top_keys{};
    TensorView<float, 3> key_means{};  ///< [batch, heads, keys as in weights]: the mean over the queries asked for that there are
};

/// What the softmax of attention(arguments, options) gives each key. arguments.value and out do not matter. A sink takes its part
/// of the sum and is not listed.
///
/// Without arguments.log_sum_exp (data null) the keys are swept twice, and the weights of a row sum to 1 within 1e-5 for any finite
/// logits (AttentionArguments: of less than 2.36e38) and any number of keys; with a sink, to 1 minus the sink's share, up to the
/// rounding of the logits. With it, one sweep is enough, and the weights are e^(logit - log_sum_exp) for any log_sum_exp you pass,
/// for example one merged over several key sets. A log_sum_exp that run() wrote is rounded to f32: weights are then off by a factor
/// of up to 1 + |log_sum_exp| * 2^-24, 4e-6 at 64 and 6 % at 1e6. Weights below 2^-100 are 0.
///
/// No buffer but those of `results` grows with a length times a length. With the largest weights or key_means alone a sweep costs
/// about half a run.
///
/// Scratch comes from the library's pool. For key_means it holds workers * (query heads per key/value head) * key_means.extent[2]
/// floats, for at most as many workers as there are key/value heads in the batch. Thread-safe. The same bits for any number of
/// threads and any batch. Throws Error before anything is written.
HEADWISE_API void attention_weights(const AttentionArguments& arguments, const AttentionOptions& options,
                                    const AttentionWeightsRequest& request, const AttentionWeights& results);

}  // namespace headwise
