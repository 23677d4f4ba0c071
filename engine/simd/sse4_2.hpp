#pragma once

#include <smmintrin.h>

#include "engine/simd/mask_bits_x86.hpp"
#include "engine/simd/xsimd_primitives.hpp"
#include "headwise/isa.hpp"

namespace headwise {
namespace {

/// SSE4.2: 16 registers of 4 floats, no fused multiply-add. Functions as documented at Avx512.
struct Sse42 : XsimdPrimitives<xsimd::sse4_2>, X86MaskBits {
    static constexpr Isa kIsa = Isa::sse4_2;
    static constexpr const char* kFeatures = "sse4.2";  // as the compiler's flags
    static constexpr int kRegisters = 16;
    static constexpr bool kScalesByInfinity = false;
    static constexpr bool kFolds4 = false;
    static constexpr bool kFused = false;  ///< fma() rounds once

    static HEADWISE_INLINE Floats fma(Floats a, Floats b, Floats c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }
    static HEADWISE_INLINE Floats fnma(Floats a, Floats b, Floats c) { return _mm_sub_ps(c, _mm_mul_ps(a, b)); }
    static HEADWISE_INLINE Floats masked_fma(Mask mask, Floats a, Floats b, Floats c) {
        return _mm_blendv_ps(c, fma(a, b, c), mask);
    }
    static HEADWISE_INLINE std::uint32_t bits(Mask mask) { return static_cast<std::uint32_t>(_mm_movemask_ps(mask)); }
    static HEADWISE_INLINE Mask from_bits(std::uint32_t bits) {
        const __m128i lanes = _mm_setr_epi32(1, 2, 4, 8), all = _mm_set1_epi32(static_cast<int>(bits));
        return Mask(_mm_castsi128_ps(_mm_cmpeq_epi32(_mm_and_si128(all, lanes), lanes)));
    }
    static HEADWISE_INLINE Floats max(Floats a, Floats b) { return _mm_max_ps(a, b); }
    static HEADWISE_INLINE Floats min(Floats a, Floats b) { return _mm_min_ps(a, b); }
    static HEADWISE_INLINE Floats abs(Floats a) { return _mm_andnot_ps(_mm_set1_ps(-0.0f), a); }
    static HEADWISE_INLINE Floats round_nearest(Floats x) { return _mm_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

    /// As in Avx2, in two factors.
    static HEADWISE_INLINE Floats scale_by_power_of_two(Floats x, Floats n) {
        const __m128i sum = _mm_cvtps_epi32(n + broadcast(254.0f)), half = _mm_srli_epi32(sum, 1);
        return _mm_mul_ps(_mm_mul_ps(x, from_exponent(half)), from_exponent(_mm_sub_epi32(sum, half)));
    }
    static HEADWISE_INLINE Floats power_from_low_bits(Floats x) { return from_exponent(_mm_castps_si128(x)); }
    static HEADWISE_INLINE Floats load_tail(const float* p, std::int64_t count) {
        float lanes[4] = {0, 0, 0, 0};
        for (std::int64_t i = 0; i < count; ++i) lanes[i] = p[i];
        return _mm_loadu_ps(lanes);
    }
    static HEADWISE_INLINE void store_tail(float* p, Floats x, std::int64_t count) {
        float lanes[4];
        _mm_storeu_ps(lanes, x);
        for (std::int64_t i = 0; i < count; ++i) p[i] = lanes[i];
    }
    static HEADWISE_INLINE void keep(Floats& x) { asm volatile("" : "+x"(x.data)); }
    static HEADWISE_INLINE float reduce_add(Floats x) {
        const __m128 sums = _mm_hadd_ps(x, x);
        return _mm_cvtss_f32(_mm_hadd_ps(sums, sums));
    }
    static HEADWISE_INLINE float reduce_max(Floats x) {
        const __m128 m = _mm_max_ps(x, _mm_movehl_ps(x, x));
        return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
    }
    static HEADWISE_INLINE void reduce_add_4(Floats x0, Floats x1, Floats x2, Floats x3, float* out) {
        _mm_storeu_ps(out, _mm_hadd_ps(_mm_hadd_ps(x0, x1), _mm_hadd_ps(x2, x3)));
    }
    static HEADWISE_INLINE void transpose(Floats (&x)[4]) {
        const __m128 t0 = _mm_unpacklo_ps(x[0], x[1]), t1 = _mm_unpackhi_ps(x[0], x[1]);
        const __m128 t2 = _mm_unpacklo_ps(x[2], x[3]), t3 = _mm_unpackhi_ps(x[2], x[3]);
        x[0] = _mm_movelh_ps(t0, t2);
        x[1] = _mm_movehl_ps(t2, t0);
        x[2] = _mm_movelh_ps(t1, t3);
        x[3] = _mm_movehl_ps(t3, t1);
    }
    static HEADWISE_INLINE void deinterleave(Floats& a, Floats& b) {
        const __m128 evens = _mm_shuffle_ps(a, b, 0x88);
        b = _mm_shuffle_ps(a, b, 0xDD);
        a = evens;
    }
    static HEADWISE_INLINE void interleave(Floats& a, Floats& b) {
        const __m128 low = _mm_unpacklo_ps(a, b);
        b = _mm_unpackhi_ps(a, b);
        a = low;
    }

  private:
    static HEADWISE_INLINE __m128 from_exponent(__m128i biased) { return _mm_castsi128_ps(_mm_slli_epi32(biased, 23)); }
};

}  // namespace
}  // namespace headwise
