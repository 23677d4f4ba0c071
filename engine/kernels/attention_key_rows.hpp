#pragma once

#include <cstdint>

#include "engine/kernels/attention_kernels.hpp"
#include "engine/kernels/attention_key_scores.hpp"
#include "engine/kernels/key_value_rows.hpp"
#include "engine/simd/exp.hpp"

// Attention for blocks of few rows (decode). A vector holds kLanes elements of one key or value row. The time is that of reading K
// and V once from memory, and what reads them is the processor's own prefetcher, which follows loads only in the order of
// addresses. So keys and values are read row by row, each row from its beginning to its end, a few keys and a few values in turn,
// and while the memory is at work the products are for free. (2 threads, Zen 4, 32 MB and more of K and V: 86-95 % of the read
// bandwidth. Tiles that load from four rows at a time, or half a row at a time: 35-50 %.)
// It loses its way where rows do not follow one another (pages, [B, S, H, D]), and it rests while several query rows are multiplied
// with what is in the cache. There rows are fetched into the second-level cache, kFetchAhead before they are read: while the last
// query rows are at it, as the first ones wait for memory themselves. (1 thread, Zen 4, GB/s without and with: 4 query rows 22.5
// and 24, from pages of 16 9.7 and 19, of 64 16 and 23, [B, S, H, D] 10 and 14; 8 query rows 14.8 and 20.5; but 1 query row 29 and
// 22, 2 rows 29 and 24. 2 threads, pages of 16: 18 and 30 of 33. Software reads 21 at most, in whatever order:
// docs/performance.md.) Layouts, with D, Dv = dimensions padded to vectors:
//   queries      [rows][D]             zero beyond head_dim
//   scores       [2][rows][kKeyBlock]  of the block whose values are read and of the next
//   accumulators [rows][Dv]            zero beyond value_dim
namespace headwise {
namespace {

template <class S>
struct KeyRows {
    using F = typename S::Floats;
    static constexpr int W = S::kLanes;
    static constexpr int kMaxRows = 16;
    using Scores = KeyScores<S, kMaxRows>;
    static constexpr int kKeyBlock = Scores::kKeys;
    static_assert(kKeyBlock <= kMaxTurnedKeys);
    static constexpr int kAccumulators = S::kRegisters == 32 ? 16 : 8;
    // Keys, then values, that are read in turn; 64 would lose a third. Rows beyond those of one value tile find the values in the
    // cache, and the memory rests meanwhile: the shorter the turns, the less that costs. With four rows 16 keys at a time read at
    // 74 % of the bandwidth, 8 and 4 at 85 %.
    static constexpr int kStep = 8;
    static constexpr int kTileKeys = 4;  // keys of one score tile, whose sums are reduced together
    static constexpr int kTileRows = kAccumulators / kTileKeys;
    // Keys whose vectors are in registers together, so that a query's are loaded once for both: loads bound the scores of four rows
    // (Zen 4: one load of 64 bytes a cycle; 37 cycles a key instead of 47). Not with one or two rows, which memory bounds (4 %
    // less), nor where 8 vectors are little of a row: keys must be read one after the other.
    static constexpr int kTogether = S::kRegisters == 32 && W >= 16 ? 2 : 1;
    // Rows that are asked for before they are read; 8 to 48 measured alike.
    static constexpr int kFetchAhead = 16;
    // Up to so many query rows the processor's own prefetcher keeps up with keys and values that follow one another in memory.
    static constexpr int kRowsWithoutFetch = 2;

    static std::int64_t padded(std::int64_t dim) { return (dim + W - 1) / W * W; }

