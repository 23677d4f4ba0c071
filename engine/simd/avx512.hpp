#pragma once

#include <immintrin.h>

#include "engine/simd/mask_bits_x86.hpp"
#include "engine/simd/xsimd_primitives.hpp"
#include "headwise/isa.hpp"

namespace headwise {
namespace {

/// AVX-512 F, BW, CD, DQ, VL: 32 registers of 16 floats.
struct Avx512 : XsimdPrimitives<xsimd::avx512dq>, X86MaskBits {
    static constexpr Isa kIsa = Isa::avx512;
    static constexpr const char* kFeatures =
        "avx2 fma f16c avx512f avx512bw avx512cd avx512dq avx512vl";  // as the compiler's flags
    static constexpr int kRegisters = 32;
    /// scale_by_power_of_two() gives 0 for n = -inf and inf for n = inf whatever x is, NaN included: the instruction is made for
    /// exp.
    static constexpr bool kScalesByInfinity = true;
    static constexpr bool kFused = true;  ///< fma() rounds once

    /// a * b + c in one rounding. xsimd 8.1 has no AVX-512 fma.
    static HEADWISE_INLINE Floats fma(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
    /// c - a * b in one rounding.
    static HEADWISE_INLINE Floats fnma(Floats a, Floats b, Floats c) { return _mm512_fnmadd_ps(a, b, c); }
    /// a * b + c where the mask is set, else c: whatever a and b hold there has no effect.
    static HEADWISE_INLINE Floats masked_fma(Mask mask, Floats a, Floats b, Floats c) {
        return _mm512_mask3_fmadd_ps(a, b, c, mask);
    }

    /// Bit i: lane i of the mask; and back.
    static HEADWISE_INLINE std::uint32_t bits(Mask mask) { return static_cast<__mmask16>(mask); }
    static HEADWISE_INLINE Mask from_bits(std::uint32_t bits) { return Mask(static_cast<__mmask16>(bits)); }

    /// The larger; b where either is NaN.
    static HEADWISE_INLINE Floats max(Floats a, Floats b) { return _mm512_max_ps(a, b); }
    static HEADWISE_INLINE Floats min(Floats a, Floats b) { return _mm512_min_ps(a, b); }
    static HEADWISE_INLINE Floats abs(Floats a) { return _mm512_abs_ps(a); }

    static HEADWISE_INLINE Floats round_nearest(Floats x) {
        return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    }
    /// x * 2^n, correctly rounded into the denormals, for integral n in [-252, 254]; here also for any other.
    static HEADWISE_INLINE Floats scale_by_power_of_two(Floats x, Floats n) { return _mm512_scalef_ps(x, n); }
    /// Not a < b: also where either is NaN.
    static HEADWISE_INLINE Mask not_less(Floats a, Floats b) { return Mask(_mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ)); }
    /// a - b and scale_by_power_of_two(), or 0 where the mask is not set; what a, x and n hold there raises no flag.
    static HEADWISE_INLINE Floats subtract_or_zero(Mask mask, Floats a, Floats b) { return _mm512_maskz_sub_ps(mask, a, b); }
    static HEADWISE_INLINE Floats scale_or_zero(Mask mask, Floats x, Floats n) { return _mm512_maskz_scalef_ps(mask, x, n); }

    /// The first `count` (0..16) floats; the other lanes are 0 and their memory is not touched.
    static HEADWISE_INLINE Floats load_tail(const float* p, std::int64_t count) {
        return _mm512_maskz_loadu_ps(tail_mask(count), p);
    }
    static HEADWISE_INLINE void store_tail(float* p, Floats x, std::int64_t count) {
        _mm512_mask_storeu_ps(p, tail_mask(count), x);
    }

    /// Has x in a register from here on, where a compiler would rather load it again for each of its uses; loads that are kept
    /// happen in the order of the program.
    static HEADWISE_INLINE void keep(Floats& x) { asm volatile("" : "+v"(x.data)); }

    static HEADWISE_INLINE float reduce_add(Floats x) { return _mm512_reduce_add_ps(x); }
    static HEADWISE_INLINE float reduce_max(Floats x) { return _mm512_reduce_max_ps(x); }

    /// out[i] = the sum of the lanes of xi, each in the same order of additions.
    static HEADWISE_INLINE void reduce_add_4(Floats x0, Floats x1, Floats x2, Floats x3, float* out) {
        const __m128 low = _mm_hadd_ps(fold(x0), fold(x1));
        const __m128 high = _mm_hadd_ps(fold(x2), fold(x3));
        _mm_storeu_ps(out, _mm_hadd_ps(low, high));
    }

