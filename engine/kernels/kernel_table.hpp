#pragma once

#include "engine/kernels/attention_kernels.hpp"
#include "engine/kernels/math_kernels.hpp"
#include "engine/kernels/matmul_kernels.hpp"
#include "engine/kernels/merge_kernels.hpp"
#include "engine/kernels/peak_kernels.hpp"
#include "engine/kernels/rope_kernels.hpp"
#include "headwise/isa.hpp"

namespace headwise {

/// Everything that one ISA computes with: all that the engine calls is reached through this table of function pointers.
struct KernelTable {
    Isa isa;
    const char* features;  ///< what the machine must have, by the names of cpu_features(), separated by spaces
    int lanes;             ///< floats in a vector
    MathKernels math;
    MatmulKernels matmul;
    AttentionKernels attention;
    MergeKernels merge;
    RopeKernels rope;
    PeakKernels peak;
};

/// The table of an ISA that this binary has kernels for.
const KernelTable& kernel_table(Isa isa) noexcept;

}  // namespace headwise
