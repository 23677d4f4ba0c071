#pragma once

#include <cstdint>

#include "engine/kernels/attention_kernels.hpp"
#include "engine/simd/inline.hpp"

namespace headwise {
namespace {

/// AttentionKernels::largest.
template <class S>
std::uint64_t largest_weights(const float* weights, float least, std::int64_t k) {
    using F = typename S::Floats;
    constexpr int W = S::kLanes, kVectors = kWeighedKeys / W;
    const auto above = [&](float x) HEADWISE_LAMBDA_INLINE {
        const F bound = S::broadcast(x);
        std::uint64_t bits = 0;
        for (int v = 0; v < kVectors; ++v)
            bits |= std::uint64_t{S::bits(S::less(bound, S::load(weights + v * W)))} << static_cast<unsigned>(v * W);
        return bits;
    };
    std::uint64_t result = above(least);
    // The bits of floats that are not negative are in their order. Eight steps between two of them leave a fraction of a power
    // of 2.
    auto low = __builtin_bit_cast(std::int32_t, least), high = __builtin_bit_cast(std::int32_t, 1.0f);
    for (int step = 0; step < 8 && __builtin_popcountll(result) > k && low < high; ++step) {
        const std::int32_t middle = low + (high - low) / 2;
        const std::uint64_t fewer = above(__builtin_bit_cast(float, middle));
        if (__builtin_popcountll(fewer) < k) {
            high = middle;
        } else {
            low = middle;
            result = fewer;
        }
    }
    return result;
}

}  // namespace
}  // namespace headwise
