#include "engine/kernels/attention_key_rows.hpp"
#include "engine/kernels/attention_query_lanes.hpp"
#include "engine/kernels/kernel_tables.hpp"
#include "engine/kernels/matmul.hpp"
#include "engine/kernels/top_weights.hpp"
#include "engine/simd/avx2.hpp"

namespace headwise {

constinit const KernelTable kAvx2Kernels = {
    .isa = Isa::avx2,
    .lanes = Avx2::kLanes,
    .math = math_kernels<Avx2>(),
    .matmul = matmul_kernels<Avx2>(),
    .attention = {.query_lanes = query_lanes_kernel<Avx2>(),
                  .key_rows = key_rows_kernel<Avx2>(),
                  .weigh = QueryLanes<Avx2>::weigh,
                  .largest = largest_weights<Avx2>},
    .merge = merge_kernels<Avx2>(),
    .rope = rope_kernels<Avx2>(),
    .peak = peak_kernels<Avx2>(),
};

}  // namespace headwise
