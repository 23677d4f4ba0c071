#pragma once

#include "engine/simd/inline.hpp"
#include "engine/simd/least_weight.hpp"

namespace headwise {
namespace {

/// p of degree 5 without its constant ln 2, divided by r, such that 2^r = 1 + r p(r) for r in [-0.5, 0.5]; minimax in relative
/// error (Remez; 2.6e-9, 3.0e-9 with coefficients rounded to float). One degree less costs 1.3 ULP. `scale`, a power of two known
/// when it is compiled, multiplies the coefficients and so, exactly, the result; here and in exp2_of_fraction().
template <class S>
HEADWISE_INLINE typename S::Floats exp2_polynomial(typename S::Floats r, float scale = 1) {
    using F = typename S::Floats;
    F p = S::broadcast(0x1.416b52p-13f * scale);
    p = S::fma(p, r, S::broadcast(0x1.5f082ep-10f * scale));
    p = S::fma(p, r, S::broadcast(0x1.3b2de0p-7f * scale));
    p = S::fma(p, r, S::broadcast(0x1.c6af7cp-5f * scale));
    return S::fma(p, r, S::broadcast(0x1.ebfbdcp-3f * scale));
}

/// scale * 2^r for r in [-0.5, 0.5].
template <class S>
HEADWISE_INLINE typename S::Floats exp2_of_fraction(typename S::Floats r, float scale = 1) {
    using F = typename S::Floats;
    F p = exp2_polynomial<S>(r, scale);
    if constexpr (S::kFused) {
        p = S::fma(p, r, S::broadcast(0x1.62e430p-1f * scale));
        return S::fma(p, r, S::broadcast(scale));
    } else {
        // Without a fused multiply-add one rounding too many; in parts of 12 bits the large product is exact.
        const F high = (r + S::broadcast(3072.0f)) - S::broadcast(3072.0f), low = r - high;
        const F rest = p * (r * r) + (S::broadcast(0x1.62ep-1f * scale) * low + S::broadcast(0x1.0bfbe8p-15f * scale) * r);
        return S::broadcast(scale) + (S::broadcast(0x1.62ep-1f * scale) * high + rest);
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

/// 2^x for the weights of a softmax, x <= 130: as exp2, but 0 below kLeastWeightLog2 (where no instruction scales by powers of two,
/// below the numbers that round to it). Raises no INVALID for x = -Inf.
template <class S>
HEADWISE_INLINE typename S::Floats exp2_weight(typename S::Floats x) {
    using F = typename S::Floats;
    if constexpr (S::kScalesByInfinity) {
        const auto counts = S::not_less(x, S::broadcast(kLeastWeightLog2));  // and NaN
        const F n = S::round_nearest(x);
        return S::scale_or_zero(counts, exp2_of_fraction<S>(S::subtract_or_zero(counts, x, n)), n);
    } else {
        // The sum is rounded to a whole number whose last 8 bits are n + 101. Read as an exponent, these give 2^(n - 26), or 0
        // where the weight is to be 0. Scaling the polynomial by 2^26 makes up for it; powers of two are exact, so the bits are
        // exp2's.
        constexpr float kZero = kLeastWeightLog2 - 1;
        constexpr float kUp = __builtin_bit_cast(float, (254 + static_cast<int>(kZero)) << 23);  // 2^(127 + kZero) = 2^26
        const F shift = S::broadcast(0x1.8p23f - kZero);
        x = S::max(S::broadcast(kZero), x);
        const F sum = x + shift;
        return exp2_of_fraction<S>(x - (sum - shift), kUp) * S::power_from_low_bits(sum);
    }
}

/// exp2_weight(a - b) for a <= b, without OVERFLOW even if a - b exceeds the range of float, as it can while a row has seen no key
/// and a is kNoKeyYet.
template <class S>
HEADWISE_INLINE typename S::Floats exp2_weight_of_difference(typename S::Floats a, typename S::Floats b) {
    const typename S::Floats half = S::broadcast(0.5f);
    return exp2_weight<S>(S::max(S::broadcast(kLeastWeightLog2), a * half - b * half) * S::broadcast(2.0f));
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
