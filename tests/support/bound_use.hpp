#pragma once

#include <string>

#include "tests/support/attention_error_bound.hpp"

namespace headwise::test {

/// How close results come to their bounds.
struct BoundUse {
    double out = 0, log_sum_exp = 0;  ///< the largest error / bound
    std::string worst;                ///< where either is
    std::string worst_call;           ///< and in which call, of several

    /// Takes in another call's.
    void add(const BoundUse& other, const std::string& call);
    std::string text() const;
    bool within() const { return out <= 1 && log_sum_exp <= 1; }
};

/// Compares results with their bounds: `out` [batch, heads, queries, value_dim], and log_sum_exp where it is given.
BoundUse use_of_bound(const AttentionErrorBound& allowed, const TensorView<const float, 4>& out,
                      const TensorView<const float, 3>& log_sum_exp = {});

}  // namespace headwise::test
