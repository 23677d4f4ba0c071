#pragma once

#include <cstdint>

#include "engine/kernels/attention_kernels.hpp"
#include "engine/kernels/attention_query_scores.hpp"
#include "engine/kernels/attention_query_state.hpp"
#include "engine/kernels/attention_query_tiles.hpp"
#include "engine/kernels/key_value_rows.hpp"
#include "engine/simd/exp.hpp"

// Attention with queries in lanes, for blocks of many rows. One vector holds one element of kLanes rows, so the softmax is vertical
// (maximum, exp2 and sum need no horizontal step), and K and V are only ever broadcast, element by element, from where they lie:
// neither is packed, any stride and any head dimension will do. Layouts, with R = rows padded to vectors:
//   queries      [head_dim][R]     packed once for each block
//   scores       [key_block][R]
//   accumulators [value_dim][R]    transposed back once, when the block is finished
namespace headwise {
namespace {

template <class S>
struct QueryLanes {
    using F = typename S::Floats;
    using Tiles = QueryTiles<S>;
    static constexpr int W = S::kLanes, kLine = Tiles::kLine;
    static constexpr int kTileVectors = S::kRegisters == 32 ? 4 : 2;
    static constexpr int kBlockVectors = 64 / W < 4 ? 4 : (64 / W > 16 ? 16 : 64 / W);
    static constexpr int kMaxRows = kBlockVectors * W;
    static constexpr int kKeyBlock = 96;  // at most
    static_assert(kKeyBlock <= kMaxTurnedKeys);

    /// Keys [begin, end) of a key block.
    struct Keys {
        int begin, end;
    };

    /// Keys [begin, end) of the block that is being worked on, whose scores the row vectors [first, last) need.
    struct Span {
        int begin, end;
        int first, last;
    };

    static constexpr int kLookAhead = 2 * 12;  // rows of two of the tallest tiles

    /// What a call to attend() keeps at hand.
    struct Context {
        explicit Context(const AttentionBlock& b)
            : block(b), stride(QueryState<S>::padded_rows(b)), vectors(static_cast<int>(stride / W)) {
            scores.scores = b.scores;
            scores.stride = stride;
            scores.vectors = vectors;
            scores.rows = b.rows;
            scores.rules = b.rules;
            fetch_ahead = {b.fetch, b.fetch_count, 0, b.head_dim};
        }

        const AttentionBlock& block;
        std::int64_t stride;  // rows padded: the distance of the packed arrays' rows
        int vectors;
        bool fresh = true;   // no key seen yet: what row_sum and accumulators hold does not matter
        bool hides = false;  // a rule hides some of the key block, beside the limits
        // What value tiles ask for: biases of the next key block, whose rows are too far apart for the processor to foresee (and
        // which are too many to be waited for in one go: 6 % of the time with 64 dimensions, Zen 4), then block.fetch.
        typename Tiles::RowsAhead bias_ahead{}, fetch_ahead;
        QueryScores<S, kKeyBlock, kBlockVectors> scores;
        // Of the key block: where its keys lie, also those that tiles look ahead to, and its values.
        const float* keys[kKeyBlock + kLookAhead];
        const float* values[kKeyBlock];
        alignas(64) float block_max[kMaxRows];
        alignas(64) float begins[kMaxRows];  // key_begin and key_end relative to the key block, where one lies within
        alignas(64) float ends[kMaxRows];
    };
    // ---- scores

    /// The next rows to ask for, as many as have at most `keys` lines.
    static HEADWISE_INLINE typename Tiles::RowsAhead rows_ahead(Context& c, int keys) {
        typename Tiles::RowsAhead& source = c.bias_ahead.rows > 0 ? c.bias_ahead : c.fetch_ahead;
        typename Tiles::RowsAhead part = source;
        const std::int64_t fit = keys / part.lines();
        if (part.rows > fit) part.rows = fit;
        source.row += part.rows;
        source.rows -= part.rows;
        return part;
    }

