#pragma once

#include <cstdint>

#include "engine/layout/cache_line.hpp"
#include "engine/simd/inline.hpp"

namespace headwise {
namespace {

template <class S>
void copy_rows(const float* from, std::int64_t from_row, std::int64_t rows, std::int64_t columns, float* to, std::int64_t to_row) {
    // Short pieces of rows far apart: the processor's own prefetcher does not see what comes.
    constexpr std::int64_t kAhead = 12;  // rows
    for (std::int64_t i = 0; i < rows; ++i, from += from_row, to += to_row) {
        if (i + kAhead < rows)
            for (std::int64_t j = 0; j < columns; j += kCacheLineFloats) __builtin_prefetch(from + kAhead * from_row + j);
        std::int64_t j = 0;
        for (; j + S::kLanes <= columns; j += S::kLanes) S::store(to + j, S::load(from + j));
        if (j < columns) S::store(to + j, S::load_tail(from + j, columns - j));
    }
}

/// One kLanes x kLanes block; rows beyond `rows` count as zeros, columns beyond `columns` are left out.
template <class S, bool kFull>
HEADWISE_INLINE void transpose_block(const float* from, std::int64_t from_row, std::int64_t rows, std::int64_t columns, float* to,
                                     std::int64_t to_row) {
    constexpr int W = S::kLanes;
    typename S::Floats x[W];
    HEADWISE_UNROLL for (int i = 0; i < W; ++i) {
        if constexpr (kFull)
            x[i] = S::load(from + i * from_row);
        else
            x[i] = i < rows ? S::load_tail(from + i * from_row, columns < W ? columns : W) : S::zero();
    }
    S::transpose(x);
    HEADWISE_UNROLL for (int j = 0; j < W; ++j) {
        if (kFull || j < columns) S::store(to + j * to_row, x[j]);
    }
}

template <class S>
void transpose_rows(const float* from, std::int64_t from_row, std::int64_t rows, std::int64_t columns, float* to,
                    std::int64_t to_row) {
    constexpr int W = S::kLanes;
    for (std::int64_t i = 0; i < rows; i += W) {
        std::int64_t j = 0;
        if (i + W <= rows)
            for (; j + W <= columns; j += W)
                transpose_block<S, true>(from + i * from_row + j, from_row, W, W, to + j * to_row + i, to_row);
        for (; j < columns; j += W)
            transpose_block<S, false>(from + i * from_row + j, from_row, rows - i, columns - j, to + j * to_row + i, to_row);
    }
}

}  // namespace
}  // namespace headwise
