#include "engine/kernels/kernel_table.hpp"

#include <cassert>

#include "engine/kernels/kernel_tables.hpp"

namespace headwise {

const KernelTable& kernel_table(Isa isa) noexcept {
    switch (isa) {
#if defined(HEADWISE_KERNELS_SSE4_2)
        case Isa::sse4_2: return kSse42Kernels;
#endif
#if defined(HEADWISE_KERNELS_AVX2)
        case Isa::avx2: return kAvx2Kernels;
#endif
#if defined(HEADWISE_KERNELS_AVX512)
        case Isa::avx512: return kAvx512Kernels;
#endif
#if defined(HEADWISE_KERNELS_NEON)
        case Isa::neon: return kNeonKernels;
#endif
        default: assert(isa == Isa::scalar); return kScalarKernels;
    }
}

}  // namespace headwise