    /// The biases of a key block.
    static HEADWISE_INLINE void ask_for_bias(Context& c, std::int64_t origin, std::int64_t keys) {
        if (!c.block.rules || !c.block.rules->bias || keys <= 0) return;
        c.bias_ahead = {c.block.rules->bias, c.block.rows, origin, origin + keys};
    }

    /// The score tiles of the row vectors [first, first + Vectors) and the keys of a span. With Fetch they also ask for what the
    /// next ones read: the keys of the tile after the next, and their own keys' values.
    template <int Vectors, bool Fetch>
    static HEADWISE_INLINE void score_columns(Context& c, const Span& span, int first) {
        constexpr int kRows = Tiles::score_rows(Vectors);
        const auto tile = [&](auto rows, auto fetch, int key) HEADWISE_LAMBDA_INLINE {
            Tiles::template score_tile<rows.value, Vectors, fetch.value>(
                c.keys + key, c.block.queries + first * W, c.stride, c.block.head_dim, c.block.scores + key * c.stride + first * W,
                c.block_max + first * W, c.keys + key + 2 * kRows, c.values + key);
        };
        int key = span.begin;
        for (; key + kRows <= span.end; key += kRows) {
            if (kRows == 6 && span.end - key == 8) break;  // 4 + 4 are quicker than 6 + 2
            tile(Constant<kRows>{}, Constant < Fetch && 2 * kRows<kLine>{}, key);
        }
        if constexpr (kRows > 4)
            for (; key + 4 <= span.end; key += 4) tile(Constant<4>{}, Constant<false>{}, key);
        if constexpr (kRows >
                      3) {  // with one vector a tile of few keys takes as long as one of four: that of a multiply-add's latency
            if (span.end - key == 3) {
                tile(Constant<3>{}, Constant<false>{}, key);
                key += 3;
            }
        }
        if constexpr (kRows > 2)
            for (; key + 2 <= span.end; key += 2) tile(Constant<2>{}, Constant<false>{}, key);
        for (; key < span.end; ++key) tile(Constant<1>{}, Constant<false>{}, key);
    }

    static void score_span(Context& c, const Span& span) {
        for_vector_groups(span.first, span.last, [&](auto vectors, int first) HEADWISE_LAMBDA_INLINE {
            if (first == span.first && span.last - span.first == c.vectors)
                score_columns<vectors.value, true>(c, span, first);
            else
                score_columns<vectors.value, false>(c, span, first);
        });
    }

    // ---- softmax

    /// Turns the scores of one row vector and the keys [begin, end) into weights; keeps row_max, row_sum and the accumulators
    /// consistent. Whether a lane's reference rises depends on that lane alone, so that a row's bits do not depend on the rows
    /// beside it.
    static HEADWISE_INLINE void weights(Context& c, int vector, int begin, int end) {
        const std::int64_t at = vector * W;
        const F old_max = c.fresh ? S::broadcast(kNoKeyYet) : S::load(c.block.row_max + at), block_max = S::load(c.block_max + at);
        const auto rises = S::less(old_max + S::broadcast(kRescaleThreshold), block_max);
        F max = old_max, before = c.fresh ? S::zero() : S::load(c.block.row_sum + at);
        if (c.fresh) {
            max = S::select(rises, block_max, old_max);
            S::store(c.block.row_max + at, max);
        } else if (S::any(rises)) {
            max = S::select(rises, block_max, old_max);
            const F factor = exp2_weight_of_difference<S>(old_max, max);  // exactly 1 in lanes that do not rise
            S::store(c.block.row_max + at, max);
            before = before * factor;
            float* accumulator = c.block.accumulators + at;
            for (std::int64_t d = 0; d < c.block.value_dim; ++d, accumulator += c.stride)
                S::store(accumulator, S::load(accumulator) * factor);
        }
        const std::int64_t stride = c.stride;
        float* score = c.block.scores + begin * stride + at;
        int key = begin;
        // A key block's own sum, from zero and key by key, as value tiles add values: one chain over all keys loses five digits of
        // a million small weights, and values that are all 1 come out as 1, since both sums are made of the same additions.
        F sum = S::zero();
        // Enough chains in flight (4 and 8 are within 3 %), and key blocks are multiples of it. Two where more do not fit.
        constexpr int kUnroll = S::kRegisters == 32 ? 6 : 2;
        for (; key + kUnroll <= end; key += kUnroll, score += kUnroll * stride) {
            F w[kUnroll];
            HEADWISE_UNROLL for (int i = 0; i < kUnroll; ++i) w[i] = exp2_weight<S>(S::load(score + i * stride) - max);
            HEADWISE_UNROLL for (int i = 0; i < kUnroll; ++i) S::store(score + i * stride, w[i]);
            HEADWISE_UNROLL for (int i = 0; i < kUnroll; ++i) sum = sum + w[i];
        }
        for (; key < end; ++key, score += stride) {
            const F w = exp2_weight<S>(S::load(score) - max);
            S::store(score, w);
            sum = sum + w;
        }
        S::store(c.block.row_sum + at, before + sum);
    }

