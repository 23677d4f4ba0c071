#pragma once

#include <cstdint>

#include "engine/layout/cache_line.hpp"
#include "engine/simd/inline.hpp"

namespace headwise {
namespace {

/// The register tiles of attention with queries in lanes. Row `r` of a packed array lies at r * stride.
template <class S>
struct QueryTiles {
    using F = typename S::Floats;
    static constexpr int W = S::kLanes;
    static constexpr int kLine = kCacheLineFloats;

    // Keys that one score tile handles, for tiles of 1, 2, ... vectors: 24 accumulators of 32 registers, or 12 of 16.
    static constexpr int score_rows(int vectors) {
        constexpr int kAccumulators = S::kRegisters == 32 ? 24 : 12;
        const int rows = kAccumulators / vectors;
        return rows > 12 ? 12 : rows;
    }

    // Value columns that one value tile handles, as many accumulators. Tiles of 4 columns make up what 6 do not divide.
    static constexpr int value_columns(int vectors) {
        constexpr int kAccumulators = S::kRegisters == 32 ? 24 : 12;
        const int columns = kAccumulators / vectors;
        return columns > 8 ? 8 : columns > 6 ? 6 : columns;
    }

    /// scores[row][lane] = sum over d of keys[row][d] * queries[d][lane], and the running maximum over the rows. With Fetch the
    /// tile asks, while it computes, for keys_ahead[Rows] and values_ahead[Rows], as many floats of each.
    template <int Rows, int Vectors, bool Fetch>
    static HEADWISE_TILE void score_tile(const float* const* keys, const float* queries, std::int64_t stride, std::int64_t head_dim,
                                         float* scores, float* block_max, const float* const* keys_ahead,
                                         const float* const* values_ahead) {
        F sum[Rows][Vectors];
        const float* key[Rows];
        HEADWISE_UNROLL for (int r = 0; r < Rows; ++r) key[r] = keys[r];
        std::int64_t d = 0;
        const auto step_to = [&](auto first) HEADWISE_LAMBDA_INLINE {
            F q[Vectors];
            HEADWISE_UNROLL for (int v = 0; v < Vectors; ++v) q[v] = S::load(queries + v * W);
            HEADWISE_UNROLL for (int r = 0; r < Rows; ++r) {
                const F k = S::broadcast(key[r][d]);
                HEADWISE_UNROLL for (int v = 0; v < Vectors; ++v) sum[r][v] = first.value ? k * q[v] : S::fma(k, q[v], sum[r][v]);
            }
            ++d;
            queries += stride;
        };
        const auto step = [&]() HEADWISE_LAMBDA_INLINE { step_to(Constant<false>{}); };
        step_to(Constant<true>{});
        if constexpr (Fetch) {
            // One line at a time: a burst would fill the queue of cache misses, and the loads would wait behind it.
            static_assert(2 * Rows < kLine);
            HEADWISE_NO_UNROLL for (std::int64_t line = 0; line + kLine <= head_dim; line += kLine) {
                // Not unrolled: g++ 12 would hold all the pointers at once, and spill accumulators.
                HEADWISE_NO_UNROLL for (int r = 0; r < Rows; ++r) {
                    __builtin_prefetch(keys_ahead[r] + line);
                    __builtin_prefetch(values_ahead[r] + line);
                    step();
                }
                HEADWISE_NO_UNROLL while (d < line + kLine) step();
            }
        }
        HEADWISE_NO_UNROLL while (d < head_dim) step();
        HEADWISE_UNROLL for (int v = 0; v < Vectors; ++v) {
            F largest = S::load(block_max + v * W);
            HEADWISE_UNROLL for (int r = 0; r < Rows; ++r) {
                S::store(scores + r * stride + v * W, sum[r][v]);
                largest = S::max(sum[r][v], largest);
            }
            S::store(block_max + v * W, largest);
        }
    }

