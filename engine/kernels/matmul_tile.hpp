#pragma once

#include <cstdint>

#include "engine/simd/inline.hpp"

namespace headwise {
namespace {

/// The micro-kernel: Rows x (Vectors * kLanes) sums in registers. Rows of b are loaded as vectors; elements of a are broadcast from
/// where they lie, so that a needs no packing and may be stored either way round. With kPartial only `count` columns of the last
/// vector exist.
template <class S, int Rows, int Vectors, bool kPartial>
struct MatmulTile {
    using F = typename S::Floats;
    static constexpr int W = S::kLanes;
    F sum[Rows][Vectors];

    HEADWISE_INLINE void clear() {
        HEADWISE_UNROLL for (int r = 0; r < Rows; ++r) HEADWISE_UNROLL for (int v = 0; v < Vectors; ++v) sum[r][v] = S::zero();
    }

    /// The first product, whatever the sums were: clearing them before would cost a tile 25 cycles more.
    HEADWISE_INLINE void start(const float* a, std::int64_t a_row, const float* b, std::int64_t count) {
        F row[Vectors];
        HEADWISE_UNROLL for (int v = 0; v < Vectors; ++v) row[v] = load_vector(b, v, count);
        HEADWISE_UNROLL for (int r = 0; r < Rows; ++r) {
            const F x = S::broadcast(a[r * a_row]);
            HEADWISE_UNROLL for (int v = 0; v < Vectors; ++v) sum[r][v] = x * row[v];
        }
    }

    HEADWISE_INLINE void add(const float* c, std::int64_t c_row, std::int64_t count) {
        HEADWISE_UNROLL for (int r = 0; r < Rows; ++r) HEADWISE_UNROLL for (int v = 0; v < Vectors; ++v) sum[r][v] =
            load_vector(c + r * c_row, v, count) + sum[r][v];
    }

    HEADWISE_INLINE void store(float* c, std::int64_t c_row, std::int64_t count) const {
        HEADWISE_UNROLL for (int r = 0; r < Rows; ++r) HEADWISE_UNROLL for (int v = 0; v < Vectors; ++v) {
            if (kPartial && v == Vectors - 1)
                S::store_tail(c + r * c_row + v * W, sum[r][v], count);
            else
                S::store(c + r * c_row + v * W, sum[r][v]);
        }
    }

    /// The k loop. Three rows of a share a base address, since x86 can address base, base + a_row and base + 2 * a_row.
    HEADWISE_INLINE void multiply(const float* a, std::int64_t a_row, std::int64_t a_step, const float* b, std::int64_t b_step,
                                  std::int64_t depth, std::int64_t count) {
        constexpr int kBases = (Rows + 2) / 3;
        const float* base[kBases];
        HEADWISE_UNROLL for (int i = 0; i < kBases; ++i) base[i] = a + 3 * i * a_row;
        HEADWISE_NO_UNROLL for (std::int64_t p = 0; p < depth; ++p) {
            F row[Vectors];
            HEADWISE_UNROLL for (int v = 0; v < Vectors; ++v) row[v] = load_vector(b, v, count);
            HEADWISE_UNROLL for (int r = 0; r < Rows; ++r) {
                const F x = S::broadcast(base[r / 3][(r % 3) * a_row]);
                HEADWISE_UNROLL for (int v = 0; v < Vectors; ++v) sum[r][v] = S::fma(x, row[v], sum[r][v]);
            }
            b += b_step;
            HEADWISE_UNROLL for (int i = 0; i < kBases; ++i) base[i] += a_step;
        }
    }

  private:
    static HEADWISE_INLINE F load_vector(const float* row, int v, std::int64_t count) {
        return kPartial && v == Vectors - 1 ? S::load_tail(row + v * W, count) : S::load(row + v * W);
    }
};

}  // namespace
}  // namespace headwise
