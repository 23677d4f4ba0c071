#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

#include "engine/attention/call.hpp"

namespace headwise {

/// How to finish a row whose weights are 2^(logit - row_max).
struct Denominator {
    float factor;  ///< the row's weights and accumulators are multiplied by it
    double log2;   ///< log2 of the softmax's denominator; 0 if not requested
};

/// `factor` as a float, for weights that add up to `sum`; 0 if their total would then be below the least weight, because the
/// products would be denormal.
inline float factor_of(double factor, double sum) {
    constexpr double kLeastWeight = 0x1p-100;
    static_assert(kLeastWeightLog2 == -100);
    return factor * sum < kLeastWeight ? 0 : static_cast<float>(factor);
}

/// A head's sink in units of log2, if the call has sinks.
inline std::optional<double> sink_of(const AttentionArguments& arguments, std::int64_t head) {
    if (arguments.sinks.empty()) return {};
    return static_cast<double>(arguments.sinks[static_cast<std::size_t>(head)]) * std::numbers::log2e;
}

/// The denominator of a row that sees a key.
inline Denominator denominator(float row_max, float row_sum, std::optional<double> sink, bool wants_log) {
    const double max = row_max, sum = row_sum;
    if (!sink) return {1 / row_sum, wants_log ? max + std::log2(sum) : 0};
    // All logits are -Inf: row_max means nothing.
    if (row_sum == 0 && std::isfinite(*sink)) return {0, *sink};
    // Relative to the larger of row_max and sink, that one is 1 (NaN if it is infinite, as in the formula). So there is a single
    // power of two, and a logarithm only on request; otherwise rows of 1024 keys would take 1 % longer.
    const double reference = std::max(max, *sink), larger = 1 + (reference - reference);
    const double smaller = std::exp2(std::min(max, *sink) - reference);
    const double own = max >= *sink ? larger : smaller, total = sum * own + (max >= *sink ? smaller : larger);
    return {factor_of(own / total, sum), wants_log ? reference + std::log2(total) : 0};
}

}  // namespace headwise