    /// Covers the rows [0, rows) by groups of at most kMost: function(Constant<size>, first).
    template <int kMost, class Function>
    static HEADWISE_INLINE void for_row_groups(std::int64_t rows, Function function) {
        std::int64_t row = 0;
        for (; row + kMost <= rows; row += kMost) function(Constant<kMost>{}, row);
        if constexpr (kMost > 3)
            if (rows - row == 3) function(Constant<3>{}, row);
        if constexpr (kMost > 2)
            if (rows - row == 2) function(Constant<2>{}, row);
        if constexpr (kMost > 1)
            if (rows - row == 1) function(Constant<1>{}, row);
    }

    // ---- scores

    /// The lanes of sum[r][j] add up to <queries[r], keys[j]>.
    template <int Rows, int Keys>
    static HEADWISE_INLINE void multiply(const float* const* keys, const float* queries, std::int64_t head_dim,
                                         F (&sum)[Rows][Keys]) {
        const std::int64_t stride = padded(head_dim);
        HEADWISE_UNROLL for (int r = 0; r < Rows; ++r) HEADWISE_UNROLL for (int j = 0; j < Keys; ++j) sum[r][j] = S::zero();
        const auto add = [&](const F(&k)[Keys], std::int64_t d) HEADWISE_LAMBDA_INLINE {
            HEADWISE_UNROLL for (int r = 0; r < Rows; ++r) {
                F q = S::load(queries + r * stride + d);
                if constexpr (Keys > 1) S::keep(q);
                HEADWISE_UNROLL for (int j = 0; j < Keys; ++j) sum[r][j] = S::fma(q, k[j], sum[r][j]);
            }
        };
        // Vectors of one key, then those of the next: in the order of addresses.
        const auto add_vectors = [&](auto count, std::int64_t d) HEADWISE_LAMBDA_INLINE {
            F k[count.value][Keys];
            HEADWISE_UNROLL for (int j = 0; j < Keys; ++j) HEADWISE_UNROLL for (int u = 0; u < count.value; ++u) {
                k[u][j] = S::load(keys[j] + d + u * W);
                if constexpr (Keys > 1) S::keep(k[u][j]);
            }
            HEADWISE_UNROLL for (int u = 0; u < count.value; ++u) add(k[u], d + u * W);
        };
        std::int64_t d = 0;
        if constexpr (Keys > 1) HEADWISE_NO_UNROLL for (; d + 8 * W <= head_dim; d += 8 * W) add_vectors(Constant<8>{}, d);
        HEADWISE_NO_UNROLL for (; d + 4 * W <= head_dim; d += 4 * W) add_vectors(Constant<4>{}, d);
        HEADWISE_NO_UNROLL for (; d + W <= head_dim; d += W) add_vectors(Constant<1>{}, d);
        if (d < head_dim) {
            F k[Keys];
            HEADWISE_UNROLL for (int j = 0; j < Keys; ++j) k[j] = S::load_tail(keys[j] + d, head_dim - d);
            add(k, d);
        }
    }

    /// scores[r][j] = <queries[r], keys[j]> for four keys.
    template <int Rows>
    static HEADWISE_INLINE void score_tile(const float* const (&keys)[kTileKeys], const float* queries, std::int64_t head_dim,
                                           float* scores) {
        constexpr int kKeys = Rows > 2 ? kTogether : 1;
        constexpr bool kFold = S::kFolds4 && Rows == 4;
        F sum[Rows][kTileKeys], folded[kTileKeys];
        HEADWISE_UNROLL for (int first = 0; first < kTileKeys; first += kKeys) {
            F part[Rows][kKeys];
            multiply<Rows, kKeys>(keys + first, queries, head_dim, part);
            HEADWISE_UNROLL for (int j = 0; j < kKeys; ++j) {
                if constexpr (kFold)
                    folded[first + j] = S::fold_4(part[0][j], part[1][j], part[2][j], part[3][j]);
                else
                    HEADWISE_UNROLL for (int r = 0; r < Rows; ++r) sum[r][first + j] = part[r][j];
            }
        }
        if constexpr (kFold)
            S::reduce_folded_4(folded[0], folded[1], folded[2], folded[3], scores, kKeyBlock);
        else
            HEADWISE_UNROLL for (int r = 0; r < Rows; ++r)
                S::reduce_add_4(sum[r][0], sum[r][1], sum[r][2], sum[r][3], scores + r * kKeyBlock);
    }

