#pragma once

#include <smmintrin.h>

#include <cstdint>

#include "engine/simd/inline.hpp"

namespace headwise {
namespace {

/// Masks as bits, on every x86 ISA: 16 bytes a time are enough for what is a small part of the work.
struct X86MaskBits {
    /// Bit i: byte i of 16 is not 0.
    static HEADWISE_INLINE std::uint32_t nonzero_bytes(const std::uint8_t* p) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        return ~static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_setzero_si128()))) & 0xffffu;
    }

    /// Bit i of words[j] becomes bit j of out[i], 16 x 16.
    static HEADWISE_INLINE void transpose_bits(const std::uint16_t* words, std::uint16_t* out) {
        const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(words));
        const __m128i second = _mm_loadu_si128(reinterpret_cast<const __m128i*>(words + 8));
        const __m128i byte = _mm_set1_epi16(0xff);
        __m128i low = _mm_packus_epi16(_mm_and_si128(first, byte), _mm_and_si128(second, byte));
        __m128i high = _mm_packus_epi16(_mm_srli_epi16(first, 8), _mm_srli_epi16(second, 8));
        // The top bit of each of 16 bytes at a time.
        HEADWISE_UNROLL for (int i = 7; i >= 0; --i) {
            out[i] = static_cast<std::uint16_t>(_mm_movemask_epi8(low));
            out[i + 8] = static_cast<std::uint16_t>(_mm_movemask_epi8(high));
            low = _mm_add_epi8(low, low);
            high = _mm_add_epi8(high, high);
        }
    }
};

}  // namespace
}  // namespace headwise