    /// Parts of rows anywhere in memory, the floats [begin, end) of each, that a value tile asks for while it computes, a line with
    /// each key but the first: it has that many keys.
    struct RowsAhead {
        const float* const* row;
        std::int64_t rows, begin, end;

        std::int64_t lines() const { return (end - begin + kLine - 1) / kLine; }
    };

    /// Keys of a value tile: those in [begin, full_begin) and [full_end, end) are seen by some lanes only.
    struct KeyRange {
        int begin, full_begin, full_end, end;
    };

    /// accumulators[column][lane] += sum over the keys of values[key][first_column + column] * weights[key][lane], or = that if
    /// fresh. With Masked, visible[key] has a bit for each lane that sees the key, wherever some do not. Their weight is skipped
    /// rather than multiplied: what the value holds there (NaN, Inf) must not leak.
    template <int Columns, int Vectors, bool Masked, bool Fetch = false>
    static HEADWISE_TILE void value_tile(const float* const* values, std::int64_t first_column, const float* weights,
                                         std::int64_t stride, float* accumulators, const std::uint16_t* visible,
                                         const KeyRange& keys, bool fresh, const RowsAhead& ahead = {}) {
        static_assert(!Masked || Vectors == 1);
        F sum[Columns][Vectors];
        const float* weight = weights + keys.begin * stride;
        int key = keys.begin;
        const auto step_to = [&](auto first) HEADWISE_LAMBDA_INLINE {
            F w[Vectors];
            const float* value = values[key] + first_column;
            keep_address(value);
            HEADWISE_UNROLL for (int v = 0; v < Vectors; ++v) w[v] = S::load(weight + v * W);
            HEADWISE_UNROLL for (int d = 0; d < Columns; ++d) {
                const F x = S::broadcast(value[d]);
                HEADWISE_UNROLL for (int v = 0; v < Vectors; ++v) sum[d][v] = first.value ? x * w[v] : S::fma(x, w[v], sum[d][v]);
            }
            weight += stride;
            ++key;
        };
        const auto step = [&]() HEADWISE_LAMBDA_INLINE { step_to(Constant<false>{}); };
        const auto masked_step = [&]() HEADWISE_LAMBDA_INLINE {
            const F w = S::load(weight);
            const auto sees = S::from_bits(visible[key]);
            const float* value = values[key] + first_column;
            keep_address(value);
            HEADWISE_UNROLL for (int d = 0; d < Columns; ++d) sum[d][0] = S::masked_fma(sees, S::broadcast(value[d]), w, sum[d][0]);
            weight += stride;
            ++key;
        };
        if constexpr (Masked) {
            HEADWISE_UNROLL for (int d = 0; d < Columns; ++d) sum[d][0] = S::zero();
            HEADWISE_NO_UNROLL while (key < keys.full_begin) masked_step();
        } else {
            step_to(Constant<true>{});
        }
        if constexpr (Fetch) {
            HEADWISE_NO_UNROLL for (std::int64_t i = 0; i < ahead.rows; ++i) {
                const float *line = ahead.row[i] + ahead.begin, *end_of_row = ahead.row[i] + ahead.end;
                HEADWISE_NO_UNROLL for (; line < end_of_row; line += kLine) {
                    __builtin_prefetch(line);
                    step();
                }
            }
        }
        HEADWISE_NO_UNROLL while (key < keys.full_end) step();
        if constexpr (Masked) HEADWISE_NO_UNROLL while (key < keys.end) masked_step();
        // What the accumulators held is added in the end: loads in the beginning would delay the first products.
        const auto finish = [&](auto add) HEADWISE_LAMBDA_INLINE {
            HEADWISE_UNROLL for (int d = 0; d < Columns; ++d) HEADWISE_UNROLL for (int v = 0; v < Vectors; ++v) {
                float* to = accumulators + d * stride + v * W;
                S::store(to, add.value ? S::load(to) + sum[d][v] : sum[d][v]);
            }
        };
        if (fresh)
            finish(Constant<false>{});
        else
            finish(Constant<true>{});
    }
};

}  // namespace
}  // namespace headwise
