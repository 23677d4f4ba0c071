#pragma once

#include "engine/kernels/matmul_finish.hpp"
#include "engine/kernels/matmul_kernels.hpp"
#include "engine/kernels/matmul_tile.hpp"
#include "engine/layout/cache_line.hpp"

namespace headwise {
namespace {

/// The loop over the row tiles of one panel (BLIS's ir loop) and its edges.
template <class S>
struct PanelProduct {
    static constexpr int W = S::kLanes;
    // 6 x 4 vectors: 24 chains of multiply-adds, 4 vectors of b, 2 broadcasts: 30 of 32 registers; 10 loads for 24 multiply-adds.
    // With 16 registers 6 x 2: 12 chains, 2 vectors of b, 1 broadcast.
    static constexpr int kRows = 6;
    static constexpr int kVectors = S::kRegisters == 32 ? 4 : 2;
    static constexpr int kColumns = kVectors * W;

    static void multiply(const MatmulPanel& panel) {
        if (panel.columns == kColumns) {
            row_tiles<kVectors, false>(panel);
            return;
        }
        const std::int64_t vectors = (panel.columns + W - 1) / W;
        if (vectors == 1) row_tiles<1, true>(panel);
        if constexpr (kVectors >= 2)
            if (vectors == 2) row_tiles<2, true>(panel);
        if constexpr (kVectors >= 4) {
            if (vectors == 3) row_tiles<3, true>(panel);
            if (vectors == 4) row_tiles<4, true>(panel);
        }
    }

  private:
    template <int Vectors, bool kPartial>
    static void row_tiles(const MatmulPanel& panel) {
        // What is fetched ahead is spread over the tiles, in between them: a tile's loop keeps the multiply-adds busy for so long
        // that some instructions between two of them cost nothing.
        const std::int64_t tiles = (panel.rows + kRows - 1) / kRows, share = (panel.fetch.rows + tiles - 1) / tiles;
        float* const written = panel.finish ? panel.c : panel.sums;
        const std::int64_t written_row = panel.finish ? panel.c_row : panel.sums_row;
        std::int64_t i = 0, fetched = 0;
        for (; i + kRows <= panel.rows; i += kRows) {
            for (const std::int64_t end = fetched + share; fetched < end && fetched < panel.fetch.rows; ++fetched)
                fetch_row<kSecondCache>(panel.fetch.first + fetched * panel.fetch.stride, panel.fetch.length);
            for (std::int64_t next = i + kRows; next < i + 2 * kRows && next < panel.rows; ++next)
                fetch_row<kFirstCache>(written + next * written_row, panel.columns);
            tile<kRows, Vectors, kPartial>(panel, i);
        }
        switch (panel.rows - i) {
            case 5: tile<5, Vectors, kPartial>(panel, i); break;
            case 4: tile<4, Vectors, kPartial>(panel, i); break;
            case 3: tile<3, Vectors, kPartial>(panel, i); break;
            case 2: tile<2, Vectors, kPartial>(panel, i); break;
            case 1: tile<1, Vectors, kPartial>(panel, i); break;
            default: break;
        }
    }

    // Third argument of __builtin_prefetch.
    static constexpr int kFirstCache = 3, kSecondCache = 2;

    template <int kCache>
    static HEADWISE_INLINE void fetch_row(const float* row, std::int64_t length) {
        for (std::int64_t j = 0; j < length; j += kCacheLineFloats) __builtin_prefetch(row + j, 0, kCache);
    }

    template <int Rows, int Vectors, bool kPartial>
    static HEADWISE_INLINE void tile(const MatmulPanel& panel, std::int64_t i) {
        const std::int64_t count = panel.columns - (Vectors - 1) * W;
        const float* a = panel.a + i * panel.a_row;
        float* parked = panel.sums + i * panel.sums_row;
        MatmulTile<S, Rows, Vectors, kPartial> tile;
        if (panel.depth > 0) {
            tile.start(a, panel.a_row, panel.b, count);
            tile.multiply(a + panel.a_step, panel.a_row, panel.a_step, panel.b + panel.b_step, panel.b_step, panel.depth - 1,
                          count);
        } else {
            tile.clear();
        }
        if (panel.resume) tile.add(parked, panel.sums_row, count);
        if (!panel.finish) {
            tile.store(parked, panel.sums_row, count);
            return;
        }
        alignas(64) float sums[Rows * Vectors * W];
        tile.store(sums, Vectors * W, W);
        const MatmulFinish& finish = *panel.finish;
        finish_sums<S>(sums, Vectors * W, Rows, panel.columns, panel.c + i * panel.c_row, panel.c_row,
                       finish.residual ? finish.residual + i * finish.residual_row : nullptr, finish);
    }
};

}  // namespace
}  // namespace headwise
