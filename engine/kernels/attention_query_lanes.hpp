#pragma once

#include <cstdint>

#include "engine/kernels/attention_kernels.hpp"
#include "engine/kernels/attention_query_tiles.hpp"
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
    // Weights may exceed 1 by this power of two before the accumulators are rescaled: sums stay far from overflow and rescaling is
    // rare.
    static constexpr float kRescaleThreshold = 8.0f;
    static constexpr float kLowest = -0x1.fffffep+127f;

    /// Keys [begin, end) of the block that is being worked on, seen by the row vectors [first, vectors); those before `full` see
    /// only part of them.
    struct Span {
        int begin, end;
        int first, full;
    };

    /// What a call to attend() keeps at hand.
    struct Context {
        const AttentionBlock& block;
        std::int64_t stride;  // rows padded: the distance of the packed arrays' rows
        int vectors;
        bool fresh = false;        // no key seen yet: what row_sum and accumulators hold does not matter
        std::int64_t fetched = 0;  // of block.fetch
        alignas(64) float block_max[kMaxRows];
        alignas(64) float limit[kMaxRows];  // key_limit relative to the key block, where one lies within
    };

    static std::int64_t padded_rows(const AttentionBlock& block) { return (block.rows + W - 1) / W * W; }

    // ---- scores

    static HEADWISE_INLINE void prefetch_row(const float* row, std::int64_t dim) {
        for (std::int64_t d = 0; d < dim; d += kLine) __builtin_prefetch(row + d);
    }

    /// The next rows of block.fetch: as many as have at most `keys` lines.
    static HEADWISE_INLINE typename Tiles::RowsAhead rows_ahead(Context& c, int keys) {
        const std::int64_t left = c.block.fetch_count - c.fetched, fit = keys / ((c.block.head_dim + kLine - 1) / kLine);
        const typename Tiles::RowsAhead ahead{c.block.fetch + c.fetched, left < fit ? left : fit, c.block.head_dim};
        c.fetched += ahead.rows;
        return ahead;
    }

    /// The score tiles of the row vectors [first, first + Vectors) and the keys of a span. With Fetch they also ask for what the
    /// next ones read.
    template <int Vectors, bool Masked, bool Fetch>
    static HEADWISE_INLINE void score_columns(Context& c, const KeyValueRows& kv, const Span& span, int first) {
        constexpr int kRows = Tiles::score_rows(Vectors);
        const auto tile = [&](auto rows, auto fetch, int key) HEADWISE_LAMBDA_INLINE {
            const typename Tiles::Ahead ahead{kv.keys + (key + 2 * kRows) * kv.key_stride, kv.values + key * kv.value_stride,
                                              kv.key_stride, kv.value_stride};
            Tiles::template score_tile<rows.value, Vectors, Masked, fetch.value != 0>(
                kv.keys + key * kv.key_stride, kv.key_stride, c.block.queries + first * W, c.stride, c.block.head_dim,
                c.block.scores + key * c.stride + first * W, c.block_max + first * W, c.limit + first * W, key, ahead);
        };
        int key = span.begin;
        for (; key + kRows <= span.end; key += kRows) {
            if (kRows == 6 && span.end - key == 8) break;  // 4 + 4 are quicker than 6 + 2
            tile(Constant<kRows>{}, Constant < Fetch && 2 * kRows<kLine>{}, key);
        }
        if constexpr (kRows > 4)
            for (; key + 4 <= span.end; key += 4) tile(Constant<4>{}, Constant<0>{}, key);
        if constexpr (kRows > 2)
            for (; key + 2 <= span.end; key += 2) tile(Constant<2>{}, Constant<0>{}, key);
        for (; key < span.end; ++key) tile(Constant<1>{}, Constant<0>{}, key);
    }

    static void score_span(Context& c, const KeyValueRows& kv, const Span& span) {
        const bool masked = span.first < span.full;
        for_vector_groups(span.first, c.vectors, [&](auto vectors, int first) HEADWISE_LAMBDA_INLINE {
            if (masked)
                score_columns<vectors.value, true, false>(c, kv, span, first);
            else if (first == span.first)
                score_columns<vectors.value, false, true>(c, kv, span, first);
            else
                score_columns<vectors.value, false, false>(c, kv, span, first);
        });
    }

    // ---- softmax

    /// Turns the scores of one row vector and the first `keys` keys into weights; keeps row_max, row_sum and the accumulators
    /// consistent. Whether a lane's reference rises depends on that lane alone, so that a row's bits do not depend on the rows
    /// beside it.
    static HEADWISE_INLINE void weights(Context& c, int vector, int keys) {
        const std::int64_t at = vector * W;
        const F old_max = c.fresh ? S::broadcast(kLowest) : S::load(c.block.row_max + at), block_max = S::load(c.block_max + at);
        const auto rises = S::less(old_max + S::broadcast(kRescaleThreshold), block_max);
        F max = old_max, sum = c.fresh ? S::zero() : S::load(c.block.row_sum + at);
        if (c.fresh) {
            max = S::select(rises, block_max, old_max);
            S::store(c.block.row_max + at, max);
        } else if (S::any(rises)) {
            max = S::select(rises, block_max, old_max);
            const F factor = exp2<S>(old_max - max);  // exactly 1 in lanes that do not rise
            S::store(c.block.row_max + at, max);
            sum = sum * factor;
            float* accumulator = c.block.accumulators + at;
            for (std::int64_t d = 0; d < c.block.value_dim; ++d, accumulator += c.stride)
                S::store(accumulator, S::load(accumulator) * factor);
        }
        const std::int64_t stride = c.stride;
        float* score = c.block.scores + at;
        int key = 0;
        // Enough chains in flight (4 and 8 are within 3 %), and key blocks are multiples of it. Two where more do not fit.
        constexpr int kUnroll = S::kRegisters == 32 ? 6 : 2;
        for (; key + kUnroll <= keys; key += kUnroll, score += kUnroll * stride) {
            F w[kUnroll];
            HEADWISE_UNROLL for (int i = 0; i < kUnroll; ++i) w[i] = exp2_weight<S>(S::load(score + i * stride) - max);
            HEADWISE_UNROLL for (int i = 0; i < kUnroll; ++i) S::store(score + i * stride, w[i]);
            HEADWISE_UNROLL for (int i = 0; i < kUnroll; ++i) sum = sum + w[i];
        }
        for (; key < keys; ++key, score += stride) {
            const F w = exp2_weight<S>(S::load(score) - max);
            S::store(score, w);
            sum = sum + w;
        }
        S::store(c.block.row_sum + at, sum);
    }

    // ---- values

    /// All value columns of the row vectors [first, first + Vectors) and the keys [begin, end).
    template <int Columns, int Vectors, bool Masked>
    static HEADWISE_INLINE void value_columns_of(Context& c, const KeyValueRows& kv, int first, int begin, int full, int end) {
        const float* weights = c.block.scores + first * W;
        float* accumulators = c.block.accumulators + first * W;
        std::int64_t d = 0;
        const auto tile = [&](auto columns, auto fetch, const typename Tiles::RowsAhead& ahead) HEADWISE_LAMBDA_INLINE {
            Tiles::template value_tile<columns.value, Vectors, Masked, fetch.value != 0>(
                kv.values + d, kv.value_stride, weights, c.stride, accumulators + d * c.stride, c.limit + first * W, begin, full,
                end, c.fresh, ahead);
        };
        // Rather two tiles of 4 in the end than a tile of 6 and two single columns.
        const std::int64_t fours = Columns == 6 && c.block.value_dim % 6 == 2 && c.block.value_dim >= 8 ? 8 : 0;
        for (; d + Columns <= c.block.value_dim - fours; d += Columns) {
            if (!Masked && Vectors == kTileVectors && c.fetched < c.block.fetch_count)
                tile(Constant<Columns>{}, Constant<1>{}, rows_ahead(c, full - begin - 1));
            else
                tile(Constant<Columns>{}, Constant<0>{}, {});
        }
        if constexpr (Columns > 4)
            for (; d + 4 <= c.block.value_dim; d += 4) tile(Constant<4>{}, Constant<0>{}, {});
        for (; d < c.block.value_dim; ++d)
            Tiles::template value_tile<1, Vectors, Masked>(kv.values + d, kv.value_stride, weights, c.stride,
                                                           accumulators + d * c.stride, c.limit + first * W, begin, full, end,
                                                           c.fresh);
    }

    /// Keys that all rows see, [0, everybody), with vectors side by side; then those that only some see, vector by vector.
    static void values(Context& c, const KeyValueRows& kv, int everybody, const int* full, const int* seen) {
        if (everybody > 0) {
            for_vector_groups(0, c.vectors, [&](auto vectors, int first) HEADWISE_LAMBDA_INLINE {
                value_columns_of<Tiles::value_columns(vectors.value), vectors.value, false>(c, kv, first, 0, everybody, everybody);
            });
            c.fresh = false;
        }
        for (int v = 0; v < c.vectors; ++v)
            if (seen[v] > everybody) value_columns_of<kTailColumns, 1, true>(c, kv, v, everybody, full[v], seen[v]);
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

    /// The keys [0, keys) of a block, cut where fewer vectors see them: first all that everybody sees, then steps of one vector of
    /// keys, each with the vectors that see any of it. function(span).
    template <class Function>
    static HEADWISE_INLINE void for_spans(const Context& c, int everybody, int keys, const int* full, const int* seen,
                                          Function function) {
        if (everybody > 0) function(Span{0, everybody, 0, 0});
        int first = 0, all = 0;
        for (int begin = everybody; begin < keys;) {
            const int end = begin + kStep < keys ? begin + kStep : keys;
            while (first < c.vectors && seen[first] <= begin) ++first;
            if (all < first) all = first;
            while (all < c.vectors && full[all] < end) ++all;
            function(Span{begin, end, first, all});
            begin = end;
        }
    }
    static constexpr int kStep = W < 8 ? 8 : W;  // keys of a step along the diagonal

    static void attend_key_block(Context& c, const KeyValueRows& kv, std::int64_t origin, int keys) {
        const AttentionBlock& block = c.block;
        for (int v = 0; v < c.vectors; ++v) S::store(c.block_max + v * W, S::broadcast(-__builtin_inff()));
        const auto limit_of = [&](std::int64_t row) {
            if (!block.key_limit) return keys;
            const std::int64_t limit = block.key_limit[row < block.rows ? row : block.rows - 1] - origin;
            return static_cast<int>(limit < 0 ? 0 : (limit > keys ? keys : limit));
        };
        const int everybody = limit_of(0);
        if (everybody < keys)
            for (std::int64_t row = 0; row < c.stride; ++row) c.limit[row] = static_cast<float>(limit_of(row));
        int full[kBlockVectors], seen[kBlockVectors];  // keys of this block that all, and that any, of a vector's rows see
        for (int v = 0; v < c.vectors; ++v) {
            full[v] = limit_of(v * W);
            seen[v] = limit_of(v * W + W - 1);
        }
        if (c.fresh && everybody == 0) {
            clear(block);
            c.fresh = false;
        }

        const KeyValueRows here{kv.keys + origin * kv.key_stride, kv.key_stride, kv.values + origin * kv.value_stride,
                                kv.value_stride};
        for_spans(c, everybody, keys, full, seen, [&](const Span& span) HEADWISE_LAMBDA_INLINE { score_span(c, here, span); });
        for (int v = 0; v < c.vectors; ++v)
            if (seen[v] > 0) weights(c, v, seen[v]);
        values(c, here, everybody, full, seen);
    }

    // ---- the kernel's functions

    static void attend(const AttentionBlock& block, const KeyValueRows& kv, std::int64_t key_begin, std::int64_t key_end) {
        Context c{.block = block,
                  .stride = padded_rows(block),
                  .vectors = static_cast<int>(padded_rows(block) / W),
                  .fresh = true,
                  .block_max = {},
                  .limit = {}};
        if (block.key_limit && block.key_limit[block.rows - 1] < key_end) key_end = block.key_limit[block.rows - 1];
        if (key_begin >= key_end) {
            clear(block);
            return;
        }
        // Blocks of equal size, in whole score tiles, rather than full ones and a small rest.
        constexpr int kRows = Tiles::score_rows(kTileVectors);
        const std::int64_t keys = key_end - key_begin, blocks = (keys + kKeyBlock - 1) / kKeyBlock;
        const std::int64_t size = ((keys + blocks - 1) / blocks + kRows - 1) / kRows * kRows;
        for (std::int64_t origin = key_begin; origin < key_end; origin += size)
            attend_key_block(c, kv, origin, static_cast<int>(key_end - origin < size ? key_end - origin : size));
    }

    /// queries[d][row] = rows[row][d] * scale; rows beyond the last are 0.
    static void pack_queries(const AttentionBlock& block, const float* const* rows, float scale) {
        const std::int64_t stride = padded_rows(block);
        const F factor = S::broadcast(scale);
        for (std::int64_t row = 0; row < stride; row += W) {
            for (std::int64_t next = row + W; next < row + 2 * W && next < block.rows; ++next)
                prefetch_row(rows[next], block.head_dim);
            for (std::int64_t d = 0; d < block.head_dim; d += W) {
                const std::int64_t dims = block.head_dim - d < W ? block.head_dim - d : W;
                F tile[W];
                if (dims == W && row + W <= block.rows) {
                    HEADWISE_UNROLL for (int i = 0; i < W; ++i) tile[i] = S::load(rows[row + i] + d) * factor;
                } else {
                    HEADWISE_UNROLL for (int i = 0; i < W; ++i) tile[i] =
                        row + i < block.rows ? S::load_tail(rows[row + i] + d, dims) * factor : S::zero();
                }
                S::transpose(tile);
                float* to = block.queries + d * stride + row;
                if (dims == W) {
                    HEADWISE_UNROLL for (int i = 0; i < W; ++i) S::store(to + i * stride, tile[i]);
                } else {
                    HEADWISE_UNROLL for (int i = 0; i < W; ++i) if (i < dims) S::store(to + i * stride, tile[i]);
                }
            }
        }
    }

    /// The state of rows that have seen no key.
    static void clear(const AttentionBlock& block) {
        const std::int64_t stride = padded_rows(block);
        for (std::int64_t i = 0; i < stride; i += W) {
            S::store(block.row_max + i, S::broadcast(kLowest));
            S::store(block.row_sum + i, S::zero());
        }
        for (std::int64_t i = 0; i < stride * block.value_dim; i += W) S::store(block.accumulators + i, S::zero());
    }

    static void merge(const AttentionBlock& into, const AttentionBlock& from) {
        const std::int64_t stride = padded_rows(into);
        for (std::int64_t i = 0; i < stride; i += W) {
            const F max_a = S::load(into.row_max + i), max_b = S::load(from.row_max + i);
            const F max = S::max(max_a, max_b);
            const F a = exp2<S>(max_a - max), b = exp2<S>(max_b - max);
            S::store(into.row_max + i, max);
            S::store(into.row_sum + i, S::fma(S::load(from.row_sum + i), b, S::load(into.row_sum + i) * a));
            for (std::int64_t at = i; at < stride * into.value_dim; at += stride)
                S::store(into.accumulators + at, S::fma(S::load(from.accumulators + at), b, S::load(into.accumulators + at) * a));
        }
    }

    /// rows[row][d] = accumulators[d][row] / row_sum[row].
    static void finish(const AttentionBlock& block, float* const* rows, std::int64_t key_end) {
        const std::int64_t stride = padded_rows(block);
        for (std::int64_t row = 0; row < block.rows; row += W) {
            const F inverse = S::broadcast(1.0f) / S::load(block.row_sum + row);
            const std::int64_t count = block.rows - row < W ? block.rows - row : W;
            std::int64_t empty = 0;  // rows that see no key come first
            const auto sees_none = [&](std::int64_t r) { return key_end <= 0 || (block.key_limit && block.key_limit[r] <= 0); };
            while (empty < count && sees_none(row + empty)) ++empty;
            for (std::int64_t d = 0; d < block.value_dim; d += W) {
                const std::int64_t dims = block.value_dim - d < W ? block.value_dim - d : W;
                F tile[W];
                HEADWISE_UNROLL for (int i = 0; i < W; ++i) tile[i] =
                    i < dims ? S::load(block.accumulators + (d + i) * stride + row) * inverse : S::zero();
                S::transpose(tile);
                if (dims == W && count == W && empty == 0) {
                    HEADWISE_UNROLL for (int i = 0; i < W; ++i) S::store(rows[row + i] + d, tile[i]);
                } else {
                    HEADWISE_UNROLL for (int i = 0; i < W; ++i) if (i < count)
                        S::store_tail(rows[row + i] + d, i < empty ? S::zero() : tile[i], dims);
                }
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
            .pack_queries = Kernel::pack_queries,
            .attend = Kernel::attend,
            .merge = Kernel::merge,
            .finish = Kernel::finish};
}

}  // namespace
}  // namespace headwise