    /// The scores of all rows against the keys [begin, end), the next ones of `keys`. Beyond the last key the last one is repeated;
    /// nobody sees that.
    template <class Cursor, class Fetch>
    static HEADWISE_INLINE void score_keys(const AttentionBlock& block, Cursor& keys, Fetch& ahead, float* scores, int begin,
                                           int end) {
        for (int key = begin; key < end; key += kTileKeys) {
            const float* row[kTileKeys];
            row[0] = keys.next();
            HEADWISE_UNROLL for (int j = 1; j < kTileKeys; ++j) {
                row[j] = key + j < end ? keys.next() : row[j - 1];
            }
            for_row_groups<kTileRows>(block.rows, [&](auto rows, std::int64_t first) HEADWISE_LAMBDA_INLINE {
                if (first + rows.value == block.rows) ahead.fetch(kTileKeys, block.head_dim);
                score_tile<rows.value>(row, block.queries + first * padded(block.head_dim), block.head_dim,
                                       scores + first * kKeyBlock + key);
            });
        }
    }

    // ---- softmax

    /// Turns one row's scores of `keys` keys into weights, 0 where they are -Inf; keeps row_max, row_sum and the accumulators
    /// consistent.
    static HEADWISE_INLINE void weights(const AttentionBlock& block, float* scores, std::int64_t row, int keys) {
        scores += row * kKeyBlock;
        F largest = S::broadcast(-__builtin_inff());
        for (int i = 0; i < keys; i += W) largest = S::max(S::load(scores + i), largest);
        const float block_max = S::reduce_max(largest);
        if (block_max > block.row_max[row] + kRescaleThreshold) {
            const F factor = exp2_weight_of_difference<S>(S::broadcast(block.row_max[row]), S::broadcast(block_max));
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
            const F w = exp2_weight<S>(S::load(scores + i) - max);
            S::store(scores + i, w);
            sum = sum + w;
        }
        block.row_sum[row] += S::reduce_add(sum);
    }

    // ---- values

    /// accumulators[r][d .. d + Columns W) += sum over the keys [begin, end) of weights[r][key] * values[key]. With Tail the last
    /// vector is cut at value_dim. The keys' own sum begins at zero: one chain over all keys of a chunk loses digits.
    template <int Rows, int Columns, bool Tail, class Cursor>
    static HEADWISE_INLINE void value_tile(Cursor values, std::int64_t d, std::int64_t value_dim, const float* weights,
                                           float* accumulators, int begin, int end) {
        const std::int64_t stride = padded(value_dim);
        F sum[Rows][Columns];
        HEADWISE_UNROLL for (int r = 0; r < Rows; ++r) HEADWISE_UNROLL for (int c = 0; c < Columns; ++c) sum[r][c] = S::zero();
        HEADWISE_NO_UNROLL for (int key = begin; key < end; ++key) {
            const float* value = values.next() + d;
            keep_address(value);
            F x[Columns];
            HEADWISE_UNROLL for (int c = 0; c < Columns; ++c) {
                x[c] = Tail ? S::load_tail(value + c * W, value_dim - d) : S::load(value + c * W);
                S::keep(x[c]);
            }
            HEADWISE_UNROLL for (int r = 0; r < Rows; ++r) {
                const F w = S::broadcast(weights[r * kKeyBlock + key]);
                HEADWISE_UNROLL for (int c = 0; c < Columns; ++c) sum[r][c] = S::fma(w, x[c], sum[r][c]);
            }
        }
        HEADWISE_UNROLL for (int r = 0; r < Rows; ++r) HEADWISE_UNROLL for (int c = 0; c < Columns; ++c) {
            float* to = accumulators + r * stride + d + c * W;
            S::store(to, S::load(to) + sum[r][c]);
        }
    }

