#pragma once

#include <cstdint>

#include "engine/kernels/attention_kernels.hpp"
#include "engine/simd/inline.hpp"

// Which keys the masks of ScoreRules let a row see, as bits: one word for 16 keys.
namespace headwise {
namespace {

constexpr int kWordKeys = 16;

constexpr float kLog2E = 0x1.715476p+0f;
// The smallest float as a bias or score means "masked", too, but to the formula it is a number: rows of nothing else come out as
// the mean of the values. In units of log2 it must not become -Inf, so finite ones below this count as this.
constexpr float kLowestLogit = -0x1.62p+127f;

/// Natural units to those of log2; NaN stays.
template <class S>
HEADWISE_INLINE typename S::Floats in_log2(typename S::Floats x) {
    return S::max(S::broadcast(kLowestLogit), x) * S::broadcast(kLog2E);
}

/// A bias, or a score that the caller's function gave, with 0 in place of -Inf. That hides the pair, whatever its score is: taken
/// as kLowestLogit it would overflow on top of another low number.
template <class S>
HEADWISE_INLINE typename S::Floats zero_if_hidden(typename S::Floats x) {
    return S::select(S::less(x, S::broadcast(kNoKeyYet)), S::zero(), x);
}

HEADWISE_INLINE std::uint32_t low_bits(std::int64_t count) {
    return (1u << static_cast<unsigned>(count)) - 1u;
}

/// Bit i: byte i is not 0, of `count` bytes (1..15).
inline std::uint32_t mask_byte_bits(const std::uint8_t* bytes, std::int64_t count) {
    std::uint32_t bits = 0;
    for (std::int64_t i = 0; i < count; ++i) bits |= (bytes[i] != 0 ? 1u : 0u) << static_cast<unsigned>(i);
    return bits;
}

/// `count` (1..16) bits from bit `first` on, lowest first; bytes without any of them are not read.
HEADWISE_INLINE std::uint32_t bits_at(const std::uint8_t* bytes, std::int64_t first, std::int64_t count) {
    const auto shift = static_cast<unsigned>(first % 8);
    bytes += first / 8;
    std::uint32_t bits = bytes[0];
    if (shift + static_cast<unsigned>(count) > 8) bits |= static_cast<std::uint32_t>(bytes[1]) << 8;
    if (shift + static_cast<unsigned>(count) > 16) bits |= static_cast<std::uint32_t>(bytes[2]) << 16;
    return (bits >> shift) & low_bits(count);
}

inline std::uint32_t block_bits(const std::uint8_t* blocks, std::int64_t key_block, std::int64_t first, std::int64_t count) {
    std::uint32_t bits = 0;
    for (std::int64_t i = 0; i < count;) {
        const std::int64_t block = (first + i) / key_block, left = (block + 1) * key_block - first;
        const std::int64_t end = left < count ? left : count;
        if (blocks[block]) bits |= low_bits(end) & ~low_bits(i);
        i = end;
    }
    return bits;
}

/// The nodes on the way from `node` up to its root, and all keys before the tree.
inline std::uint32_t tree_bits(const std::int32_t* parents, std::int64_t tree_begin, std::int64_t node, std::int64_t first,
                               std::int64_t count) {
    const std::int64_t before = tree_begin - first;
    std::uint32_t bits = before <= 0 ? 0 : low_bits(before < count ? before : count);
    for (; node >= 0 && tree_begin + node >= first; node = parents[node]) {
        const std::int64_t i = tree_begin + node - first;
        if (i < count) bits |= 1u << static_cast<unsigned>(i);
    }
    return bits;
}

/// words[i]: the keys [first, first + count), count in 1..16, that the masks let row `row` + i see, for i < rows. Mask by mask, so
/// that each is a short loop.
template <class S>
HEADWISE_INLINE void read_words(const ScoreRules& rules, std::int64_t row, std::int64_t rows, std::int64_t first,
                                std::int64_t count, std::uint16_t* words) {
    const auto keep = [&](auto bits) HEADWISE_LAMBDA_INLINE {
        for (std::int64_t i = 0; i < rows; ++i) words[i] = static_cast<std::uint16_t>(words[i] & bits(row + i));
    };
    for (std::int64_t i = 0; i < rows; ++i) words[i] = static_cast<std::uint16_t>(low_bits(count));
    if (rules.mask && count == kWordKeys)
        keep([&](std::int64_t r) HEADWISE_LAMBDA_INLINE {
            __builtin_prefetch(rules.mask[r] + first + 128);  // as rows of a bias
            return S::nonzero_bytes(rules.mask[r] + first);
        });
    else if (rules.mask)
        keep([&](std::int64_t r) { return mask_byte_bits(rules.mask[r] + first, count); });
    if (rules.mask_bits) keep([&](std::int64_t r) HEADWISE_LAMBDA_INLINE { return bits_at(rules.mask_bits[r], first, count); });
    if (rules.blocks) keep([&](std::int64_t r) { return block_bits(rules.blocks[r], rules.key_block, first, count); });
    if (rules.parents)
        keep([&](std::int64_t r) { return tree_bits(rules.parents, rules.tree_begin, rules.queries[r], first, count); });
}

/// The same of one row.
template <class S>
HEADWISE_INLINE std::uint32_t visible_keys(const ScoreRules& rules, std::int64_t row, std::int64_t first, std::int64_t count) {
    std::uint16_t word = 0;
    read_words<S>(rules, row, 1, first, count, &word);
    return word;
}

/// Whether row `row` may see any key in [begin, end). What the caller's function hides shows in the scores alone, so that with it
/// the answer is no; it is asked for where all scores are -Inf.
template <class S>
bool sees_any_key(const ScoreRules& rules, std::int64_t row, std::int64_t begin, std::int64_t end) {
    if (rules.function) return false;
    for (std::int64_t key = begin; key < end; key += kWordKeys) {
        const std::int64_t count = end - key < kWordKeys ? end - key : kWordKeys;
        std::uint32_t bits = visible_keys<S>(rules, row, key, count);
        for (std::int64_t i = 0; rules.bias && i < count; ++i)
            if (rules.bias[row][key + i] == -__builtin_inff()) bits &= ~(1u << static_cast<unsigned>(i));
        if (bits != 0) return true;
    }
    return false;
}

}  // namespace
}  // namespace headwise
