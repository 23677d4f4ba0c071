#pragma once

#include <immintrin.h>

#include "engine/simd/mask_bits_x86.hpp"
#include "engine/simd/xsimd_primitives.hpp"
#include "headwise/isa.hpp"

namespace headwise {
namespace {

/// AVX2 with FMA: 16 registers of 8 floats. Functions as documented at Avx512.
struct Avx2 : XsimdPrimitives<xsimd::fma3<xsimd::avx2>>, X86MaskBits {
    static constexpr Isa kIsa = Isa::avx2;
    static constexpr const char* kFeatures = "avx2 fma f16c";  // as the compiler's flags
    static constexpr int kRegisters = 16;
    static constexpr bool kScalesByInfinity = false;
    static constexpr bool kFolds4 = false;
    static constexpr bool kFused = true;  ///< fma() rounds once

    static HEADWISE_INLINE Floats fma(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
    static HEADWISE_INLINE Floats fnma(Floats a, Floats b, Floats c) { return _mm256_fnmadd_ps(a, b, c); }
    static HEADWISE_INLINE Floats masked_fma(Mask mask, Floats a, Floats b, Floats c) {
        return _mm256_blendv_ps(c, _mm256_fmadd_ps(a, b, c), mask);
    }
    static HEADWISE_INLINE std::uint32_t bits(Mask mask) { return static_cast<std::uint32_t>(_mm256_movemask_ps(mask)); }
    static HEADWISE_INLINE Mask from_bits(std::uint32_t bits) {
        const __m256i lanes = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
        const __m256i all = _mm256_set1_epi32(static_cast<int>(bits));
        return Mask(_mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(all, lanes), lanes)));
    }
    static HEADWISE_INLINE Floats max(Floats a, Floats b) { return _mm256_max_ps(a, b); }
    static HEADWISE_INLINE Floats min(Floats a, Floats b) { return _mm256_min_ps(a, b); }
    static HEADWISE_INLINE Floats abs(Floats a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
    static HEADWISE_INLINE Floats round_nearest(Floats x) {
        return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    }

    /// In two factors, so that the result is rounded once even where it is denormal. Their exponents add up to n, and with the bias
    /// of 127 that the format gives each of them to n + 254.
    static HEADWISE_INLINE Floats scale_by_power_of_two(Floats x, Floats n) {
        const __m256i sum = _mm256_cvtps_epi32(n + broadcast(254.0f)), half = _mm256_srli_epi32(sum, 1);
        return _mm256_mul_ps(_mm256_mul_ps(x, from_exponent(half)), from_exponent(_mm256_sub_epi32(sum, half)));
    }
    /// 2^(k - 127), or 0 for k = 0, where k are the last 9 bits of x, at most 254.
    static HEADWISE_INLINE Floats power_from_low_bits(Floats x) { return from_exponent(_mm256_castps_si256(x)); }
    static HEADWISE_INLINE Floats load_tail(const float* p, std::int64_t count) { return _mm256_maskload_ps(p, tail_mask(count)); }
    static HEADWISE_INLINE void store_tail(float* p, Floats x, std::int64_t count) { _mm256_maskstore_ps(p, tail_mask(count), x); }

    static HEADWISE_INLINE void keep(Floats& x) { asm volatile("" : "+x"(x.data)); }
    static HEADWISE_INLINE float reduce_add(Floats x) {
        const __m128 sums = _mm_hadd_ps(fold(x), fold(x));
        return _mm_cvtss_f32(_mm_hadd_ps(sums, sums));
    }
    static HEADWISE_INLINE float reduce_max(Floats x) {
        __m128 m = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
        m = _mm_max_ps(m, _mm_movehl_ps(m, m));
        return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
    }
    static HEADWISE_INLINE void reduce_add_4(Floats x0, Floats x1, Floats x2, Floats x3, float* out) {
        _mm_storeu_ps(out, _mm_hadd_ps(_mm_hadd_ps(fold(x0), fold(x1)), _mm_hadd_ps(fold(x2), fold(x3))));
    }
    static HEADWISE_INLINE void transpose(Floats (&x)[8]) {
        __m256 b[8];
        HEADWISE_UNROLL for (int i = 0; i < 2; ++i) {
            const __m256 t0 = _mm256_unpacklo_ps(x[4 * i], x[4 * i + 1]), t1 = _mm256_unpackhi_ps(x[4 * i], x[4 * i + 1]);
            const __m256 t2 = _mm256_unpacklo_ps(x[4 * i + 2], x[4 * i + 3]), t3 = _mm256_unpackhi_ps(x[4 * i + 2], x[4 * i + 3]);
            b[4 * i] = _mm256_shuffle_ps(t0, t2, 0x44);
            b[4 * i + 1] = _mm256_shuffle_ps(t0, t2, 0xEE);
            b[4 * i + 2] = _mm256_shuffle_ps(t1, t3, 0x44);
            b[4 * i + 3] = _mm256_shuffle_ps(t1, t3, 0xEE);
        }
        HEADWISE_UNROLL for (int j = 0; j < 4; ++j) {
            x[j] = _mm256_permute2f128_ps(b[j], b[4 + j], 0x20);
            x[4 + j] = _mm256_permute2f128_ps(b[j], b[4 + j], 0x31);
        }
    }
    static HEADWISE_INLINE void deinterleave(Floats& a, Floats& b) {
        const __m256 evens = _mm256_shuffle_ps(a, b, 0x88), odds = _mm256_shuffle_ps(a, b, 0xDD);
        a = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(evens), 0xD8));
        b = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(odds), 0xD8));
    }
    static HEADWISE_INLINE void interleave(Floats& a, Floats& b) {
        const __m256 t0 = _mm256_unpacklo_ps(a, b), t1 = _mm256_unpackhi_ps(a, b);
        a = _mm256_permute2f128_ps(t0, t1, 0x20);
        b = _mm256_permute2f128_ps(t0, t1, 0x31);
    }

  private:
    static HEADWISE_INLINE __m256i tail_mask(std::int64_t count) {
        return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    }
    static HEADWISE_INLINE __m256 from_exponent(__m256i biased) { return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23)); }
    static HEADWISE_INLINE __m128 fold(__m256 x) { return _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1)); }
};

}  // namespace
}  // namespace headwise
