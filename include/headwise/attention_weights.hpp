#pragma once

#include <cstdint>
#include <span>

#include "headwise/attention.hpp"
#include "headwise/export.hpp"
#include "headwise/tensor.hpp"

namespace headwise {

/// The query heads, and the queries of each sequence, whose weights to compute. Both lists ascend without repeats; an empty list
/// means all.
struct AttentionWeightsRequest {
    std::span<const std::int32_t> heads{};
    std::span<const std::int32_t> queries{};
};

/// Where attention_weights() writes its results. A view with data == nullptr is not written. The second extent is the number of
/// requested heads, the third the number of requested queries (without a request: of the longest sequence). Any strides, the last
/// one 1. If a sequence has no such query or key, its weight is 0 and its key -1.
struct AttentionWeights {
    TensorView<float, 4> weights{};  ///< [batch, heads, queries, at least the keys of the longest sequence]
    /// [batch, heads, queries, k]: the k largest weights above 0 in descending order (of equal ones, the lower key first), and
    /// their keys. Pass both or neither.
    TensorView<float, 4> top_weights{};
    TensorView<std::int32_t, 4> top_keys{};
    TensorView<float, 3> key_means{};  ///< [batch, heads, keys as in weights]: the mean over the requested queries that exist
};

/// Computes the weight that the softmax of attention(arguments, options) gives to each key. arguments.value and arguments.out are
/// ignored. A sink takes its share of the sum but is not listed.
///
/// Without arguments.log_sum_exp (data null) the keys are swept twice. The weights of a row then sum to 1 within 1e-5 for any
/// number of keys and any finite logits (below 2.36e38, see AttentionArguments); with a sink, to 1 minus the sink's share, up to
/// the rounding of the logits. With arguments.log_sum_exp one sweep is enough. The weights are then e^(logit - log_sum_exp) for any
/// log_sum_exp you pass, for example one merged over several key sets. A log_sum_exp that run() wrote is rounded to f32, so weights
/// are off by a factor of up to 1 + |log_sum_exp| * 2^-24: 4e-6 at 64 and 6 % at 1e6. Weights below 2^-100 are 0.
///
/// Only the buffers in `results` grow with the product of two lengths. With only the largest weights or key_means, a sweep takes
/// about half as long as a run.
///
/// Scratch memory comes from the library's pool. For key_means it holds workers * (query heads per key/value head) *
/// key_means.extent[2] floats, for at most as many workers as the batch has key/value heads. Thread-safe. The same bits for any
/// number of threads and any batch. Throws Error before anything is written.
HEADWISE_API void attention_weights(const AttentionArguments& arguments, const AttentionOptions& options,
                                    const AttentionWeightsRequest& request, const AttentionWeights& results);

}  // namespace headwise
