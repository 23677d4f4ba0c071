#include "engine/kernels/attention_key_rows.hpp"
#include "engine/kernels/attention_query_lanes.hpp"
#include "engine/kernels/kernel_tables.hpp"
#include "engine/kernels/matmul.hpp"
#include "engine/kernels/top_weights.hpp"
#include "engine/simd/avx512.hpp"

namespace headwise {

constinit const KernelTable kAvx512Kernels = {
    .isa = Isa::avx512,
    .lanes = Avx512::kLanes,
    .math = math_kernels<Avx512>(),
    .matmul = matmul_kernels<Avx512>(),
    .attention = {.query_lanes = query_lanes_kernel<Avx512>(),
                  .key_rows = key_rows_kernel<Avx512>(),
                  .weigh = QueryLanes<Avx512>::weigh,
                  .largest = largest_weights<Avx512>},
    .merge = merge_kernels<Avx512>(),
    .rope = rope_kernels<Avx512>(),
    .peak = peak_kernels<Avx512>(),
};

}  // namespace headwise
