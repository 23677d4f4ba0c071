#pragma once

#include "headwise/attention.hpp"
#include "tests/support/strided_tensor.hpp"

namespace headwise::test {

/// What one call of attention gives in exact arithmetic (here f64), and the most that each element of an f32 result may be off.
/// This holds for every single call. It is wide, since every rounding counts in full and in the worst direction.
///
/// Notation: u = 2^-24, D = head_dim. A row sees n keys j with exact logits s_j, weights p_j = exp(s_j) / sum_i exp(s_i), values
/// v_j and A_j = |scale| sum_d |query_d key_jd|.
///
/// Logits. The computed logit of key j, with the rounding of its exponential, is off by at most
///
///     e_j = u ((D + 4) A_j + 2 (max_i s_i - s_j) + 16)
///
/// With RoPE: D + 12, and A_j takes the length of a pair for either of its elements. Rules carry the error of the score on to the
/// logit and add their own: softcap 10 u |logit|; a score function 4 u (|score| + |logit|); a bias or ALiBi term x
/// u (2 |x| + |s_j|). A sink is one more key, with value 0 and A = 0.
///
/// Sums over keys round each term at most K = min(n, 480) + 16 times (to 50 million keys).
///
/// Results. With c_j = p_j (exp(e_j) - 1) / sum_i p_i exp(-e_i), to first order in K u,
///
///     |out_d - exact_d|      <=  sum_j c_j |v_jd - exact_d|  +  2 K u sum_j p_j |v_jd|  +  (n + 2) 2^-149
///     |log_sum_exp - exact|  <=  log(sum_j p_j exp(e_j))  +  K u  +  2 u |exact|
///
/// Short form, from E = max_j e_j and V = max_j |v_j|: |out - exact| <= (exp(2 E) - 1 + 2 K u) V + (n + 2) 2^-149.
///
/// Large logits have large e. Two refinements keep the bound useful there. A shift common to all logits changes nothing, so e_j
/// may be replaced by e_j + e_r, and e_r by 0, for any one key r: a key that leads by more than both errors takes all the weight.
/// And however large e is, out is a weighted mean of the values that may have weight.
///
/// Infinite, which is no promise, where a score times log2(e), or 2^8 n V, reaches 2^127, or where a seen number is not finite.
struct AttentionErrorBound {
    /// query, key, value and whatever else of `arguments` there is are read; out and log_sum_exp give extents.
    AttentionErrorBound(const AttentionOptions& options, const AttentionArguments& arguments);

    PlainTensor<double> exact, bound;               ///< [as out]
    PlainTensor<double> exact_sums, bound_of_sums;  ///< [batch, heads, queries, 1]: of log_sum_exp
};

}  // namespace headwise::test
