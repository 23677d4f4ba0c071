#pragma once

#include "engine/simd/inline.hpp"

namespace headwise {
namespace {

/// p of degree 5 without its constant ln 2, divided by r, such that 2^r = 1 + r p(r) for r in [-0.5, 0.5]; minimax in relative
/// error (Remez; 2.6e-9, 3.0e-9 with coefficients rounded to float). One degree less costs 1.3 ULP.
template <class S>
HEADWISE_INLINE typename S::Floats exp2_polynomial(typename S::Floats r) {
    using F = typename S::Floats;
    F p = S::broadcast(0x1.416b52p-13f);
    p = S::fma(p, r, S::broadcast(0x1.5f082ep-10f));
    p = S::fma(p, r, S::broadcast(0x1.3b2de0p-7f));
    p = S::fma(p, r, S::broadcast(0x1.c6af7cp-5f));
    return S::fma(p, r, S::broadcast(0x1.ebfbdcp-3f));
}

/// 2^r for r in [-0.5, 0.5].
template <class S>
HEADWISE_INLINE typename S::Floats exp2_of_fraction(typename S::Floats r) {
    using F = typename S::Floats;
    F p = exp2_polynomial<S>(r);
    if constexpr (S::kFused) {
        p = S::fma(p, r, S::broadcast(0x1.62e430p-1f));
        return S::fma(p, r, S::broadcast(1.0f));
    } else {
        // Without a fused multiply-add one rounding too many; in parts of 12 bits the large product is exact.
        const F high = (r + S::broadcast(3072.0f)) - S::broadcast(3072.0f), low = r - high;
        const F rest = p * (r * r) + (S::broadcast(0x1.62ep-1f) * low + S::broadcast(0x1.0bfbe8p-15f) * r);
        return S::broadcast(1.0f) + (S::broadcast(0x1.62ep-1f) * high + rest);
    }
}

/// 2^x for every float within 1 ULP, denormal results included: 2^n 2^r, n = x rounded to nearest.
template <class S>
HEADWISE_INLINE typename S::Floats exp2(typename S::Floats x) {
    using F = typename S::Floats;
    // Below, the result is 0, above, infinite; keeps n finite. The bound comes first: where x is NaN, max and min return x.
    if constexpr (!S::kScalesByInfinity) x = S::min(S::broadcast(130.0f), S::max(S::broadcast(-151.0f), x));
    const F n = S::round_nearest(x);
    return S::scale_by_power_of_two(exp2_of_fraction<S>(x - n), n);
}

/// 2^x for the weights of a softmax, x <= 127: as exp2, but below 2^-126 it may also be 0. That saves 6 of 18 instructions where
/// no instruction scales by a power of two.
template <class S>
HEADWISE_INLINE typename S::Floats exp2_weight(typename S::Floats x) {
    if constexpr (S::kScalesByInfinity) {
        return exp2<S>(x);
    } else {
        using F = typename S::Floats;
        // The sum is rounded to a whole number: its last 8 bits are n + 127, the exponent of 2^n, and that of 0 for n = -127.
        const F shift = S::broadcast(0x1.8p23f + 127.0f);
        x = S::max(S::broadcast(-127.0f), x);
        const F sum = x + shift;
        return exp2_of_fraction<S>(x - (sum - shift)) * S::power_from_low_bits(sum);
    }
}

/// tanh(x ln(2) / 2) = (2^x - 1) / (2^x + 1). 2^x - 1 is formed as (2^n - 1) + 2^n (2^r - 1), which cancels nothing: the result is
/// good to 3 ULP, also near 0.
template <class S>
HEADWISE_INLINE typename S::Floats tanh_of_log2(typename S::Floats x) {
    using F = typename S::Floats;
    // Beyond, the result is 1 in f32. In this order NaN stays.
    x = S::min(S::broadcast(40.0f), S::max(S::broadcast(-40.0f), x));
    const F n = S::round_nearest(x), r = x - n;
    const F fraction = r * S::fma(exp2_polynomial<S>(r), r, S::broadcast(0x1.62e430p-1f));
    const F power = S::scale_by_power_of_two(S::broadcast(1.0f), n);
    const F difference = S::fma(power, fraction, power - S::broadcast(1.0f));
    return difference / (difference + S::broadcast(2.0f));
}

/// e^x for every float within 1 ULP: as exp2 with r = x - n ln 2, ln 2 in two parts (the high one has 15 bits: n times it is
/// exact).
template <class S>
HEADWISE_INLINE typename S::Floats exp(typename S::Floats x) {
    using F = typename S::Floats;
    x = S::min(S::broadcast(89.0f), S::max(S::broadcast(-104.0f), x));
    const F n = S::round_nearest(x * S::broadcast(0x1.715476p+0f));
    const F high = S::fnma(n, S::broadcast(0x1.62e4p-1f), x), low = n * S::broadcast(-1.4286068202862268e-06f), r = high + low;
    F p = S::broadcast(0x1.6b6bbap-10f);
    p = S::fma(p, r, S::broadcast(0x1.122f1ap-7f));
    p = S::fma(p, r, S::broadcast(0x1.55568ap-5f));
    p = S::fma(p, r, S::broadcast(0x1.5554a4p-3f));
    p = S::fma(p, r, S::broadcast(0.5f));
    // In this order what the addition rounded off r comes back.
    p = S::broadcast(1.0f) + (high + S::fma(p, r * r, low));
    return S::scale_by_power_of_two(p, n);
}

}  // namespace
}  // namespace headwise
