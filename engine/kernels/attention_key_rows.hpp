#pragma once

#include <cstdint>

#include "engine/kernels/attention_kernels.hpp"
#include "engine/simd/exp.hpp"

// Attention for blocks of few rows (decode). A vector holds kLanes elements of one key or value row; each is loaded once for (up
// to) four query rows, so that the time is that of reading K and V once. Layouts, with D, Dv = dimensions padded to vectors:
//   queries      [rows][D]        zero beyond head_dim
//   scores       [rows][kKeyBlock]
//   accumulators [rows][Dv]       zero beyond value_dim
namespace headwise {
namespace {

template <class S>
struct KeyRows {
    using F = typename S::Floats;
    static constexpr int W = S::kLanes;
    static constexpr int kMaxRows = 16;
    static constexpr int kKeyBlock = 64;
    static constexpr int kTileRows = 4;               // query rows that share the loads of one tile
    static constexpr int kTileKeys = 4;               // keys of one score tile: 4 x 4 accumulators, reduced four at a time
    static constexpr int kLine = 16;                  // floats in a cache line
    static constexpr float kRescaleThreshold = 8.0f;  // as in QueryLanes
    static constexpr float kLowest = -0x1.fffffep+127f;
    // How far ahead of the loads K and V are prefetched, in floats, as one stream: the keys of a block, its values, the keys of the
    // next block.
    static constexpr std::int64_t kPrefetchFloats = 1536;

    static std::int64_t padded(std::int64_t dim) { return (dim + W - 1) / W * W; }

    template <int N>
    struct Count {
        static constexpr int value = N;
    };

    /// Covers the rows [0, rows) by groups of at most kTileRows: function(Count<size>, first).
    template <class Function>
    static HEADWISE_INLINE void for_row_groups(std::int64_t rows, Function function) {
        std::int64_t row = 0;
        for (; row + 4 <= rows; row += 4) function(Count<4>{}, row);
        if (rows - row == 3) function(Count<3>{}, row);
        if (rows - row == 2) function(Count<2>{}, row);
        if (rows - row == 1) function(Count<1>{}, row);
    }

    /// Rows of the block in the order in which they are read: `keys` rows here, then the first rows of `next`.
    struct Stream {
        const float* here;
        std::int64_t stride;
        int rows;
        const float* next;
        std::int64_t next_stride;
        int ahead;  // rows to look ahead

        HEADWISE_INLINE const float* row_ahead_of(int row) const {
            const int target = row + ahead;
            return target < rows ? here + target * stride : next + (target - rows) * next_stride;
        }
    };

    // ---- scores
    // ---------------------------------------------------------------------------------------------------------------------------

    /// scores[r][j] = <queries[r], key j> for four keys.
    template <int Rows, bool Prefetch>
    static HEADWISE_INLINE void score_tile(const float* const (&keys)[kTileKeys], const float* const (&ahead)[kTileKeys],
                                           const float* queries, std::int64_t head_dim, float* scores) {
        const std::int64_t stride = padded(head_dim);
        F sum[Rows][kTileKeys];
        HEADWISE_UNROLL for (int r = 0; r < Rows; ++r) HEADWISE_UNROLL for (int j = 0; j < kTileKeys; ++j) sum[r][j] = S::zero();
        std::int64_t d = 0;
        HEADWISE_NO_UNROLL for (; d + W <= head_dim; d += W) {
            F k[kTileKeys];
            HEADWISE_UNROLL for (int j = 0; j < kTileKeys; ++j) {
                k[j] = S::load(keys[j] + d);
                if (Prefetch && (W >= kLine || d % kLine == 0)) __builtin_prefetch(ahead[j] + d);
            }
            HEADWISE_UNROLL for (int r = 0; r < Rows; ++r) {
                const F q = S::load(queries + r * stride + d);
                HEADWISE_UNROLL for (int j = 0; j < kTileKeys; ++j) sum[r][j] = S::fma(q, k[j], sum[r][j]);
            }
        }
        if (d < head_dim) {
            HEADWISE_UNROLL for (int j = 0; j < kTileKeys; ++j) {
                const F k = S::load_tail(keys[j] + d, head_dim - d);
                HEADWISE_UNROLL for (int r = 0; r < Rows; ++r) sum[r][j] = S::fma(S::load(queries + r * stride + d), k, sum[r][j]);
            }
        }
        HEADWISE_UNROLL for (int r = 0; r < Rows; ++r)
            S::reduce_add_4(sum[r][0], sum[r][1], sum[r][2], sum[r][3], scores + r * kKeyBlock);
    }

