#pragma once

#include <cstdint>

#include "headwise/activation.hpp"

namespace headwise {

/// What is done to the sums of a product once they are complete: c = activation(alpha * sum + beta * c + bias) + residual.
struct MatmulFinish {
    float alpha = 1;
    float beta = 0;  ///< 0: c is not read
    Activation activation = Activation::none;
    const float* bias = nullptr;      ///< [columns]; null: none
    const float* residual = nullptr;  ///< residual[i * residual_row + j]; null: none. May be c.
    std::int64_t residual_row = 0;
};

/// Rows of memory that will be read soon.
struct FetchRows {
    const float* first = nullptr;
    std::int64_t stride = 0;
    std::int64_t rows = 0;
    std::int64_t length = 0;  ///< of a row, in floats
};

/// A sum over p is made of blocks of so many products, each one chain that begins at zero, added in their order: one chain over
/// tens of thousands would lose two digits. Adding them costs no measurable time.
inline constexpr std::int64_t kSumDepth = 1024;

/// One panel of a product: sum[i][j] = sum over p of a[i][p] * b[p][j] for i < rows, p < depth and j < columns, where columns is at
/// most MatmulKernels::tile_columns and depth at most kSumDepth. Strides in elements. How rows and columns are cut into calls does
/// not change a bit of a sum.
struct MatmulPanel {
    std::int64_t rows, columns, depth;
    const float* a;  ///< a[i * a_row + p * a_step]
    std::int64_t a_row, a_step;
    const float* b;  ///< b[p * b_step + j]
    std::int64_t b_step;
    float* sums;  ///< sums[i * sums_row + j]: c, or memory of its own where c is read in the end
    std::int64_t sums_row;
    bool resume;  ///< sums holds the sums over the p before these, a multiple of kSumDepth
    float* c;     ///< c[i * c_row + j]; written, and read as finish says, where finish is given
    std::int64_t c_row;
    const MatmulFinish* finish;  ///< null: sums gets the sums as they are
    FetchRows fetch;             ///< fetched into the second cache meanwhile
};

struct MatmulKernels {
    std::int64_t tile_rows;     ///< MR: rows of a that share one pass over a panel of b
    std::int64_t tile_columns;  ///< NR: columns of a panel
    void (*multiply_panel)(const MatmulPanel& panel);

    /// to[i * to_row + j] = from[i * from_row + j] for i < rows, j < columns; each row of `to` is filled up to full vectors with
    /// zeros.
    void (*copy)(const float* from, std::int64_t from_row, std::int64_t rows, std::int64_t columns, float* to, std::int64_t to_row);
    /// to[j * to_row + i] = from[i * from_row + j] for i < rows, j < columns; filled up likewise.
    void (*transpose)(const float* from, std::int64_t from_row, std::int64_t rows, std::int64_t columns, float* to,
                      std::int64_t to_row);
};

}  // namespace headwise
