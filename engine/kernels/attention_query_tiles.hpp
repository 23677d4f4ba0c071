#pragma once

#include <cstdint>

#include "engine/simd/inline.hpp"

namespace headwise {
namespace {

/// The register tiles of attention with queries in lanes. Row `r` of a packed array lies at r * stride.
template <class S>
struct QueryTiles {
    using F = typename S::Floats;
    static constexpr int W = S::kLanes;
    static constexpr int kLine = 16;  // floats in a cache line

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

    /// What a score tile asks for while it computes: its own keys' values, and keys of a later tile.
    struct Ahead {
        const float* keys;
        const float* values;
        std::int64_t key_stride, value_stride;
    };

    /// scores[row][lane] = sum over d of keys[row][d] * queries[d][lane], and the running maximum over the rows.
    template <int Rows, int Vectors, bool Masked, bool Fetch>
    static HEADWISE_TILE void score_tile(const float* keys, std::int64_t key_stride, const float* queries, std::int64_t stride,
                                         std::int64_t head_dim, float* scores, float* block_max, const float* limit, int key,
                                         const Ahead& ahead) {
        F sum[Rows][Vectors];
        const float* const end = keys + head_dim;
        const auto step_to = [&](auto first) HEADWISE_LAMBDA_INLINE {
            F q[Vectors];
            HEADWISE_UNROLL for (int v = 0; v < Vectors; ++v) q[v] = S::load(queries + v * W);
            HEADWISE_UNROLL for (int r = 0; r < Rows; ++r) {
                const F k = S::broadcast(keys[r * key_stride]);
                HEADWISE_UNROLL for (int v = 0; v < Vectors; ++v) sum[r][v] = first.value ? k * q[v] : S::fma(k, q[v], sum[r][v]);
            }
            ++keys;
            queries += stride;
        };
        const auto step = [&]() HEADWISE_LAMBDA_INLINE { step_to(Constant<false>{}); };
        const float* line_end = keys + kLine;
        step_to(Constant<true>{});
        if constexpr (Fetch) {
            // One line at a time: a burst would fill the queue of cache misses, and the loads would wait behind it.
            static_assert(2 * Rows < kLine);
            const float* keys_ahead = ahead.keys;
            const float* values_ahead = ahead.values;
            HEADWISE_NO_UNROLL for (; line_end <= end; line_end += kLine) {
                HEADWISE_UNROLL for (int r = 0; r < Rows; ++r) {
                    __builtin_prefetch(keys_ahead);
                    keys_ahead += ahead.key_stride;
                    step();
                    __builtin_prefetch(values_ahead);
                    values_ahead += ahead.value_stride;
                    step();
                }
                keys_ahead += kLine - Rows * ahead.key_stride;
                values_ahead += kLine - Rows * ahead.value_stride;
                HEADWISE_NO_UNROLL while (keys < line_end) step();
            }
        }
        HEADWISE_NO_UNROLL while (keys < end) step();
        HEADWISE_UNROLL for (int v = 0; v < Vectors; ++v) {
            F largest = S::load(block_max + v * W);
            HEADWISE_UNROLL for (int r = 0; r < Rows; ++r) {
                F s = sum[r][v];
                if constexpr (Masked)
                    s = S::select(S::less(S::broadcast(static_cast<float>(key + r)), S::load(limit + v * W)), s,
                                  S::broadcast(-__builtin_inff()));
                S::store(scores + r * stride + v * W, s);
                largest = S::max(s, largest);
            }
            S::store(block_max + v * W, largest);
        }
    }

    /// Rows anywhere in memory that a value tile asks for while it computes, a line with each key but the first: it has that many
    /// keys.
    struct RowsAhead {
        const float* const* row;
        std::int64_t rows, length;
    };

    /// accumulators[column][lane] += sum over the keys [begin, end) of values[key][column] * weights[key][lane], or = that if
    /// fresh. With Masked, some lanes do not see the keys from `full` on. Their weight is skipped rather than multiplied: what the
    /// value holds there (NaN, Inf) must not leak.
    template <int Columns, int Vectors, bool Masked, bool Fetch = false>
    static HEADWISE_TILE void value_tile(const float* values, std::int64_t value_stride, const float* weights, std::int64_t stride,
                                         float* accumulators, const float* limit, int begin, int full, int end, bool fresh,
                                         const RowsAhead& ahead = {}) {
        F sum[Columns][Vectors];
        const float* value = values + begin * value_stride;
        const float* weight = weights + begin * stride;
        int key = begin;
        const auto step_to = [&](auto first) HEADWISE_LAMBDA_INLINE {
            F w[Vectors];
            HEADWISE_UNROLL for (int v = 0; v < Vectors; ++v) w[v] = S::load(weight + v * W);
            HEADWISE_UNROLL for (int d = 0; d < Columns; ++d) {
                const F x = S::broadcast(value[d]);
                HEADWISE_UNROLL for (int v = 0; v < Vectors; ++v) sum[d][v] = first.value ? x * w[v] : S::fma(x, w[v], sum[d][v]);
            }
            value += value_stride;
            weight += stride;
            ++key;
        };
        const auto step = [&]() HEADWISE_LAMBDA_INLINE { step_to(Constant<false>{}); };
        if constexpr (Masked) {
            HEADWISE_UNROLL for (int d = 0; d < Columns; ++d) HEADWISE_UNROLL for (int v = 0; v < Vectors; ++v) sum[d][v] =
                S::zero();
        } else {
            step_to(Constant<true>{});
        }
        if constexpr (Fetch) {
            HEADWISE_NO_UNROLL for (std::int64_t i = 0; i < ahead.rows; ++i) {
                const float* line = ahead.row[i];
                HEADWISE_NO_UNROLL for (const float* end_of_row = line + ahead.length; line < end_of_row; line += kLine) {
                    __builtin_prefetch(line);
                    step();
                }
            }
        }
        HEADWISE_NO_UNROLL while (key < full) step();
        if constexpr (Masked) {
            HEADWISE_NO_UNROLL for (; key < end; ++key, value += value_stride, weight += stride) {
                HEADWISE_UNROLL for (int v = 0; v < Vectors; ++v) {
                    const F w = S::load(weight + v * W);
                    const auto sees = S::less(S::broadcast(static_cast<float>(key)), S::load(limit + v * W));
                    HEADWISE_UNROLL for (int d = 0; d < Columns; ++d) sum[d][v] =
                        S::masked_fma(sees, S::broadcast(value[d]), w, sum[d][v]);
                }
            }
        }
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
