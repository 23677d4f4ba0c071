#pragma once

#include <arm_neon.h>

#include "engine/simd/mask_bits_plain.hpp"
#include "engine/simd/xsimd_primitives.hpp"
#include "headwise/isa.hpp"

namespace headwise {
namespace {

/// AArch64 NEON: 32 registers of 4 floats. Functions as documented at Avx512.
struct Neon : XsimdPrimitives<xsimd::neon64>, PlainMaskBits {
    static constexpr Isa kIsa = Isa::neon;
    static constexpr const char* kFeatures = "neon";
    static constexpr int kRegisters = 32;
    static constexpr bool kScalesByInfinity = false;
    static constexpr bool kFolds4 = false;
    static constexpr bool kFused = true;  ///< fma() rounds once

    static HEADWISE_INLINE Floats fma(Floats a, Floats b, Floats c) { return vfmaq_f32(c, a, b); }
    static HEADWISE_INLINE Floats fnma(Floats a, Floats b, Floats c) { return vfmsq_f32(c, a, b); }
    static HEADWISE_INLINE Floats masked_fma(Mask mask, Floats a, Floats b, Floats c) {
        return vbslq_f32(mask, vfmaq_f32(c, a, b), c);
    }
    static HEADWISE_INLINE std::uint32_t bits(Mask mask) { return vaddvq_u32(vandq_u32(mask, lane_bits())); }
    static HEADWISE_INLINE Mask from_bits(std::uint32_t bits) { return Mask(vtstq_u32(vdupq_n_u32(bits), lane_bits())); }
    /// NaN where either is NaN, unlike x86; callers do not depend on it.
    static HEADWISE_INLINE Floats max(Floats a, Floats b) { return vmaxq_f32(a, b); }
    static HEADWISE_INLINE Floats min(Floats a, Floats b) { return vminq_f32(a, b); }
    static HEADWISE_INLINE Floats abs(Floats a) { return vabsq_f32(a); }
    static HEADWISE_INLINE Floats round_nearest(Floats x) { return vrndnq_f32(x); }

    /// As in Avx2, in two factors.
    static HEADWISE_INLINE Floats scale_by_power_of_two(Floats x, Floats n) {
        const int32x4_t sum = vcvtq_s32_f32(vaddq_f32(n, vdupq_n_f32(254.0f))), half = vshrq_n_s32(sum, 1);
        return vmulq_f32(vmulq_f32(x, from_exponent(half)), from_exponent(vsubq_s32(sum, half)));
    }
    static HEADWISE_INLINE Floats power_from_low_bits(Floats x) { return from_exponent(vreinterpretq_s32_f32(x)); }
    static HEADWISE_INLINE Floats load_tail(const float* p, std::int64_t count) {
        float lanes[4] = {0, 0, 0, 0};
        for (std::int64_t i = 0; i < count; ++i) lanes[i] = p[i];
        return vld1q_f32(lanes);
    }
    static HEADWISE_INLINE void store_tail(float* p, Floats x, std::int64_t count) {
        float lanes[4];
        vst1q_f32(lanes, x);
        for (std::int64_t i = 0; i < count; ++i) p[i] = lanes[i];
    }
    static HEADWISE_INLINE void keep(Floats& x) { asm volatile("" : "+w"(x.data)); }
    static HEADWISE_INLINE float reduce_add(Floats x) {
        const float32x4_t sums = vpaddq_f32(x, x);
        return vgetq_lane_f32(vpaddq_f32(sums, sums), 0);
    }
    static HEADWISE_INLINE float reduce_max(Floats x) { return vmaxvq_f32(x); }
    static HEADWISE_INLINE void reduce_add_4(Floats x0, Floats x1, Floats x2, Floats x3, float* out) {
        vst1q_f32(out, vpaddq_f32(vpaddq_f32(x0, x1), vpaddq_f32(x2, x3)));
    }
    static HEADWISE_INLINE void transpose(Floats (&x)[4]) {
        const float32x4_t t0 = vtrn1q_f32(x[0], x[1]), t1 = vtrn2q_f32(x[0], x[1]);
        const float32x4_t t2 = vtrn1q_f32(x[2], x[3]), t3 = vtrn2q_f32(x[2], x[3]);
        x[0] = pairs_low(t0, t2);
        x[1] = pairs_low(t1, t3);
        x[2] = pairs_high(t0, t2);
        x[3] = pairs_high(t1, t3);
    }
    static HEADWISE_INLINE void deinterleave(Floats& a, Floats& b) {
        const float32x4_t evens = vuzp1q_f32(a, b);
        b = vuzp2q_f32(a, b);
        a = evens;
    }
    static HEADWISE_INLINE void interleave(Floats& a, Floats& b) {
        const float32x4_t low = vzip1q_f32(a, b);
        b = vzip2q_f32(a, b);
        a = low;
    }

  private:
    static HEADWISE_INLINE uint32x4_t lane_bits() {
        constexpr std::uint32_t kBits[] = {1, 2, 4, 8};
        return vld1q_u32(kBits);
    }
    static HEADWISE_INLINE float32x4_t from_exponent(int32x4_t biased) { return vreinterpretq_f32_s32(vshlq_n_s32(biased, 23)); }
    static HEADWISE_INLINE float32x4_t pairs_low(float32x4_t a, float32x4_t b) {
        return vreinterpretq_f32_f64(vtrn1q_f64(vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b)));
    }
    static HEADWISE_INLINE float32x4_t pairs_high(float32x4_t a, float32x4_t b) {
        return vreinterpretq_f32_f64(vtrn2q_f64(vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b)));
    }
};

}  // namespace
}  // namespace headwise
