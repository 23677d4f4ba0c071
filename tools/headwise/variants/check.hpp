#pragma once

#include "measure/accuracy.hpp"
#include "variants/workload.hpp"

namespace headwise::tools {

/// How far what a call left is from the naive loops, on rows of some heads of some sequences, the first and the last among them.
/// "out" is what the call is for: of attention_weights() the weights.
struct VariantAccuracy {
    Accuracy out, log_sum_exp;  ///< the second of no rows where the call gives none

    bool wrong() const;
};

/// Compares what the last run of the call left with the reference, to which the rules of the call are given as they are; a
/// call with a score function, RoPE or query lengths is not provided for.
VariantAccuracy check_call(const VariantCall& call);

}  // namespace headwise::tools