    // ---- values

    /// All value columns of the row vectors [first, first + Vectors) and some keys.
    template <int Columns, int Vectors, bool Masked>
    static HEADWISE_INLINE void value_columns_of(Context& c, int first, const typename Tiles::KeyRange& keys) {
        const float* weights = c.block.scores + first * W;
        float* accumulators = c.block.accumulators + first * W;
        std::int64_t d = 0;
        const auto tile = [&](auto columns, auto fetch, const typename Tiles::RowsAhead& ahead) HEADWISE_LAMBDA_INLINE {
            Tiles::template value_tile<columns.value, Vectors, Masked, fetch.value>(
                c.values, d, weights, c.stride, accumulators + d * c.stride, c.scores.visible[first], keys, c.fresh, ahead);
        };
        // Rather two tiles of 4 in the end than a tile of 6 and two single columns.
        const std::int64_t fours = Columns == 6 && c.block.value_dim % 6 == 2 && c.block.value_dim >= 8 ? 8 : 0;
        for (; d + Columns <= c.block.value_dim - fours; d += Columns) {
            if (!Masked && Vectors == kTileVectors && c.bias_ahead.rows + c.fetch_ahead.rows > 0)
                tile(Constant<Columns>{}, Constant<!Masked>{}, rows_ahead(c, keys.full_end - keys.full_begin - 1));
            else
                tile(Constant<Columns>{}, Constant<false>{}, {});
        }
        if constexpr (Columns > 4)
            for (; d + 4 <= c.block.value_dim; d += 4) tile(Constant<4>{}, Constant<false>{}, {});
        for (; d < c.block.value_dim; ++d) tile(Constant<1>{}, Constant<false>{}, {});
    }

    /// Keys that everybody sees, by position, with vectors side by side; then those that only some see, vector by vector. Where not
    /// all values are finite nothing is multiplied that a mask hides, in the same order of additions: what is hidden changes no
    /// bit.
    static void values(Context& c, const Keys& everybody, bool finite) {
        const auto [begin, end] = everybody;
        if (begin < end) {
            if (finite)
                for_vector_groups(0, c.vectors, [&](auto vectors, int first) HEADWISE_LAMBDA_INLINE {
                    value_columns_of<Tiles::value_columns(vectors.value), vectors.value, false>(c, first, {begin, begin, end, end});
                });
            else
                for (int v = 0; v < c.vectors; ++v) value_columns_of<kTailColumns, 1, true>(c, v, {begin, end, end, end});
            c.fresh = false;
        }
        for (int v = 0; v < c.vectors; ++v) {
            const VectorKeys& k = c.scores.keys[v];
            const auto masked = [&](const typename Tiles::KeyRange& keys) HEADWISE_LAMBDA_INLINE {
                if (keys.begin < keys.end) value_columns_of<kTailColumns, 1, true>(c, v, keys);
            };
            const auto clamp = [](int x, int low, int high) { return x < low ? low : (x > high ? high : x); };
            const auto part = [&](int from, int to) HEADWISE_LAMBDA_INLINE {
                const int full_begin = clamp(k.full_begin, from, to);
                masked({from, full_begin, clamp(k.full_end, full_begin, to), to});
            };
            if (begin < end) {
                part(k.begin, begin);
                part(end, k.end);
            } else {
                part(k.begin, k.end);
            }
        }
    }
    static constexpr int kTailColumns = S::kRegisters == 32 ? 16 : 8;  // chains of multiply-adds

