#pragma once

#include "headwise/export.hpp"
#include "headwise/tensor.hpp"

namespace headwise {

/// A partial attention result over some of the keys: out [batch, heads, length, value_dim], normalised, and log_sum_exp [batch,
/// heads, length] as in AttentionArguments. -Inf or +Inf marks a row that has seen no key; its out is ignored. (FlashAttention
/// writes +Inf, which finite logits never give.)
struct AttentionState {
    TensorView<const float, 4> out{};
    TensorView<const float, 3> log_sum_exp{};
};

/// Combines two partial attention results over disjoint sets of keys. The result is attention over all of these keys, up to
/// rounding. Merging is associative. If only one side has seen a key, the row is that side's, bit for bit. If neither has, the row
/// is 0 and -Inf.
///
/// out and log_sum_exp may be the views of a or of b (same data and strides); otherwise they overlap nothing. Pass a sink to only
/// one of the calls, so that it counts once. Strides as in AttentionArguments. Thread-safe. Throws Error before anything is
/// written.
HEADWISE_API void merge_states(const AttentionState& a, const AttentionState& b, const TensorView<float, 4>& out,
                               const TensorView<float, 3>& log_sum_exp);

}  // namespace headwise
