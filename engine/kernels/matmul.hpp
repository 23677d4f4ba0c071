#pragma once

#include "engine/kernels/matmul_kernels.hpp"
#include "engine/kernels/matmul_pack.hpp"
#include "engine/kernels/matmul_panel.hpp"

namespace headwise {
namespace {

template <class S>
constexpr MatmulKernels matmul_kernels() {
    return {
        .tile_rows = PanelProduct<S>::kRows,
        .tile_columns = PanelProduct<S>::kColumns,
        .multiply_panel = PanelProduct<S>::multiply,
        .copy = copy_rows<S>,
        .transpose = transpose_rows<S>,
    };
}

}  // namespace
}  // namespace headwise