    // ---- key blocks

    /// Covers the row vectors [begin, end) by groups of at most kTileVectors: function(Constant<size>, first).
    template <class Function>
    static HEADWISE_INLINE void for_vector_groups(int begin, int end, Function function) {
        for (; begin + kTileVectors <= end; begin += kTileVectors) function(Constant<kTileVectors>{}, begin);
        if constexpr (kTileVectors == 4) {
            if (end - begin == 3) function(Constant<3>{}, begin);
            if (end - begin == 2) function(Constant<2>{}, begin);
        }
        if (end - begin == 1) function(Constant<1>{}, begin);
    }

    /// The keys that are seen, cut where fewer vectors see them: first all that everybody sees, then what is before and behind in
    /// steps, each with the vectors that see any of it. function(span).
    template <class Function>
    static HEADWISE_INLINE void for_spans(const Context& c, const Keys& seen, const Keys& everybody, Function function) {
        const auto steps = [&](int step, int last_key) HEADWISE_LAMBDA_INLINE {
            int first = 0, last = 0;
            for (; step < last_key; step += kStep) {
                const int step_end = step + kStep < last_key ? step + kStep : last_key;
                while (first < c.vectors && c.scores.keys[first].end <= step) ++first;
                while (last < c.vectors && c.scores.keys[last].begin < step_end) ++last;
                if (first < last) function(Span{step, step_end, first, last});
            }
        };
        if (everybody.begin >= everybody.end) {
            steps(seen.begin, seen.end);
            return;
        }
        function(Span{everybody.begin, everybody.end, 0, c.vectors});
        steps(seen.begin, everybody.begin);
        steps(everybody.end, seen.end);
    }
    static constexpr int kStep = W < 8 ? 8 : W;  // keys of a step along the diagonal

    /// What each vector's rows see of the block, from their limits, within [from, to). Returns whether any row does not see all of
    /// that.
    static HEADWISE_INLINE bool find_keys(Context& c, std::int64_t origin, int from, int to) {
        const AttentionBlock& block = c.block;
        const auto within = [&](const std::int64_t* limits, std::int64_t row, int otherwise) {
            if (!limits) return otherwise;
            const std::int64_t limit = limits[row < block.rows ? row : block.rows - 1] - origin;
            return static_cast<int>(limit < from ? from : (limit > to ? to : limit));
        };
        bool differ = false;
        for (int v = 0; v < c.vectors; ++v) {
            const std::int64_t first = v * W, last = first + W - 1;
            VectorKeys& k = c.scores.keys[v];
            k = {within(block.key_begin, first, from), within(block.key_begin, last, from), within(block.key_end, first, to),
                 within(block.key_end, last, to)};
            differ = differ || k.begin > from || k.full_begin > from || k.full_end < to || k.end < to;
        }
        if (!differ) return false;
        for (std::int64_t row = 0; row < c.stride; ++row) {
            c.begins[row] = static_cast<float>(within(block.key_begin, row, from));
            c.ends[row] = static_cast<float>(within(block.key_end, row, to));
        }
        return true;
    }

    /// Whether all values of the keys [begin, end) are finite: then a weight of 0 takes them away.
    static HEADWISE_INLINE bool all_finite(const Context& c, int begin, int end) {
        constexpr int kSums = 4;  // chains of additions
        F sum[kSums];             // of values times 0: NaN where one is NaN or infinite
        HEADWISE_UNROLL for (F& s : sum) s = S::zero();
        const std::int64_t dim = c.block.value_dim;
        for (int key = begin; key < end; ++key) {
            const float* value = c.values[key];
            std::int64_t d = 0;
            for (; d + kSums * W <= dim; d += kSums * W)
                HEADWISE_UNROLL for (int i = 0; i < kSums; ++i) sum[i] = S::fma(S::load(value + d + i * W), S::zero(), sum[i]);
            for (; d + W <= dim; d += W) sum[0] = S::fma(S::load(value + d), S::zero(), sum[0]);
            if (d < dim) sum[1] = S::fma(S::load_tail(value + d, dim - d), S::zero(), sum[1]);
        }
        return S::bits(S::less((sum[0] + sum[1]) + (sum[2] + sum[3]), S::broadcast(1.0f))) == c.scores.kAllLanes;
    }

