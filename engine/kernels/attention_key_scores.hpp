#pragma once

#include <cstdint>

#include "engine/kernels/attention_kernels.hpp"
#include "engine/kernels/attention_visibility.hpp"
#include "engine/simd/exp.hpp"

// What becomes of the scores of one key block between the first product and the softmax, with elements of one row in lanes.
namespace headwise {
namespace {

/// The scores of up to 64 keys, scores[row][key] with 64 keys a row, and who sees them: bit j of visible[row] is key origin + j.
template <class S, int kRows>
struct KeyScores {
    using F = typename S::Floats;
    static constexpr int W = S::kLanes;
    static constexpr int kKeys = 64;

    float* scores = nullptr;
    std::int64_t origin = 0;
    int keys = 0;
    std::uint64_t visible[kRows];
    std::uint64_t all = 0, any = 0;  // the keys that every row, and that any row, sees

    /// Goes to the first block of 64 keys at `first`, `first` + 64, ... before `end` that some row sees any of; keys is 0 if there
    /// is none.
    void find(const AttentionBlock& block, std::int64_t first, std::int64_t end) {
        for (origin = first; origin < end; origin += kKeys) {
            keys = static_cast<int>(end - origin < kKeys ? end - origin : kKeys);
            for (std::int64_t row = 0; row < block.rows; ++row) visible[row] = limit_bits(block, row);
            if (block.rules && block.rules->masks()) {
                for (std::int64_t row = 0; row < block.rows; ++row)
                    if (visible[row] != 0) visible[row] &= mask_bits(*block.rules, row);
            }
            sum_up(block.rows);
            if (any != 0) return;
        }
        keys = 0;
    }

    /// All rules, and -Inf for what is not visible.
    HEADWISE_INLINE void finish(const AttentionBlock& block) {
        if (block.rules) apply_rules(*block.rules, block.rows);
        for (std::int64_t row = 0; row < block.rows; ++row) {
            for (int i = 0; i < keys; i += W) {
                const std::uint32_t sees = lane_bits(row, i);
                if (sees == kAllLanes) continue;
                float* at = scores + row * kKeys + i;
                S::store(at, S::select(S::from_bits(sees), S::load(at), S::broadcast(-__builtin_inff())));
            }
        }
    }

  private:
    static constexpr std::uint32_t kAllLanes = (1u << W) - 1u;

    static HEADWISE_INLINE std::uint64_t low_keys(std::int64_t count) {
        return count <= 0 ? 0 : count >= kKeys ? ~std::uint64_t{0} : (std::uint64_t{1} << static_cast<unsigned>(count)) - 1u;
    }

    HEADWISE_INLINE std::uint32_t lane_bits(std::int64_t row, int key) const {
        return static_cast<std::uint32_t>(visible[row] >> static_cast<unsigned>(key)) & kAllLanes;
    }

    HEADWISE_INLINE std::uint64_t limit_bits(const AttentionBlock& block, std::int64_t row) const {
        std::uint64_t bits = low_keys(keys);
        if (block.key_end) bits &= low_keys(block.key_end[row] - origin);
        if (block.key_begin) bits &= ~low_keys(block.key_begin[row] - origin);
        return bits;
    }

    HEADWISE_INLINE std::uint64_t mask_bits(const ScoreRules& rules, std::int64_t row) const {
        std::uint64_t bits = 0;
        for (int i = 0; i < keys; i += kWordKeys) {
            const int count = keys - i < kWordKeys ? keys - i : kWordKeys;
            bits |= std::uint64_t{visible_keys<S>(rules, row, origin + i, count)} << static_cast<unsigned>(i);
        }
        return bits;
    }

    HEADWISE_INLINE void sum_up(std::int64_t rows) {
        all = ~std::uint64_t{0};
        any = 0;
        for (std::int64_t row = 0; row < rows; ++row) {
            all &= visible[row];
            any |= visible[row];
        }
    }

    HEADWISE_INLINE void apply_rules(const ScoreRules& rules, std::int64_t rows) {
        if (rules.softcap != 0) {
            const F factor = S::broadcast(rules.softcap);
            for_scores(rows, [&](std::int64_t, int, F s) HEADWISE_LAMBDA_INLINE { return tanh_of_log2<S>(s) * factor; });
        }
        if (rules.function) {
            rules.function(rules.function_context, scores, kKeys, 1, origin, keys);
            for_scores(rows, [&](std::int64_t row, int key, F s) HEADWISE_LAMBDA_INLINE {
                hide(row, key, s);
                return in_log2<S>(zero_if_hidden<S>(s));
            });
        }
        if (rules.bias) {
            for_scores(rows, [&](std::int64_t row, int key, F s) HEADWISE_LAMBDA_INLINE {
                const float* from = rules.bias[row] + origin + key;
                const F bias = keys - key >= W ? S::load(from) : S::load_tail(from, keys - key);
                hide(row, key, bias);
                return S::fma(S::max(S::broadcast(kLowestLogit), zero_if_hidden<S>(bias)), S::broadcast(kLog2E), s);
            });
        }
        if (rules.alibi_slopes) {
            float lanes[W];
            for (int i = 0; i < W; ++i) lanes[i] = static_cast<float>(i);
            const F lane = S::load(lanes);
            for_scores(rows, [&](std::int64_t row, int key, F s) HEADWISE_LAMBDA_INLINE {
                const F distance = S::broadcast(static_cast<float>(origin - rules.positions[row])) +
                                   (S::broadcast(static_cast<float>(key)) + lane);
                return S::fma(S::broadcast(rules.alibi_slopes[row]), distance, s);
            });
        }
        if (rules.bias || rules.function) sum_up(rows);
    }

    template <class Function>
    HEADWISE_INLINE void for_scores(std::int64_t rows, Function function) {
        for (std::int64_t row = 0; row < rows; ++row)
            for (int i = 0; i < keys; i += W) {
                float* at = scores + row * kKeys + i;
                S::store(at, function(row, i, S::load(at)));
            }
    }

    HEADWISE_INLINE void hide(std::int64_t row, int key, F x) {
        const std::uint64_t hidden = S::bits(S::less(x, S::broadcast(kNoKeyYet)));
        visible[row] &= ~(hidden << static_cast<unsigned>(key));
    }
};

}  // namespace
}  // namespace headwise
