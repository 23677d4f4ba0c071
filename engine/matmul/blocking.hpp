#pragma once

#include <cstdint>

#include "headwise/cpu.hpp"

namespace headwise {

/// How the right-hand side lies in memory.
enum class PanelSource {
    packed,   ///< in panels already, by PackedMatrix
    rows,     ///< contiguous rows
    columns,  ///< contiguous columns
};

/// What decides how a batch of products of an m x k and a k x n matrix is cut. Lengths in elements.
struct MatmulProblem {
    std::int64_t batch = 1, m = 0, n = 0, k = 0;
    std::int64_t tile_rows = 1, tile_columns = 1;  ///< MR, NR of the micro-kernel
    bool a_columns = false;                        ///< the columns of a are contiguous, not its rows
    PanelSource b = PanelSource::rows;
    std::int64_t b_row = 0;  ///< distance of the rows of b, for PanelSource::rows
    bool keeps_c = false;    ///< the last write also reads c (beta, or a residual in c): sums are parked elsewhere before
};

/// The blocks of BLIS's five loops (jc, pc, ic, jr, ir) around a micro-kernel that holds MR x NR sums. None of these numbers
/// changes a bit of the result: kc is k or kSumDepth.
struct MatmulBlocking {
    std::int64_t kc = 0;            ///< depth of a block (pc)
    std::int64_t mc = 0;            ///< rows of a block of a (ic)
    bool pack_a = false;            ///< blocks of a are transposed into the worker's buffer
    bool pack_b = false;            ///< panels of b are copied into the worker's buffer
    std::int64_t item_rows = 0;     ///< a work item is item_rows x item_columns of c (jc) with the whole of k
    std::int64_t item_columns = 0;  ///< a multiple of NR
    std::int64_t row_items = 0, column_items = 0;
    int workers = 1;

    // Of each worker's buffer, in floats.
    std::int64_t packed_a_row = 0;  ///< distance of the rows of a packed block of a
    std::int64_t packed_a_size = 0;
    std::int64_t packed_b_size = 0;
    std::int64_t sums_size = 0;  ///< item_rows x item_columns sums, where c cannot hold them

    std::int64_t buffer_size() const { return packed_a_size + packed_b_size + sums_size; }
};

MatmulBlocking choose_blocking(const MatmulProblem& problem, const CacheSizes& caches, int workers);

}  // namespace headwise
