#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

#include "engine/reference/row.hpp"

namespace headwise::reference {

/// In place: x[j] = exp(x[j] - max) / sum, over j < count. A sink is one more element of the sum, of which no weight is kept.
/// Returns the natural log of the sum of exp(x[j]): -Inf where there is nothing to sum.
template <class T>
T softmax_row(const Row<T>& x, std::int64_t count, std::optional<T> sink = {}) {
    if (count == 0) return sink.value_or(-std::numeric_limits<T>::infinity());
    // Subtracting the maximum leaves the quotient as it is and keeps exp() from overflowing.
    T max = sink ? *sink : -std::numeric_limits<T>::infinity();
    for (std::int64_t j = 0; j < count; ++j) max = std::max(max, x[j]);
    T sum = sink ? std::exp(*sink - max) : T(0);
    for (std::int64_t j = 0; j < count; ++j) {
        x[j] = std::exp(x[j] - max);
        sum += x[j];
    }
    for (std::int64_t j = 0; j < count; ++j) x[j] /= sum;
    return max + std::log(sum);
}

}  // namespace headwise::reference
