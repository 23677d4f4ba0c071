#pragma once

#include <cstdint>

#include "engine/kernels/attention_kernels.hpp"
#include "engine/kernels/attention_visibility.hpp"
#include "engine/simd/exp.hpp"

// What becomes of the scores of one key block between the first product and the softmax, with queries in lanes: softcap, the
// caller's function, ALiBi, bias, masks. Each is a pass of its own over scores that lie in the first cache.
namespace headwise {
namespace {

/// Keys of a key block as one row vector sees them: none before `begin` and from `end` on, all lanes those in [full_begin,
/// full_end).
struct VectorKeys {
    int begin, full_begin, full_end, end;
};

/// The scores of one key block and who sees them: scores[key][row], visible[vector][key] one bit for each lane of the vector.
template <class S, int kKeys, int kVectors>
struct QueryScores {
    static_assert(kKeys % S::kLanes == 0);
    using F = typename S::Floats;
    static constexpr int W = S::kLanes;
    static constexpr std::uint32_t kAllLanes = (1u << W) - 1u;

    float* scores;
    std::int64_t stride;
    int vectors;
    std::int64_t rows;
    std::int64_t origin;  // the block's first key
    const ScoreRules* rules;
    VectorKeys keys[kVectors];
    std::uint16_t visible[kVectors][kKeys];

    /// Fills `visible` from the masks, for the keys [0, count). Returns the range outside of which, in steps of 16 keys, no row
    /// sees any; empty where nothing is seen.
    HEADWISE_INLINE VectorKeys read_masks(int count) {
        VectorKeys range{count, 0, 0, 0};
        for (int key = 0; key < count; key += kWordKeys) {
            const int here = count - key < kWordKeys ? count - key : kWordKeys;
            std::uint32_t any = 0;
            for (std::int64_t row = 0; row < rows; row += 16) any |= read_mask_words(row, key, here);
            if (any == 0) continue;
            if (range.begin == count) range.begin = key;
            range.end = key + here;
        }
        return range;
    }

    /// Everything but the limits lets every row see every key of [0, count).
    HEADWISE_INLINE void see_all(int count) {
        for (int v = 0; v < vectors; ++v)
            for (int key = 0; key < count; ++key) visible[v][key] = static_cast<std::uint16_t>(kAllLanes);
    }

    /// Takes the bits of lanes away that are beyond their limits; begins and ends are the limits of each row within the block.
    HEADWISE_INLINE void apply_limits(int vector, const float* begins, const float* ends) {
        const VectorKeys& k = keys[vector];
        const F begin = S::load(begins + vector * W), end = S::load(ends + vector * W);
        const auto limit = [&](int from, int to) HEADWISE_LAMBDA_INLINE {
            for (int key = from; key < to; ++key) {
                const F at = S::broadcast(static_cast<float>(key));
                const std::uint32_t sees = S::bits(S::less(at, end)) & ~S::bits(S::less(at, begin));
                visible[vector][key] = static_cast<std::uint16_t>(visible[vector][key] & sees);
            }
        };
        limit(k.begin, k.full_begin < k.end ? k.full_begin : k.end);
        limit(k.full_end > k.begin ? k.full_end : k.begin, k.end);
    }

    /// All rules but the masks. Returns whether one of them hides anything.
    HEADWISE_INLINE bool apply_rules(int count) {
        bool hides = false;
        if (rules->softcap != 0) {
            const float factor = rules->softcap;
            for_scores([&](F s) HEADWISE_LAMBDA_INLINE { return tanh_of_log2<S>(s) * S::broadcast(factor); });
        }
        if (rules->function) {
            rules->function(rules->function_context, scores, 1, stride, origin, count);
            hide_infinite();
            for_scores([](F s) HEADWISE_LAMBDA_INLINE { return in_log2<S>(zero_if_hidden<S>(s)); });
            hides = true;
        }
        if (rules->bias && add_bias()) hides = true;
        if (rules->alibi_slopes) add_alibi();
        return hides;
    }

    /// Hides what is not visible and returns the largest score that is left of each lane. Without a branch on each key: under a
    /// mask that shows most keys it would be guessed wrongly all the time.
    HEADWISE_INLINE F mask(int vector) {
        F largest = S::broadcast(-__builtin_inff());
        const VectorKeys& k = keys[vector];
        float* score = scores + k.begin * stride + vector * W;
        const std::uint16_t* sees = visible[vector];
        HEADWISE_UNROLL_4 for (int key = k.begin; key < k.end; ++key, score += stride) {
            const F s = S::select(S::from_bits(sees[key]), S::load(score), S::broadcast(-__builtin_inff()));
            S::store(score, s);
            largest = S::max(s, largest);
        }
        return largest;
    }

    /// The same where everything is visible.
    HEADWISE_INLINE F largest(int vector) const {
        F largest = S::broadcast(-__builtin_inff());
        const VectorKeys& k = keys[vector];
        const float* score = scores + k.begin * stride + vector * W;
        HEADWISE_UNROLL_4 for (int key = k.begin; key < k.end; ++key, score += stride) largest = S::max(S::load(score), largest);
        return largest;
    }

  private:
    template <class Function>
    HEADWISE_INLINE void for_scores(Function function) {
        for (int v = 0; v < vectors; ++v) {
            HEADWISE_UNROLL_4 for (int key = keys[v].begin; key < keys[v].end; ++key) {
                float* score = scores + key * stride + v * W;
                S::store(score, function(S::load(score)));
            }
        }
    }

