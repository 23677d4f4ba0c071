#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "engine/reference/row.hpp"
#include "engine/reference/sequences.hpp"
#include "headwise/rope.hpp"

namespace headwise::reference {

/// `to` = the row `from` of `dim` elements, turned for its position (RoPE).
template <class T>
void turn_row(const Row<const T>& from, T* to, std::int64_t dim, const RopeOptions& options, std::int64_t position) {
    const std::int64_t pairs = options.dims / 2;
    for (std::int64_t pair = 0; pair < pairs; ++pair) {
        const bool interleaved = options.pairs == RopePairs::interleaved;
        const std::int64_t x = interleaved ? 2 * pair : pair, y = interleaved ? 2 * pair + 1 : pair + pairs;
        // In long double whatever T is: an angle of some thousand radians rounded to float would be off by 1e-4, and one of 2^31
        // rounded to double by 2e-7.
        const double exponent = -2 * static_cast<double>(pair) / static_cast<double>(options.dims);
        const long double angle = static_cast<long double>(position) * std::pow(options.base, exponent);
        const T cosine = static_cast<T>(std::cos(angle)), sine = static_cast<T>(std::sin(angle));
        to[x] = from[x] * cosine - from[y] * sine;
        to[y] = from[y] * cosine + from[x] * sine;
    }
    for (std::int64_t d = options.dims; d < dim; ++d) to[d] = from[d];
}

/// Copies of the first `count` rows, [count, dim], row i turned for position_of(i).
template <class T, class PositionOf>
std::vector<T> turned_rows(const SequenceRows<const T>& rows, std::int64_t count, std::int64_t dim, const RopeOptions& options,
                           PositionOf position_of) {
    std::vector<T> turned(static_cast<std::size_t>(count * dim));
    for (std::int64_t i = 0; i < count; ++i) turn_row(rows[i], turned.data() + i * dim, dim, options, position_of(i));
    return turned;
}

}  // namespace headwise::reference
