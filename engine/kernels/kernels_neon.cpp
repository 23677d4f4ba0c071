#include "engine/kernels/attention_key_rows.hpp"
#include "engine/kernels/attention_query_lanes.hpp"
#include "engine/kernels/kernel_tables.hpp"
#include "engine/kernels/matmul.hpp"
#include "engine/kernels/top_weights.hpp"
#include "engine/simd/neon.hpp"

namespace headwise {

constinit const KernelTable kNeonKernels = {
    .isa = Isa::neon,
    .lanes = Neon::kLanes,
    .math = math_kernels<Neon>(),
    .matmul = matmul_kernels<Neon>(),
    .attention = {.query_lanes = query_lanes_kernel<Neon>(),
                  .key_rows = key_rows_kernel<Neon>(),
                  .weigh = QueryLanes<Neon>::weigh,
                  .largest = largest_weights<Neon>},
    .merge = merge_kernels<Neon>(),
    .rope = rope_kernels<Neon>(),
    .peak = peak_kernels<Neon>(),
};

}  // namespace headwise
