#pragma once

#include "headwise/export.hpp"
#include "headwise/tensor.hpp"

namespace headwise {

/// Combines two partial attention results over disjoint sets of keys: out [batch, heads, length, value_dim] normalised, log_sum_exp
/// [batch, heads, length] as AttentionArguments has it. -Inf marks a row that has seen no key; its out does not matter. So does
/// +Inf, as FlashAttention writes it: no finite logits come to that. A row that neither side has seen a key of is 0 and -Inf.
///
/// The result is attention over the union of the keys, up to rounding; associative; a row of which one side has seen nothing is the
/// other side's, bit for bit. out and log_sum_exp may be those of a or of b (same data and strides) or overlap nothing. A sink
/// takes part once: give it to one of the calls. Strides as in AttentionArguments. Thread-safe. Throws Error before anything is
/// written.
struct AttentionState {
    TensorView<const float, 4> out{};
    TensorView<const float, 3> log_sum_exp{};
};
HEADWISE_API void merge_states(const AttentionState& a, const AttentionState& b, const TensorView<float, 4>& out,
                               const TensorView<float, 3>& log_sum_exp);

}  // namespace headwise