    /// All value columns of the keys [begin, end), the next ones of `values`, for `Rows` rows from `row` on, `Columns` vectors at a
    /// time.
    template <int Rows, int Columns, class Cursor>
    static HEADWISE_INLINE void value_rows(const AttentionBlock& block, const Cursor& values, const float* scores, std::int64_t row,
                                           int begin, int end) {
        const float* weights = scores + row * kKeyBlock;
        float* accumulators = block.accumulators + row * padded(block.value_dim);
        std::int64_t d = 0;
        for (; d + Columns * W <= block.value_dim; d += Columns * W)
            value_tile<Rows, Columns, false>(values, d, block.value_dim, weights, accumulators, begin, end);
        for (; d + W <= block.value_dim; d += W)
            value_tile<Rows, 1, false>(values, d, block.value_dim, weights, accumulators, begin, end);
        if (d < block.value_dim) value_tile<Rows, 1, true>(values, d, block.value_dim, weights, accumulators, begin, end);
    }

    /// Adds the values [begin, end) to all rows. Tiles as wide as a row where the registers allow it, so that memory is read in
    /// order; what further rows need is in the cache then, and the memory is free for what is asked for ahead.
    template <class Cursor, class Fetch>
    static HEADWISE_INLINE void add_values(const AttentionBlock& block, const Cursor& values, Fetch& ahead, const float* scores,
                                           int begin, int end) {
        const auto cover = [&](auto columns) HEADWISE_LAMBDA_INLINE {
            constexpr int kRows = kAccumulators / columns.value;
            const int later_groups = static_cast<int>(block.rows - 1) / kRows;
            const int share = later_groups > 1 ? (kStep + later_groups - 1) / later_groups : kStep;
            for_row_groups<kRows>(block.rows, [&](auto rows, std::int64_t row) HEADWISE_LAMBDA_INLINE {
                if (row > 0 || rows.value == block.rows) ahead.fetch(share, block.value_dim);
                value_rows<rows.value, columns.value>(block, values, scores, row, begin, end);
            });
        };
        if (block.value_dim > 4 * W)
            cover(Constant<8>{});
        else
            cover(Constant<4>{});
    }

    /// The same for keys that not every row sees, row by row and run by run: a value that a row may not see is never multiplied, so
    /// that NaN or Inf there cannot leak. Keys that nobody sees are not read.
    template <class Cursor, class Fetch>
    static HEADWISE_TILE void add_seen_values(const AttentionBlock& block, const Cursor& values, Fetch& ahead, const Scores& turn,
                                              int begin, int end) {
        ahead.fetch(end - begin, block.value_dim);
        const auto for_runs = [&](std::uint64_t bits, auto function) HEADWISE_LAMBDA_INLINE {
            const auto sees = [&](int key) { return (bits >> static_cast<unsigned>(key) & 1u) != 0; };
            for (int key = begin; key < end;) {
                const int first = key;
                while (key < end && sees(key)) ++key;
                if (first < key) function(first, key);
                while (key < end && !sees(key)) ++key;
            }
        };
        const auto from_key = [&](int key) {
            Cursor cursor = values;
            cursor.skip(key - begin);
            return cursor;
        };
        NoFetch none;
        if (turn.all == turn.any) {
            for_runs(turn.all, [&](int from, int to) { add_values(block, from_key(from), none, turn.scores, from, to); });
            return;
        }
        for (std::int64_t row = 0; row < block.rows; ++row)
            for_runs(turn.visible[row],
                     [&](int from, int to) { value_rows<1, 8>(block, from_key(from), turn.scores, row, from, to); });
    }

    // ---- fetching ahead

    static bool fetches(const AttentionBlock& block, const KeyValueRows& kv) {
        return kv.key_stride != block.head_dim || kv.value_stride != block.value_dim || block.rows > kRowsWithoutFetch;
    }

