#pragma once

#include <cstdint>

#include "engine/simd/inline.hpp"
#include "engine/simd/mask_bits_plain.hpp"
#include "headwise/isa.hpp"

namespace headwise {
namespace {

/// One lane: the kernels as plain float code, for processors without any of the vector sets. Functions as documented at Avx512.
struct Scalar : PlainMaskBits {
    static constexpr Isa kIsa = Isa::scalar;
    static constexpr const char* kFeatures = "";
    using Floats = float;
    using Mask = bool;
    static constexpr int kLanes = 1;
    static constexpr int kRegisters = 16;
    static constexpr bool kScalesByInfinity = false;
    static constexpr bool kFolds4 = false;
    static constexpr bool kFused = false;  ///< fma() rounds once

    static HEADWISE_INLINE float zero() { return 0; }
    static HEADWISE_INLINE float broadcast(float x) { return x; }
    static HEADWISE_INLINE float load(const float* p) { return *p; }
    static HEADWISE_INLINE void store(float* p, float x) { *p = x; }
    static HEADWISE_INLINE bool less(float a, float b) { return a < b; }
    static HEADWISE_INLINE float select(bool mask, float a, float b) { return mask ? a : b; }
    static HEADWISE_INLINE bool any(bool mask) { return mask; }

    static HEADWISE_INLINE float fma(float a, float b, float c) { return a * b + c; }
    static HEADWISE_INLINE float fnma(float a, float b, float c) { return c - a * b; }
    static HEADWISE_INLINE float masked_fma(bool mask, float a, float b, float c) { return mask ? a * b + c : c; }
    static HEADWISE_INLINE std::uint32_t bits(bool mask) { return mask ? 1 : 0; }
    static HEADWISE_INLINE bool from_bits(std::uint32_t bits) { return (bits & 1u) != 0; }
    // By the instruction where there is one: of the comparison compilers make branches, and large scores of either sign, which a
    // softcap bounds, then take a fifth longer.
    static HEADWISE_INLINE float max(float a, float b) {
#if defined(__SSE__)
        asm("maxss %1, %0" : "+x"(a) : "x"(b));
        return a;
#else
        return a > b ? a : b;
#endif
    }
    static HEADWISE_INLINE float min(float a, float b) {
#if defined(__SSE__)
        asm("minss %1, %0" : "+x"(a) : "x"(b));
        return a;
#else
        return a < b ? a : b;
#endif
    }
    static HEADWISE_INLINE float abs(float a) { return __builtin_fabsf(a); }

    /// To even at ties. Adding 1.5 * 2^23 pushes the fraction out; |x| beyond 2^22 has no use for it here and is left as it is.
    static HEADWISE_INLINE float round_nearest(float x) {
        constexpr float kShift = 12582912.0f;
        return abs(x) < 4194304.0f ? (x + kShift) - kShift : x;
    }
    /// As in Avx2, in two factors. A NaN, which must not be converted, comes out as x.
    static HEADWISE_INLINE float scale_by_power_of_two(float x, float n) {
        const std::int32_t sum = n == n ? static_cast<std::int32_t>(n + 254.0f) : 254, half = sum >> 1;
        return x * from_exponent(half) * from_exponent(sum - half);
    }
    static HEADWISE_INLINE float power_from_low_bits(float x) { return from_exponent(__builtin_bit_cast(std::int32_t, x) & 255); }
    static HEADWISE_INLINE float load_tail(const float* p, std::int64_t count) { return count > 0 ? *p : 0; }
    static HEADWISE_INLINE void store_tail(float* p, float x, std::int64_t count) {
        if (count > 0) *p = x;
    }
    static HEADWISE_INLINE void keep(float&) {}
    static HEADWISE_INLINE float reduce_add(float x) { return x; }
    static HEADWISE_INLINE float reduce_max(float x) { return x; }
    static HEADWISE_INLINE void reduce_add_4(float x0, float x1, float x2, float x3, float* out) {
        out[0] = x0, out[1] = x1, out[2] = x2, out[3] = x3;
    }
    static HEADWISE_INLINE void transpose(float (&)[1]) {}
    static HEADWISE_INLINE void deinterleave(float&, float&) {}
    static HEADWISE_INLINE void interleave(float&, float&) {}

  private:
    static HEADWISE_INLINE float from_exponent(std::int32_t biased) { return __builtin_bit_cast(float, biased << 23); }
};

}  // namespace
}  // namespace headwise
