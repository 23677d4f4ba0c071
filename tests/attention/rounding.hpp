#pragma once

#include <vector>

#include "tests/attention/variant_call.hpp"

// What "the same but for rounding" means.
namespace headwise::test {

/// How far results may be off.
struct Rounding {
    double out = 0, log_sum_exp = 0;
    friend Rounding operator+(const Rounding& a, const Rounding& b) { return {a.out + b.out, a.log_sum_exp + b.log_sum_exp}; }
};

/// The contract, from what the naive f32 loops make of the call.
Rounding allowed_rounding(const VariantCall& call);

/// The call's results of a sequence are `expected`, in the order of VariantCall::results().
void check_results(const VariantCall& call, const std::vector<double>& expected, const Rounding& allowed, std::size_t b = 0);

/// Two calls that are the same to the formula differ by no more than both may be off.
void check_within_rounding(const VariantCall& a, const VariantCall& b);

std::vector<double> widened(const std::vector<float>& numbers);

}  // namespace headwise::test