    /// What is asked for while row `first` is read.
    template <bool Paged>
    static auto keys_ahead(const KeyValueRows& kv, std::int64_t first, std::int64_t end) {
        return RowFetch<Paged>(kv.keys, kv.key_stride, kv, kv.key_page_stride, first + kFetchAhead, end);
    }
    template <bool Paged>
    static auto values_ahead(const KeyValueRows& kv, std::int64_t first, std::int64_t end) {
        return RowFetch<Paged>(kv.values, kv.value_stride, kv, kv.value_page_stride, first + kFetchAhead, end);
    }

    // ---- the kernel's functions

    /// The scores of a block are made while the values of the one before it are added, kStep keys of each in turn; in the end those
    /// of the next call's first block, which finds them at the beginning of block.scores.
    template <bool Paged, bool Fetches>
    static void attend_keys(const AttentionBlock& block, const KeyValueRows& kv, std::int64_t key_begin, std::int64_t key_end) {
        clear(block);
        if (block.key_begin && block.key_begin[0] > key_begin) key_begin = block.key_begin[0];
        const auto seen = [&](std::int64_t end) {
            return block.key_end && block.key_end[block.rows - 1] < end ? block.key_end[block.rows - 1] : end;
        };
        const std::int64_t chunk_end = key_end, next_end = seen(block.next_key_end);
        key_end = seen(key_end);
        Scores turns[2];
        turns[0].scores = block.scores;
        turns[1].scores = block.scores + block.rows * kKeyBlock;
        turns[0].find(block, key_begin, key_end);
        if (turns[0].keys == 0 && next_end > chunk_end) {
            turns[0].find(block, chunk_end, next_end);
            score_first<Paged>(block, kv, turns[0]);
            return;
        }
        if (!block.begun) score_first<Paged>(block, kv, turns[0]);
        int here = 0;
        while (turns[here].keys > 0) {
            Scores& next = turns[1 - here];
            next.find(block, turns[here].origin + kKeyBlock, key_end);
            const bool last = next.keys == 0;
            if (last && next_end > chunk_end) next.find(block, chunk_end, next_end);
            const std::int64_t end = chunk_end > next_end ? chunk_end : next_end;
            const auto attend_turn = [&](auto keys, auto values) HEADWISE_LAMBDA_INLINE {
                attend_key_block(block, key_cursor<S, Paged>(kv, block.head_dim, next.origin, next.keys),
                                 value_cursor<Paged>(kv, turns[here].origin), keys, values, turns[here], next);
            };
            if constexpr (Fetches)
                attend_turn(keys_ahead<Paged>(kv, next.origin, end), values_ahead<Paged>(kv, turns[here].origin, end));
            else
                attend_turn(NoFetch{}, NoFetch{});
            here = 1 - here;
            if (!last) continue;
            if (here == 1)
                for (std::int64_t i = 0; i < block.rows * kKeyBlock; i += W)
                    S::store(turns[0].scores + i, S::load(turns[1].scores + i));
            return;
        }
    }

    /// The scores of a block that no other came before.
    template <bool Paged>
    static HEADWISE_TILE void score_first(const AttentionBlock& block, const KeyValueRows& kv, const Scores& turn) {
        if (turn.keys == 0) return;
        RowCursor<Paged> keys = key_cursor<S, Paged>(kv, block.head_dim, turn.origin, turn.keys);
        NoFetch none;
        score_keys(block, keys, none, turn.scores, 0, turn.keys);
    }

