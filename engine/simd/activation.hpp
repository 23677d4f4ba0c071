#pragma once

#include "engine/simd/exp.hpp"
#include "headwise/activation.hpp"

namespace headwise {
namespace {

/// The normal distribution's upper tail, erfc(t / sqrt 2) / 2, for t >= 0: 2^(t q(t) - 1). q of degree 9 on [0, 14.3] is minimax in
/// the relative error of the exponent up to t = 5 (2.2e-8), beyond in the error of t * tail: there the tail is below 3e-7 and fades
/// to 0. One degree less triples the error. An erf by parts costs as much and loses all digits of GELU at x < -5, where 1 + erf
/// cancels.
template <class S>
HEADWISE_INLINE typename S::Floats normal_upper_tail(typename S::Floats t) {
    using F = typename S::Floats;
    constexpr float kCoefficients[] = {0x1.a2d17ep-21f, -0x1.50662ep-17f, 0x1.27908cp-14f, -0x1.0e2626p-12f, -0x1.903308p-15f,
                                       0x1.cb27bap-8f,  -0x1.adebc6p-5f,  -0x1.d63ad4p-2f, -0x1.26aed8p+0f};
    t = S::min(t, S::broadcast(14.3f));
    F q = S::broadcast(-0x1.c14284p-26f);
    HEADWISE_UNROLL for (int i = 0; i < 9; ++i) q = S::fma(q, t, S::broadcast(kCoefficients[i]));
    return exp2<S>(S::fma(q, t, S::broadcast(-1.0f)));
}

/// x/2 (1 + erf(x / sqrt 2)), that is x times the normal distribution at x. For negative x the small factor is computed as such.
template <class S>
HEADWISE_INLINE typename S::Floats gelu_erf(typename S::Floats x) {
    const auto tail = normal_upper_tail<S>(S::abs(x));
    return x * S::select(S::less(x, S::zero()), tail, S::broadcast(1.0f) - tail);
}

/// x / (1 + e) for x of either sign, where e = exp(-z) and z has the sign of x, from t = exp(-|z|): that way nothing overflows, and
/// the small results of negative x keep their digits.
template <class S>
HEADWISE_INLINE typename S::Floats gated(typename S::Floats x, typename S::Floats t) {
    return S::select(S::less(x, S::zero()), x * t, x) / (S::broadcast(1.0f) + t);
}

/// x/2 (1 + tanh(y)) = x / (1 + exp(-2 y)), y = sqrt(2/pi) (x + 0.044715 x^3): no tanh, and nothing cancels.
template <class S>
HEADWISE_INLINE typename S::Floats gelu_tanh(typename S::Floats x) {
    constexpr float kLinear = -0x1.26aec2p+1f;  // -2 sqrt(2/pi) log2(e)
    constexpr float kCubic = -0x1.a5a7d0p-4f;   // 0.044715 times that
    // Far before 100 the factor is 1, or 0. In this order NaN stays.
    const auto size = S::min(S::broadcast(100.0f), S::abs(x));
    return gated<S>(x, exp2<S>(size * S::fma(size * size, S::broadcast(kCubic), S::broadcast(kLinear))));
}

template <class S>
HEADWISE_INLINE typename S::Floats silu(typename S::Floats x) {
    return gated<S>(x, exp<S>(S::zero() - S::abs(x)));
}

template <class S, Activation kActivation>
HEADWISE_INLINE typename S::Floats activate(typename S::Floats x) {
    if constexpr (kActivation == Activation::relu) return S::max(S::zero(), x);  // this way round NaN stays NaN
    if constexpr (kActivation == Activation::silu) return silu<S>(x);
    if constexpr (kActivation == Activation::gelu_erf) return gelu_erf<S>(x);
    if constexpr (kActivation == Activation::gelu_tanh) return gelu_tanh<S>(x);
    return x;
}

}  // namespace
}  // namespace headwise
