#pragma once

#include "engine/kernels/matmul_kernels.hpp"
#include "engine/simd/activation.hpp"

namespace headwise {
namespace {

/// One row of MatmulFinish: c[j] from sums[j], for j < columns.
template <class S, Activation kActivation>
HEADWISE_INLINE void finish_row(const float* sums, float* c, const float* residual, std::int64_t columns,
                                const MatmulFinish& finish) {
    using F = typename S::Floats;
    const F alpha = S::broadcast(finish.alpha), beta = S::broadcast(finish.beta);
    const bool reads_c = finish.beta != 0;
    for (std::int64_t j = 0; j < columns; j += S::kLanes) {
        const bool full = columns - j >= S::kLanes;
        const std::int64_t count = columns - j;
        const auto load = [&](const float* p) HEADWISE_LAMBDA_INLINE { return full ? S::load(p + j) : S::load_tail(p + j, count); };
        F x = alpha * S::load(sums + j);
        if (reads_c) x = S::fma(beta, load(c), x);
        if (finish.bias) x = x + load(finish.bias);
        x = activate<S, kActivation>(x);
        if (residual) x = x + load(residual);
        if (full)
            S::store(c + j, x);
        else
            S::store_tail(c + j, x, count);
    }
}

template <class S, Activation kActivation>
void finish_rows(const float* sums, std::int64_t sums_row, std::int64_t rows, std::int64_t columns, float* c, std::int64_t c_row,
                 const float* residual, const MatmulFinish& finish) {
    for (std::int64_t i = 0; i < rows; ++i)
        finish_row<S, kActivation>(sums + i * sums_row, c + i * c_row, residual ? residual + i * finish.residual_row : nullptr,
                                   columns, finish);
}

/// Completes rows of sums (padded to full vectors). `residual` is finish.residual at the first of these rows.
template <class S>
HEADWISE_INLINE void finish_sums(const float* sums, std::int64_t sums_row, std::int64_t rows, std::int64_t columns, float* c,
                                 std::int64_t c_row, const float* residual, const MatmulFinish& finish) {
    using Finish =
        void (*)(const float*, std::int64_t, std::int64_t, std::int64_t, float*, std::int64_t, const float*, const MatmulFinish&);
    // In the order of Activation.
    constexpr Finish kFinish[] = {finish_rows<S, Activation::none>, finish_rows<S, Activation::relu>,
                                  finish_rows<S, Activation::silu>, finish_rows<S, Activation::gelu_erf>,
                                  finish_rows<S, Activation::gelu_tanh>};
    kFinish[static_cast<int>(finish.activation)](sums, sums_row, rows, columns, c, c_row, residual, finish);
}

}  // namespace
}  // namespace headwise
