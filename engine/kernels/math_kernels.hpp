#pragma once

#include <cstdint>

#include "engine/simd/exp.hpp"

namespace headwise {

/// Elementwise functions over arrays: the engine's own exp and exp2, as the attention kernels and the epilogues use them.
struct MathKernels {
    /// y[i] = f(x[i]) for i < n; y may be x. The same bits in full vectors and in the tail.
    void (*exp)(const float* x, float* y, std::int64_t n);
    void (*exp2)(const float* x, float* y, std::int64_t n);
    void (*exp2_weight)(const float* x, float* y, std::int64_t n);
};

namespace {

template <class S, class Function>
HEADWISE_INLINE void map(const float* x, float* y, std::int64_t n, Function function) {
    std::int64_t i = 0;
    for (; i + S::kLanes <= n; i += S::kLanes) S::store(y + i, function(S::load(x + i)));
    if (i < n) S::store_tail(y + i, function(S::load_tail(x + i, n - i)), n - i);
}

template <class S>
void exp_array(const float* x, float* y, std::int64_t n) {
    map<S>(x, y, n, [](typename S::Floats v) HEADWISE_LAMBDA_INLINE { return exp<S>(v); });
}

template <class S>
void exp2_array(const float* x, float* y, std::int64_t n) {
    map<S>(x, y, n, [](typename S::Floats v) HEADWISE_LAMBDA_INLINE { return exp2<S>(v); });
}

template <class S>
void exp2_weight_array(const float* x, float* y, std::int64_t n) {
    map<S>(x, y, n, [](typename S::Floats v) HEADWISE_LAMBDA_INLINE { return exp2_weight<S>(v); });
}

template <class S>
constexpr MathKernels math_kernels() {
    return {.exp = exp_array<S>, .exp2 = exp2_array<S>, .exp2_weight = exp2_weight_array<S>};
}

}  // namespace
}  // namespace headwise