    /// The scores of all rows against the keys of a block. Beyond the last key the last one is repeated; weights() ignores that.
    static void scores(const AttentionBlock& block, const Stream& keys) {
        for (int key = 0; key < keys.rows; key += kTileKeys) {
            const float *row[kTileKeys], *ahead[kTileKeys];
            for (int j = 0; j < kTileKeys; ++j) {
                row[j] = keys.here + (key + j < keys.rows ? key + j : keys.rows - 1) * keys.stride;
                ahead[j] = keys.row_ahead_of(key + j);
            }
            bool first = true;
            for_row_groups(block.rows, [&](auto rows, std::int64_t at) HEADWISE_LAMBDA_INLINE {
                const float* queries = block.queries + at * padded(block.head_dim);
                float* to = block.scores + at * kKeyBlock + key;
                if (first)
                    score_tile<rows.value, true>(row, ahead, queries, block.head_dim, to);
                else
                    score_tile<rows.value, false>(row, ahead, queries, block.head_dim, to);
                first = false;
            });
        }
    }

    // ---- softmax
    // --------------------------------------------------------------------------------------------------------------------------

    /// Turns one row's scores of `keys` keys into weights, 0 up to the next vector; keeps row_max, row_sum and the accumulators
    /// consistent.
    static HEADWISE_INLINE void weights(const AttentionBlock& block, std::int64_t row, int keys) {
        float* scores = block.scores + row * kKeyBlock;
        for (int i = keys; i % W != 0; ++i) scores[i] = -__builtin_inff();
        F largest = S::broadcast(-__builtin_inff());
        for (int i = 0; i < keys; i += W) largest = S::max(S::load(scores + i), largest);
        const float block_max = S::reduce_max(largest);
        if (block_max > block.row_max[row] + kRescaleThreshold) {
            const F difference = S::broadcast(block.row_max[row]) - S::broadcast(block_max);
            const F factor = exp2<S>(difference);
            block.row_max[row] = block_max;
            float sum[W];
            S::store(sum, S::broadcast(block.row_sum[row]) * factor);
            block.row_sum[row] = sum[0];
            float* accumulator = block.accumulators + row * padded(block.value_dim);
            for (std::int64_t d = 0; d < block.value_dim; d += W) S::store(accumulator + d, S::load(accumulator + d) * factor);
        }
        const F max = S::broadcast(block.row_max[row]);
        F sum = S::zero();
        for (int i = 0; i < keys; i += W) {
            const F w = exp2<S>(S::load(scores + i) - max);
            S::store(scores + i, w);
            sum = sum + w;
        }
        block.row_sum[row] += S::reduce_add(sum);
    }

    // ---- values
    // ---------------------------------------------------------------------------------------------------------------------------

