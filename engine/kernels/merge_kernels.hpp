#pragma once

#include <cstdint>

#include "engine/simd/inline.hpp"

namespace headwise {

/// The weighted sum of two rows, by which partial attention results over different keys become one.
struct MergeKernels {
    /// out[i] = a_weight * a[i] + b_weight * b[i] for i < n; out may be a or b.
    void (*blend)(float a_weight, const float* a, float b_weight, const float* b, float* out, std::int64_t n);
};

namespace {

template <class S>
void blend_rows(float a_weight, const float* a, float b_weight, const float* b, float* out, std::int64_t n) {
    using F = typename S::Floats;
    const F wa = S::broadcast(a_weight), wb = S::broadcast(b_weight);
    std::int64_t i = 0;
    for (; i + S::kLanes <= n; i += S::kLanes) S::store(out + i, S::fma(wa, S::load(a + i), wb * S::load(b + i)));
    if (const std::int64_t rest = n - i; rest > 0)
        S::store_tail(out + i, S::fma(wa, S::load_tail(a + i, rest), wb * S::load_tail(b + i, rest)), rest);
}

template <class S>
constexpr MergeKernels merge_kernels() {
    return {.blend = blend_rows<S>};
}

}  // namespace
}  // namespace headwise
