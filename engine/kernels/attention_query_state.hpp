#pragma once

#include <cstdint>

#include "engine/kernels/attention_kernels.hpp"
#include "engine/simd/exp.hpp"

namespace headwise {
namespace {

/// Before and after the tiles of attention with queries in lanes: packing queries, and the states of blocks.
template <class S>
struct QueryState {
    using F = typename S::Floats;
    static constexpr int W = S::kLanes;

    static std::int64_t padded_rows(const AttentionBlock& block) { return (block.rows + W - 1) / W * W; }

    static HEADWISE_INLINE void prefetch_row(const float* row, std::int64_t dim) {
        for (std::int64_t d = 0; d < dim; d += 16) __builtin_prefetch(row + d);
    }

    /// queries[d][row] = rows[row][d] * scales[row]; rows beyond the last are 0.
    static void pack_queries(const AttentionBlock& block, const float* const* rows, const float* scales) {
        const std::int64_t stride = padded_rows(block);
        for (std::int64_t row = 0; row < stride; row += W) {
            for (std::int64_t next = row + W; next < row + 2 * W && next < block.rows; ++next)
                prefetch_row(rows[next], block.head_dim);
            for (std::int64_t d = 0; d < block.head_dim; d += W) {
                const std::int64_t dims = block.head_dim - d < W ? block.head_dim - d : W;
                F tile[W];
                if (dims == W && row + W <= block.rows) {
                    HEADWISE_UNROLL for (int i = 0; i < W; ++i) tile[i] =
                        S::load(rows[row + i] + d) * S::broadcast(scales[row + i]);
                } else {
                    HEADWISE_UNROLL for (int i = 0; i < W; ++i) tile[i] =
                        row + i < block.rows ? S::load_tail(rows[row + i] + d, dims) * S::broadcast(scales[row + i]) : S::zero();
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
            S::store(block.row_max + i, S::broadcast(kNoKeyYet));
            S::store(block.row_sum + i, S::zero());
        }
        for (std::int64_t i = 0; i < stride * block.value_dim; i += W) S::store(block.accumulators + i, S::zero());
    }

    static void merge(const AttentionBlock& into, const AttentionBlock& from) {
        const std::int64_t stride = padded_rows(into);
        for (std::int64_t i = 0; i < stride; i += W) {
            const F max_a = S::load(into.row_max + i), max_b = S::load(from.row_max + i);
            const F max = S::max(max_a, max_b);
            const F a = exp2_weight_of_difference<S>(max_a, max), b = exp2_weight_of_difference<S>(max_b, max);
            S::store(into.row_max + i, max);
            S::store(into.row_sum + i, S::fma(S::load(from.row_sum + i), b, S::load(into.row_sum + i) * a));
            for (std::int64_t at = i; at < stride * into.value_dim; at += stride)
                S::store(into.accumulators + at, S::fma(S::load(from.accumulators + at), b, S::load(into.accumulators + at) * a));
        }
    }

    /// rows[row][d] = accumulators[d][row] * factors[row], or 0.
    static void finish(const AttentionBlock& block, float* const* rows, const float* factors) {
        const std::int64_t stride = padded_rows(block);
        for (std::int64_t row = 0; row < block.rows; row += W) {
            const std::int64_t count = block.rows - row < W ? block.rows - row : W;
            const F factor = S::load_tail(factors + row, count);
            const auto sees_none = factor == S::broadcast(kSeesNothing);
            for (std::int64_t d = 0; d < block.value_dim; d += W) {
                const std::int64_t dims = block.value_dim - d < W ? block.value_dim - d : W;
                F tile[W];
                HEADWISE_UNROLL for (int i = 0; i < W; ++i) tile[i] =
                    i < dims ? S::select(sees_none, S::zero(), S::load(block.accumulators + (d + i) * stride + row) * factor)
                             : S::zero();
                S::transpose(tile);
                if (dims == W && count == W) {
                    HEADWISE_UNROLL for (int i = 0; i < W; ++i) S::store(rows[row + i] + d, tile[i]);
                } else {
                    HEADWISE_UNROLL for (int i = 0; i < W; ++i) if (i < count) S::store_tail(rows[row + i] + d, tile[i], dims);
                }
            }
        }
    }
};

}  // namespace
}  // namespace headwise
