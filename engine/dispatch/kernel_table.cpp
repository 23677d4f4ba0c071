#include "engine/kernels/kernel_table.hpp"

#include <cassert>

#include "engine/kernels/kernel_tables.hpp"

namespace headwise {

const KernelTable& kernel_table(Isa isa) noexcept {
    switch (isa) {
#if defined(__x86_64__)
        case Isa::sse4_2: return kSse42Kernels;
        case Isa::avx2: return kAvx2Kernels;
        case Isa::avx512: return kAvx512Kernels;
#elif defined(__aarch64__)
        case Isa::neon: return kNeonKernels;
#endif
        default: assert(isa == Isa::scalar); return kScalarKernels;
    }
}

}  // namespace headwise
