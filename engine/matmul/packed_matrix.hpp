#pragma once

#include <cstdint>
#include <memory>
#include <new>

#include "engine/kernels/kernel_table.hpp"
#include "engine/layout/cache_line.hpp"
#include "headwise/matmul.hpp"

namespace headwise {

/// The packed layout: panels of tile_columns columns one after the other, each [k][tile_columns]; the rows of the last one are only
/// as long as its columns need, rounded up to full vectors and filled with zeros.
struct PackedMatrix::Storage {
    struct Free {
        void operator()(float* memory) const noexcept { ::operator delete(memory, kAlignment); }
    };
    static constexpr std::align_val_t kAlignment{kCacheLine};

    const KernelTable* kernels = nullptr;
    std::int64_t k = 0, n = 0;
    std::size_t size = 0;  ///< floats
    std::unique_ptr<float, Free> data;
};

/// Floats from one row of a panel of `columns` columns to the next.
inline std::int64_t panel_row(const KernelTable& kernels, std::int64_t columns) {
    return (columns + kernels.lanes - 1) / kernels.lanes * kernels.lanes;
}

/// Packs rows [row, row + depth) and columns [column, column + columns) of b into one panel.
void pack_panel(const KernelTable& kernels, const TensorView<const float, 2>& b, std::int64_t row, std::int64_t depth,
                std::int64_t column, std::int64_t columns, float* panel);

}  // namespace headwise
