#pragma once

#include <cstdint>

#include "engine/simd/inline.hpp"

namespace headwise {
namespace {

/// Masks as bits without vectors. Functions as documented at X86MaskBits.
struct PlainMaskBits {
    static HEADWISE_INLINE std::uint32_t nonzero_bytes(const std::uint8_t* p) {
        std::uint32_t bits = 0;
        for (unsigned i = 0; i < 16; ++i) bits |= (p[i] != 0 ? 1u : 0u) << i;
        return bits;
    }
    static HEADWISE_INLINE void transpose_bits(const std::uint16_t* words, std::uint16_t* out) {
        for (unsigned i = 0; i < 16; ++i) {
            unsigned bits = 0;
            for (unsigned j = 0; j < 16; ++j) bits |= ((static_cast<unsigned>(words[j]) >> i) & 1u) << j;
            out[i] = static_cast<std::uint16_t>(bits);
        }
    }
};

}  // namespace
}  // namespace headwise