    /// The scores of one key block, finished: rules applied, -Inf for what is not seen, c.block_max their maximum. Returns the keys
    /// that everybody sees, perhaps none; c.scores.keys has what each vector sees, nothing of it where nobody sees anything.
    static HEADWISE_INLINE Keys score_key_block(Context& c, const KeyValueRows& kv, std::int64_t origin, int keys) {
        const ScoreRules* rules = c.block.rules;
        c.scores.origin = origin;
        Keys seen{0, keys};
        if (rules && rules->masks()) {
            const VectorKeys any = c.scores.read_masks(keys);
            seen = any.begin < any.end ? Keys{any.begin, any.end} : Keys{0, 0};
        }
        const bool differ = find_keys(c, origin, seen.begin, seen.end);
        if (seen.begin == seen.end) return seen;
        if ((differ || rules) && !(rules && rules->masks())) c.scores.see_all(keys);
        list_keys<S>(kv, c.block.head_dim, origin, keys, kLookAhead, c.keys);

        // Vectors are ordered as rows are.
        const Keys everybody{c.scores.keys[c.vectors - 1].full_begin, c.scores.keys[0].full_end};
        for (std::int64_t i = 0; i < c.stride; i += W) S::store(c.block_max + i, S::broadcast(-__builtin_inff()));
        for_spans(c, seen, everybody, [&](const Span& span) HEADWISE_LAMBDA_INLINE { score_span(c, span); });
        c.hides = rules && (c.scores.apply_rules(keys) || rules->masks());
        for (int v = 0; v < c.vectors; ++v) {
            const VectorKeys& k = c.scores.keys[v];
            const bool partial = k.begin < k.full_begin || k.full_end < k.end;
            if (partial) c.scores.apply_limits(v, c.begins, c.ends);
            // Score tiles took the maximum of all that they computed.
            if (partial || c.hides)
                S::store(c.block_max + v * W, c.scores.mask(v));
            else if (rules || k.begin > seen.begin || k.end < seen.end)
                S::store(c.block_max + v * W, c.scores.largest(v));
        }
        return everybody;
    }

    /// Rows go on to the key next_end.
    static void attend_key_block(Context& c, const KeyValueRows& kv, std::int64_t origin, int keys, std::int64_t next_end) {
        list_values(kv, origin, keys, c.values);
        const Keys everybody = score_key_block(c, kv, origin, keys);
        VectorKeys* seen = c.scores.keys;
        if (seen[0].begin >= seen[c.vectors - 1].end) return;
        const bool finite = !c.hides || all_finite(c, seen[0].begin, seen[c.vectors - 1].end);
        if (!finite)
            for (int v = 0; v < c.vectors; ++v) seen[v].full_begin = seen[v].full_end = seen[v].end;
        if (c.fresh && everybody.begin >= everybody.end) {
            QueryState<S>::clear(c.block);
            c.fresh = false;
        }
        for (int v = 0; v < c.vectors; ++v)
            if (seen[v].begin < seen[v].end) weights(c, v, seen[v].begin, seen[v].end);
        const std::int64_t left = next_end - (origin + keys);
        ask_for_bias(c, origin + keys, left < keys ? left : keys);
        values(c, everybody, finite);
    }

    // ---- the kernel's functions

