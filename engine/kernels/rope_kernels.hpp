#pragma once

#include <cstdint>

#include "engine/simd/inline.hpp"

namespace headwise {

/// Rotary position embedding of one row.
struct RopeKernels {
    /// out = x [dim] with its first `dims` (even) elements turned in pairs, pair i by the angle of cosines[i] and sines[i]
    /// (i < dims / 2), or by minus that angle; the others are copied. A pair is (2 i, 2 i + 1) if interleaved, else (i, i + dims /
    /// 2). out may be x. Which lane a pair falls into, a full vector's or a tail's, changes no bit.
    void (*rotate)(const float* x, float* out, std::int64_t dim, const float* cosines, const float* sines, std::int64_t dims,
                   bool interleaved, bool backwards);
};

namespace {

/// (a, b) becomes (a cos - b sin, b cos + a sin).
template <class S>
HEADWISE_INLINE void turn(typename S::Floats& a, typename S::Floats& b, typename S::Floats cosine, typename S::Floats sine) {
    const typename S::Floats turned = S::fnma(b, sine, a * cosine);
    b = S::fma(a, sine, b * cosine);
    a = turned;
}

/// Pairs (i, i + pairs). `direction` is 1 or, backwards, -1: times a sine exact.
template <class S>
HEADWISE_INLINE void rotate_halves(const float* x, float* out, const float* cosines, const float* sines, std::int64_t pairs,
                                   float direction) {
    using F = typename S::Floats;
    const F sign = S::broadcast(direction);
    std::int64_t i = 0;
    for (; i + S::kLanes <= pairs; i += S::kLanes) {
        F a = S::load(x + i), b = S::load(x + pairs + i);
        turn<S>(a, b, S::load(cosines + i), sign * S::load(sines + i));
        S::store(out + i, a);
        S::store(out + pairs + i, b);
    }
    if (const std::int64_t rest = pairs - i; rest > 0) {
        F a = S::load_tail(x + i, rest), b = S::load_tail(x + pairs + i, rest);
        turn<S>(a, b, S::load_tail(cosines + i, rest), sign * S::load_tail(sines + i, rest));
        S::store_tail(out + i, a, rest);
        S::store_tail(out + pairs + i, b, rest);
    }
}

/// Pairs (2 i, 2 i + 1): two vectors of neighbours become one of first and one of second elements, and two of neighbours again.
template <class S>
HEADWISE_INLINE void rotate_neighbours(const float* x, float* out, const float* cosines, const float* sines, std::int64_t pairs,
                                       float direction) {
    using F = typename S::Floats;
    const F sign = S::broadcast(direction);
    std::int64_t i = 0;
    for (; i + S::kLanes <= pairs; i += S::kLanes) {
        F a = S::load(x + 2 * i), b = S::load(x + 2 * i + S::kLanes);
        S::deinterleave(a, b);
        turn<S>(a, b, S::load(cosines + i), sign * S::load(sines + i));
        S::interleave(a, b);
        S::store(out + 2 * i, a);
        S::store(out + 2 * i + S::kLanes, b);
    }
    if (const std::int64_t rest = pairs - i; rest > 0) {
        const std::int64_t low = 2 * rest < S::kLanes ? 2 * rest : S::kLanes, high = 2 * rest - low;
        F a = S::load_tail(x + 2 * i, low), b = S::load_tail(x + 2 * i + low, high);
        S::deinterleave(a, b);
        turn<S>(a, b, S::load_tail(cosines + i, rest), sign * S::load_tail(sines + i, rest));
        S::interleave(a, b);
        S::store_tail(out + 2 * i, a, low);
        S::store_tail(out + 2 * i + low, b, high);
    }
}

/// RopeKernels::rotate, which other kernels inline.
template <class S>
HEADWISE_INLINE void rotate_row(const float* x, float* out, std::int64_t dim, const float* cosines, const float* sines,
                                std::int64_t dims, bool interleaved, bool backwards) {
    const float direction = backwards ? -1.0f : 1.0f;
    if (interleaved)
        rotate_neighbours<S>(x, out, cosines, sines, dims / 2, direction);
    else
        rotate_halves<S>(x, out, cosines, sines, dims / 2, direction);
    if (out == x) return;
    std::int64_t d = dims;
    for (; d + S::kLanes <= dim; d += S::kLanes) S::store(out + d, S::load(x + d));
    if (d < dim) S::store_tail(out + d, S::load_tail(x + d, dim - d), dim - d);
}

template <class S>
constexpr RopeKernels rope_kernels() {
    return {.rotate = rotate_row<S>};
}

}  // namespace
}  // namespace headwise