    /// accumulators[r][d .. d + Columns W) += sum over the keys [begin, end) of scores[r][key] * values[key]. With Tail the last
    /// vector is cut at value_dim.
    template <int Rows, int Columns, bool Tail, bool Prefetch>
    static HEADWISE_INLINE void value_tile(const Stream& values, std::int64_t d, std::int64_t value_dim, const float* weights,
                                           float* accumulators, int begin, int end) {
        const std::int64_t stride = padded(value_dim);
        F sum[Rows][Columns];
        HEADWISE_UNROLL for (int r = 0; r < Rows; ++r) HEADWISE_UNROLL for (int c = 0; c < Columns; ++c) sum[r][c] =
            S::load(accumulators + r * stride + d + c * W);
        const float* value = values.here + begin * values.stride + d;
        HEADWISE_NO_UNROLL for (int key = begin; key < end; ++key, value += values.stride) {
            F x[Columns];
            HEADWISE_UNROLL for (int c = 0; c < Columns; ++c) x[c] =
                Tail ? S::load_tail(value + c * W, value_dim - d) : S::load(value + c * W);
            if constexpr (Prefetch) {
                const float* ahead = values.row_ahead_of(key) + d;
                HEADWISE_UNROLL for (int c = 0; c < Columns; ++c) if (W >= kLine || c * W % kLine == 0)
                    __builtin_prefetch(ahead + c * W);
            }
            HEADWISE_UNROLL for (int r = 0; r < Rows; ++r) {
                const F w = S::broadcast(weights[r * kKeyBlock + key]);
                HEADWISE_UNROLL for (int c = 0; c < Columns; ++c) sum[r][c] = S::fma(w, x[c], sum[r][c]);
            }
        }
        HEADWISE_UNROLL for (int r = 0; r < Rows; ++r) HEADWISE_UNROLL for (int c = 0; c < Columns; ++c)
            S::store(accumulators + r * stride + d + c * W, sum[r][c]);
    }

    /// All value columns for `Rows` rows from `row` on.
    template <int Rows, bool Prefetch>
    static HEADWISE_INLINE void value_rows(const AttentionBlock& block, const Stream& values, std::int64_t row, int begin,
                                           int end) {
        constexpr int kAccumulators = S::kRegisters == 32 ? 16 : 8;
        constexpr int kColumns = kAccumulators / Rows > 8 ? 8 : (kAccumulators / Rows >= 4 ? 4 : kAccumulators / Rows);
        const float* weights = block.scores + row * kKeyBlock;
        float* accumulators = block.accumulators + row * padded(block.value_dim);
        std::int64_t d = 0;
        for (; d + kColumns * W <= block.value_dim; d += kColumns * W)
            value_tile<Rows, kColumns, false, Prefetch>(values, d, block.value_dim, weights, accumulators, begin, end);
        for (; d + W <= block.value_dim; d += W)
            value_tile<Rows, 1, false, Prefetch>(values, d, block.value_dim, weights, accumulators, begin, end);
        if (d < block.value_dim) value_tile<Rows, 1, true, Prefetch>(values, d, block.value_dim, weights, accumulators, begin, end);
    }

    // ---- key blocks
    // -----------------------------------------------------------------------------------------------------------------------

    static void attend_key_block(const AttentionBlock& block, const KeyValueRows& kv, std::int64_t origin, int keys) {
        const float* key_rows = kv.keys + origin * kv.key_stride;
        const float* value_rows_here = kv.values + origin * kv.value_stride;
        const auto rows_ahead = [](std::int64_t dim) {
            const std::int64_t rows = kPrefetchFloats / dim;
            return static_cast<int>(rows < 2 ? 2 : (rows > kKeyBlock / 2 ? kKeyBlock / 2 : rows));
        };
        const Stream key_stream{key_rows, kv.key_stride, keys, value_rows_here, kv.value_stride, rows_ahead(block.head_dim)};
        const Stream value_stream{
            value_rows_here, kv.value_stride, keys, key_rows + keys * kv.key_stride, kv.key_stride, rows_ahead(block.value_dim)};
        scores(block, key_stream);
        const auto seen = [&](std::int64_t row) {
            const std::int64_t limit = block.key_limit ? block.key_limit[row] - origin : keys;
            return static_cast<int>(limit < 0 ? 0 : (limit > keys ? keys : limit));
        };
        for (std::int64_t row = 0; row < block.rows; ++row)
            if (seen(row) > 0) weights(block, row, seen(row));
        // Keys that every row sees first, for groups of rows; then what only some see, row by row: a value that a row may not see
        // is never multiplied, so that NaN or Inf there cannot leak.
        const int everybody = seen(0);
        bool first = true;
        for_row_groups(block.rows, [&](auto rows, std::int64_t row) HEADWISE_LAMBDA_INLINE {
            if (first)
                value_rows<rows.value, true>(block, value_stream, row, 0, everybody);
            else
                value_rows<rows.value, false>(block, value_stream, row, 0, everybody);
            first = false;
        });
        for (std::int64_t row = 0; row < block.rows; ++row)
            if (seen(row) > everybody) value_rows<1, false>(block, value_stream, row, everybody, seen(row));
    }

