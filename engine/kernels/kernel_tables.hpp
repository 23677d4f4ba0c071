#pragma once

#include "engine/kernels/kernel_table.hpp"

// The table of each ISA, defined in kernels_<isa>.cpp where that file is part of the build.
namespace headwise {

extern const KernelTable kScalarKernels;
extern const KernelTable kSse42Kernels;
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512Kernels;
extern const KernelTable kNeonKernels;

}  // namespace headwise