    /// The bits of 16 rows and up to 16 keys, turned from a word for each row to a word for each key. Returns whether there are
    /// any.
    HEADWISE_INLINE std::uint32_t read_mask_words(std::int64_t row, int key, int count) {
        std::uint16_t words[16], turned[16];
        const std::int64_t here = rows - row < 16 ? rows - row : 16;
        for (std::int64_t i = here; i < 16; ++i) words[i] = 0;
        read_words<S>(*rules, row, here, origin + key, count, words);
        std::uint32_t any = 0;
        for (int i = 0; i < 16; ++i) any |= words[i];
        constexpr int kShare = 16 / W;  // row vectors in 16 rows
        const int first = static_cast<int>(row) / W;
        if (kShare == 1 && count == 16) {
            S::transpose_bits(words, visible[first] + key);
            return any;
        }
        S::transpose_bits(words, turned);
        for (int v = 0; v < kShare && first + v < vectors; ++v)
            for (int i = 0; i < count; ++i)
                visible[first + v][key + i] = static_cast<std::uint16_t>((static_cast<unsigned>(turned[i]) >> (v * W)) & kAllLanes);
        return any;
    }

    /// A score of -Inf that the caller's function gave hides the pair.
    HEADWISE_INLINE void hide_infinite() {
        for (int v = 0; v < vectors; ++v)
            for (int key = keys[v].begin; key < keys[v].end; ++key) hide(v, key, S::load(scores + key * stride + v * W));
    }

    HEADWISE_INLINE void hide(int vector, int key, F x) {
        const std::uint32_t shown = ~S::bits(S::less(x, S::broadcast(kNoKeyYet))) & kAllLanes;
        visible[vector][key] = static_cast<std::uint16_t>(visible[vector][key] & shown);
    }

    /// A bias lies as the caller has it, [row][key]. For each row vector it is read row by row, in the order of addresses, then
    /// turned in registers, W rows of W keys at a time. (Rows are often a power of two apart and meet in one set of the first
    /// cache: loads across them throw out all else that lies there, 5 % of the time with 64 dimensions, Zen 4.) Returns whether
    /// anything is hidden.
    HEADWISE_INLINE bool add_bias() {
        bool hides = false;
        for (int v = 0; v < vectors; ++v) {
            if (keys[v].begin >= keys[v].end) continue;
            // Scores before the first key that is seen are old ones: biases must not add up there.
            const int begin = keys[v].begin / W * W;
            for (int key = begin; key < keys[v].begin; ++key) S::store(scores + key * stride + v * W, S::zero());
            alignas(64) float bias[W][kKeys];
            if (copy_bias(v, begin, bias)) {
                hide_by_bias(v, bias);
                hides = true;
            }
            for (int key = begin; key < keys[v].end; key += W) add_bias_tile(&bias[0][key], scores + key * stride + v * W, stride);
        }
        return hides;
    }

    /// bias[lane][key] = that of the keys [begin, keys[vector].end), in units of log2 and at least kLowestLogit; 0 in the
    /// rest of the last vector and in lanes beyond the last row. Returns whether one may be -Inf.
    HEADWISE_TILE bool copy_bias(int vector, int begin, float (*bias)[kKeys]) const {
        const int end = keys[vector].end;
        F least = S::zero();
        const auto copy = [&](F x, float* to) HEADWISE_LAMBDA_INLINE {
            least = S::min(x, least);
            S::store(to, in_log2<S>(x));
        };
        for (int lane = 0; lane < W; ++lane) {
            float* to = bias[lane];
            int key = begin;
            if (vector * W + lane >= rows) {
                for (; key < end; key += W) S::store(to + key, S::zero());
                continue;
            }
            const float* from = rules->bias[vector * W + lane] + origin;
            for (; key + W <= end; key += W) copy(S::load(from + key), to + key);
            if (key < end) copy(S::load_tail(from + key, end - key), to + key);
        }
        return S::any(S::less(least, S::broadcast(kNoKeyYet)));
    }

    /// Hides pairs whose bias is -Inf, and makes it 0 (zero_if_hidden).
    HEADWISE_TILE void hide_by_bias(int vector, float (*bias)[kKeys]) {
        for (int lane = 0; lane < W && vector * W + lane < rows; ++lane)
            for (int key = keys[vector].begin; key < keys[vector].end; ++key) {
                if (rules->bias[vector * W + lane][origin + key] != -__builtin_inff()) continue;
                visible[vector][key] = static_cast<std::uint16_t>(visible[vector][key] & ~(1u << lane));
                bias[lane][key] = 0;
            }
    }

    /// scores[key][lane] += bias[lane][key], W x W.
    static HEADWISE_TILE void add_bias_tile(const float* bias, float* scores, std::int64_t stride) {
        F tile[W];
        HEADWISE_UNROLL for (int i = 0; i < W; ++i) tile[i] = S::load(bias + i * kKeys);
        S::transpose(tile);
        HEADWISE_UNROLL for (int i = 0; i < W; ++i) {
            S::store(scores, S::load(scores) + tile[i]);
            scores += stride;
        }
    }

    HEADWISE_INLINE void add_alibi() {
        for (int v = 0; v < vectors; ++v) {
            float first[W], slopes[W];  // distance of the block's first key, and slope, of each lane
            for (int i = 0; i < W; ++i) {
                const std::int64_t row = v * W + i < rows ? v * W + i : rows - 1;
                first[i] = static_cast<float>(origin - rules->positions[row]);
                slopes[i] = rules->alibi_slopes[row];
            }
            const F distance = S::load(first), slope = S::load(slopes);
            HEADWISE_UNROLL_4 for (int key = keys[v].begin; key < keys[v].end; ++key) {
                float* score = scores + key * stride + v * W;
                S::store(score, S::fma(slope, distance + S::broadcast(static_cast<float>(key)), S::load(score)));
            }
        }
    }
};

}  // namespace
}  // namespace headwise