    /// Adds the block `here`, whose scores are there, and makes those of `next`.
    template <class Cursor, class Fetch>
    static HEADWISE_INLINE void attend_key_block(const AttentionBlock& block, Cursor next_keys, Cursor values, Fetch keys_ahead,
                                                 Fetch values_ahead, Scores& here, const Scores& next) {
        here.finish(block);
        for (std::int64_t row = 0; row < block.rows; ++row)
            if (here.visible[row] != 0) weights(block, here.scores, row, here.keys);
        for (int begin = 0; begin < kKeyBlock; begin += kStep) {
            const auto cut = [&](int x) { return x < begin + kStep ? x : begin + kStep; };
            if (begin < next.keys) score_keys(block, next_keys, keys_ahead, next.scores, begin, cut(next.keys));
            if (begin >= here.keys) continue;
            const int end = cut(here.keys);
            const std::uint64_t turn = low_bits(end - begin);
            if ((here.all >> static_cast<unsigned>(begin) & turn) == turn)
                add_values(block, values, values_ahead, here.scores, begin, end);
            else
                add_seen_values(block, values, values_ahead, here, begin, end);
            values.skip(end - begin);
        }
    }

    static void attend(const AttentionBlock& block, const KeyValueRows& kv, std::int64_t key_begin, std::int64_t key_end) {
        if (kv.pages)
            attend_keys<true, true>(block, kv, key_begin, key_end);
        else if (fetches(block, kv))
            attend_keys<false, true>(block, kv, key_begin, key_end);
        else
            attend_keys<false, false>(block, kv, key_begin, key_end);
    }

    static void pack_queries(const AttentionBlock& block, const float* const* rows, const float* scales) {
        float* to = block.queries;
        for (std::int64_t row = 0; row < block.rows; ++row)
            for (std::int64_t d = 0; d < block.head_dim; d += W, to += W)
                S::store(to, (d + W <= block.head_dim ? S::load(rows[row] + d) : S::load_tail(rows[row] + d, block.head_dim - d)) *
                                 S::broadcast(scales[row]));
    }

    /// The state of rows that have seen no key.
    static void clear(const AttentionBlock& block) {
        for (std::int64_t row = 0; row < block.rows; ++row) {
            block.row_max[row] = kNoKeyYet;
            block.row_sum[row] = 0;
        }
        for (std::int64_t i = 0; i < block.rows * padded(block.value_dim); i += W) S::store(block.accumulators + i, S::zero());
    }

    static void merge(const AttentionBlock& into, const AttentionBlock& from) {
        const std::int64_t stride = padded(into.value_dim);
        for (std::int64_t row = 0; row < into.rows; ++row) {
            const F max_a = S::broadcast(into.row_max[row]), max_b = S::broadcast(from.row_max[row]);
            const F max = S::max(max_a, max_b);
            const F a = exp2_weight_of_difference<S>(max_a, max), b = exp2_weight_of_difference<S>(max_b, max);
            float lanes[W];
            S::store(lanes, max);
            into.row_max[row] = lanes[0];
            S::store(lanes, S::fma(S::broadcast(from.row_sum[row]), b, S::broadcast(into.row_sum[row]) * a));
            into.row_sum[row] = lanes[0];
            for (std::int64_t at = row * stride; at < (row + 1) * stride; at += W)
                S::store(into.accumulators + at, S::fma(S::load(from.accumulators + at), b, S::load(into.accumulators + at) * a));
        }
    }

    static void finish(const AttentionBlock& block, float* const* rows, const float* factors) {
        const float* from = block.accumulators;
        for (std::int64_t row = 0; row < block.rows; ++row) {
            const F factor = S::broadcast(factors[row]);
            for (std::int64_t d = 0; d < block.value_dim; d += W, from += W) {
                const F x = factors[row] == kSeesNothing ? S::zero() : S::load(from) * factor;
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
            .key_block = 2 * Kernel::kKeyBlock,
            .part_keys = 12 * Kernel::kKeyBlock,  // 96 sums of 8 values in a chain; with half as many decode took 1 % longer
            .pack_queries = Kernel::pack_queries,
            .attend = Kernel::attend,
            .merge = Kernel::merge,
            .finish = Kernel::finish,
            .sees_any = sees_any_key<S>};
}

}  // namespace
}  // namespace headwise