    static void attend(const AttentionBlock& block, const KeyValueRows& kv, std::int64_t key_begin, std::int64_t key_end) {
        Context c(block);
        if (block.key_begin && block.key_begin[0] > key_begin) key_begin = block.key_begin[0];
        if (block.key_end && block.key_end[block.rows - 1] < key_end) key_end = block.key_end[block.rows - 1];
        // Blocks of equal size, in whole score tiles, rather than full ones and a small rest.
        constexpr int kRows = Tiles::score_rows(kTileVectors);
        const std::int64_t keys = key_end - key_begin, blocks = (keys + kKeyBlock - 1) / kKeyBlock;
        const std::int64_t size = blocks < 1 ? 0 : ((keys + blocks - 1) / blocks + kRows - 1) / kRows * kRows;
        const std::int64_t end = block.next_key_end > key_end ? block.next_key_end : key_end;
        for (std::int64_t origin = key_begin; origin < key_end; origin += size)
            attend_key_block(c, kv, origin, static_cast<int>(key_end - origin < size ? key_end - origin : size), end);
        if (c.fresh) QueryState<S>::clear(block);
    }

    /// AttentionKernels::weigh.
    static void weigh(const AttentionBlock& block, const KeyValueRows& kv, std::int64_t key_begin, std::int64_t keys,
                      std::int64_t next_key, const WeightReferences& references, float* weights) {
        static_assert(kWeighedKeys <= kKeyBlock && kWeighedKeys % W == 0);
        Context c(block);
        list_values(kv, next_key, keys, c.values);  // score tiles ask for them
        score_key_block(c, kv, key_begin, static_cast<int>(keys));
        for (int v = 0; v < c.vectors; ++v) {
            const VectorKeys& k = c.scores.keys[v];
            // Whether some lanes do not see a key that others see: their score is -Inf, which a reference of NaN does not make 0.
            const bool hides = c.hides || k.begin < k.full_begin || k.full_end < k.end;
            const std::int64_t count = block.rows - v * W < W ? block.rows - v * W : W;
            // Lanes beyond the last row have scores too: they weigh nothing.
            const F reference = S::select(S::from_bits(static_cast<std::uint32_t>((1ull << static_cast<unsigned>(count)) - 1)),
                                          S::load_tail(references.log2 + v * W, count), S::broadcast(__builtin_inff()));
            const F factor = S::load_tail(references.factors + v * W, count);
            // Of a large sink's factor a weight makes a denormal number, unless it is 0 by then.
            const F least = S::broadcast(kLeastWeightLog2) - S::load_tail(references.exponents + v * W, count);
            const auto weight = [&](int key) HEADWISE_LAMBDA_INLINE {
                if (key < k.begin || key >= k.end) return S::zero();
                // A log-sum-exp that is given may be any number: 2^130 is infinite, and exp2_weight goes no further.
                const F x = S::min(S::broadcast(130.0f), S::load(block.scores + key * c.stride + v * W) - reference);
                const F w = exp2_weight<S>(S::select(S::less(x, least), S::broadcast(-__builtin_inff()), x)) * factor;
                return hides ? S::select(S::from_bits(c.scores.visible[v][key]), w, S::zero()) : w;
            };
            for (int key = 0; key < kWeighedKeys; key += W) {
                F tile[W];
                HEADWISE_UNROLL for (int i = 0; i < W; ++i) tile[i] = weight(key + i);
                S::transpose(tile);
                HEADWISE_UNROLL for (int i = 0; i < W; ++i) if (i < count)
                    S::store(weights + (v * W + i) * kWeighedKeys + key, tile[i]);
            }
        }
    }
};

template <class S>
constexpr AttentionKernel query_lanes_kernel() {
    using Kernel = QueryLanes<S>;
    return {.name = "query-lanes",
            .max_rows = Kernel::kMaxRows,
            .row_unit = Kernel::W,
            .dim_unit = 1,
            .key_block = Kernel::kKeyBlock,
            .part_keys = 16 * Kernel::kKeyBlock,  // a merge takes 0.2 % of the time of so many keys
            .pack_queries = QueryState<S>::pack_queries,
            .attend = Kernel::attend,
            .merge = QueryState<S>::merge,
            .finish = QueryState<S>::finish,
            .sees_any = sees_any_key<S>};
}

}  // namespace
}  // namespace headwise
