#pragma once

#include <cstdint>

#include "engine/simd/inline.hpp"

namespace headwise {

/// The angles of all positions p >= 0 of a RopeTable. A row of angles is dims / 2 cosines, then as many sines.
struct RopeAngles {
    static constexpr int kLowBits = 9, kMiddleBits = 11;

    std::int64_t dims = 0;
    std::int64_t kept_positions = 0;
    const float* kept = nullptr;  ///< [kept_positions][dims], as combine_angles() has them
    /// p = low + (middle << kLowBits) + (high << kLowBits + kMiddleBits): rows of the angles of each part.
    const double *low = nullptr, *middle = nullptr, *high = nullptr;
};

/// Rotary position embedding of one row.
struct RopeKernels {
    /// The row of angles of a position: where it is kept, or `made` [dims], filled. The same bits on every ISA.
    const float* (*angles)(const RopeAngles& angles, std::int64_t position, float* made);
    /// out = x [dim] with its first `dims` (even) elements turned in pairs, pair i by the angle of cosines[i] and sines[i]
    /// (i < dims / 2), or by minus that angle; the others are copied. A pair is (2 i, 2 i + 1) if interleaved, else (i, i + dims /
    /// 2). out may be x. Which lane a pair falls into, a full vector's or a tail's, changes no bit.
    void (*rotate)(const float* x, float* out, std::int64_t dim, const float* cosines, const float* sines, std::int64_t dims,
                   bool interleaved, bool backwards);
};

namespace {

/// made [dims] = the angles of the sum of three angles for each pair: two rotations in f64, rounded once. Products and sums are
/// not fused, so that every ISA, and the code that has none, gives the same bits.
HEADWISE_INLINE void combine_angles(const RopeAngles& angles, std::int64_t position, float* made) {
    constexpr std::int64_t kLow = std::int64_t{1} << RopeAngles::kLowBits, kMiddle = std::int64_t{1} << RopeAngles::kMiddleBits;
    const std::int64_t dims = angles.dims, pairs = dims / 2;
    const double* low = angles.low + position % kLow * dims;
    const double* middle = angles.middle + position / kLow % kMiddle * dims;
    const double* high = angles.high + position / (kLow * kMiddle) * dims;
    for (std::int64_t i = 0; i < pairs; ++i) {
        const double cosine = high[i] * middle[i] - high[pairs + i] * middle[pairs + i];
        const double sine = high[pairs + i] * middle[i] + high[i] * middle[pairs + i];
        made[i] = static_cast<float>(cosine * low[i] - sine * low[pairs + i]);
        made[pairs + i] = static_cast<float>(sine * low[i] + cosine * low[pairs + i]);
    }
}

/// RopeKernels::angles, which other kernels inline.
HEADWISE_INLINE const float* angles_of(const RopeAngles& angles, std::int64_t position, float* made) {
    if (position < angles.kept_positions) return angles.kept + position * angles.dims;
    combine_angles(angles, position, made);
    return made;
}

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
    return {
        .angles = [](const RopeAngles& angles, std::int64_t position, float* made) { return angles_of(angles, position, made); },
        .rotate = rotate_row<S>};
}

}  // namespace
}  // namespace headwise