    static constexpr bool kFolds4 = true;  ///< has fold_4() and reduce_folded_4()
    /// The sums of the lanes i, i + 4, i + 8, i + 12 (i = 0..3) of x0, then of x1, x2, x3.
    static HEADWISE_INLINE Floats fold_4(Floats x0, Floats x1, Floats x2, Floats x3) {
        const auto halves = [](__m512 a, __m512 b) HEADWISE_LAMBDA_INLINE {
            return _mm512_add_ps(_mm512_mask_blend_ps(0xff00, a, b), _mm512_shuffle_f32x4(a, b, 0x4e));
        };
        const __m512 low = halves(x0, x1), high = halves(x2, x3);
        return _mm512_add_ps(_mm512_shuffle_f32x4(low, high, 0x88), _mm512_shuffle_f32x4(low, high, 0xdd));
    }
    /// out[i * stride + j] = the sum of xi that went into yj = fold_4(x0, x1, x2, x3), with the additions of reduce_add_4().
    static HEADWISE_INLINE void reduce_folded_4(Floats y0, Floats y1, Floats y2, Floats y3, float* out, std::int64_t stride) {
        const auto pairs = [](__m512 a, __m512 b) HEADWISE_LAMBDA_INLINE {
            return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd));
        };
        const __m512 sums = pairs(pairs(y0, y1), pairs(y2, y3));
        _mm_storeu_ps(out, _mm512_castps512_ps128(sums));
        _mm_storeu_ps(out + stride, _mm512_extractf32x4_ps(sums, 1));
        _mm_storeu_ps(out + 2 * stride, _mm512_extractf32x4_ps(sums, 2));
        _mm_storeu_ps(out + 3 * stride, _mm512_extractf32x4_ps(sums, 3));
    }

    /// Transposes a 16 x 16 tile held in registers.
    static HEADWISE_INLINE void transpose(Floats (&x)[16]) {
        // 4 x 4 blocks within the 128-bit lanes: b[4 i + j] holds column 4 l + j of rows 4 i .. 4 i + 3 in its lane l.
        __m512 b[16];
        HEADWISE_UNROLL for (int i = 0; i < 4; ++i) {
            const __m512 t0 = _mm512_unpacklo_ps(x[4 * i], x[4 * i + 1]), t1 = _mm512_unpackhi_ps(x[4 * i], x[4 * i + 1]);
            const __m512 t2 = _mm512_unpacklo_ps(x[4 * i + 2], x[4 * i + 3]), t3 = _mm512_unpackhi_ps(x[4 * i + 2], x[4 * i + 3]);
            b[4 * i] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(t0), _mm512_castps_pd(t2)));
            b[4 * i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(t0), _mm512_castps_pd(t2)));
            b[4 * i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(t1), _mm512_castps_pd(t3)));
            b[4 * i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(t1), _mm512_castps_pd(t3)));
        }
        // Then the 4 x 4 matrix of lanes, for each j.
        HEADWISE_UNROLL for (int j = 0; j < 4; ++j) {
            const __m512 t0 = _mm512_shuffle_f32x4(b[j], b[4 + j], 0x44), t1 = _mm512_shuffle_f32x4(b[8 + j], b[12 + j], 0x44);
            const __m512 t2 = _mm512_shuffle_f32x4(b[j], b[4 + j], 0xEE), t3 = _mm512_shuffle_f32x4(b[8 + j], b[12 + j], 0xEE);
            x[j] = _mm512_shuffle_f32x4(t0, t1, 0x88);
            x[4 + j] = _mm512_shuffle_f32x4(t0, t1, 0xDD);
            x[8 + j] = _mm512_shuffle_f32x4(t2, t3, 0x88);
            x[12 + j] = _mm512_shuffle_f32x4(t2, t3, 0xDD);
        }
    }

    /// Of 32 floats, 16 in a and then 16 in b, a becomes those at even places and b those at odd ones.
    static HEADWISE_INLINE void deinterleave(Floats& a, Floats& b) {
        const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        const __m512 evens = _mm512_permutex2var_ps(a, even, b);
        b = _mm512_permutex2var_ps(a, _mm512_add_epi32(even, _mm512_set1_epi32(1)), b);
        a = evens;
    }
    /// Undoes deinterleave().
    static HEADWISE_INLINE void interleave(Floats& a, Floats& b) {
        const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        const __m512 lows = _mm512_permutex2var_ps(a, low, b);
        b = _mm512_permutex2var_ps(a, _mm512_add_epi32(low, _mm512_set1_epi32(8)), b);
        a = lows;
    }

  private:
    static HEADWISE_INLINE __mmask16 tail_mask(std::int64_t count) {
        return static_cast<__mmask16>((1u << static_cast<unsigned>(count)) - 1);
    }
    static HEADWISE_INLINE __m128 fold(__m512 x) {
        const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
        return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    }
};

}  // namespace
}  // namespace headwise