    // ---- the kernel's functions
    // -----------------------------------------------------------------------------------------------------------

    static void attend(const AttentionBlock& block, const KeyValueRows& kv, std::int64_t key_begin, std::int64_t key_end) {
        if (block.key_limit && block.key_limit[block.rows - 1] < key_end) key_end = block.key_limit[block.rows - 1];
        for (std::int64_t origin = key_begin; origin < key_end; origin += kKeyBlock)
            attend_key_block(block, kv, origin, static_cast<int>(key_end - origin < kKeyBlock ? key_end - origin : kKeyBlock));
    }

    static void pack_queries(const AttentionBlock& block, const float* const* rows, float scale) {
        const F factor = S::broadcast(scale);
        float* to = block.queries;
        for (std::int64_t row = 0; row < block.rows; ++row)
            for (std::int64_t d = 0; d < block.head_dim; d += W, to += W)
                S::store(to, (d + W <= block.head_dim ? S::load(rows[row] + d) : S::load_tail(rows[row] + d, block.head_dim - d)) *
                                 factor);
    }

    static void clear(const AttentionBlock& block) {
        for (std::int64_t row = 0; row < block.rows; ++row) {
            block.row_max[row] = kLowest;
            block.row_sum[row] = 0;
        }
        for (std::int64_t i = 0; i < block.rows * padded(block.value_dim); i += W) S::store(block.accumulators + i, S::zero());
    }

    static void merge(const AttentionBlock& into, const AttentionBlock& from) {
        const std::int64_t stride = padded(into.value_dim);
        for (std::int64_t row = 0; row < into.rows; ++row) {
            const F max_a = S::broadcast(into.row_max[row]), max_b = S::broadcast(from.row_max[row]);
            const F max = S::max(max_a, max_b);
            const F a = exp2<S>(max_a - max), b = exp2<S>(max_b - max);
            float lanes[W];
            S::store(lanes, max);
            into.row_max[row] = lanes[0];
            S::store(lanes, S::fma(S::broadcast(from.row_sum[row]), b, S::broadcast(into.row_sum[row]) * a));
            into.row_sum[row] = lanes[0];
            for (std::int64_t at = row * stride; at < (row + 1) * stride; at += W)
                S::store(into.accumulators + at, S::fma(S::load(from.accumulators + at), b, S::load(into.accumulators + at) * a));
        }
    }

    static void finish(const AttentionBlock& block, float* const* rows, std::int64_t key_end) {
        const float* from = block.accumulators;
        for (std::int64_t row = 0; row < block.rows; ++row) {
            const bool empty = key_end <= 0 || (block.key_limit && block.key_limit[row] <= 0);
            const F inverse = S::broadcast(1.0f) / S::broadcast(block.row_sum[row]);
            for (std::int64_t d = 0; d < block.value_dim; d += W, from += W) {
                const F x = empty ? S::zero() : S::load(from) * inverse;
                if (d + W <= block.value_dim)
                    S::store(rows[row] + d, x);
                else
                    S::store_tail(rows[row] + d, x, block.value_dim - d);
            }
        }
    }
};

template <class S>
constexpr AttentionKernel key_rows_kernel() {
    using Kernel = KeyRows<S>;
    return {.name = "key-rows",
            .max_rows = Kernel::kMaxRows,
            .row_unit = 1,
            .dim_unit = Kernel::W,
            .key_block = Kernel::kKeyBlock,
            .pack_queries = Kernel::pack_queries,
            .clear = Kernel::clear,
            .attend = Kernel::attend,
            .merge = Kernel::merge,
            .finish = Kernel::finish};
}

}  // namespace
}  // namespace headwise
