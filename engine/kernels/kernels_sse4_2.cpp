#include "engine/kernels/attention_key_rows.hpp"
#include "engine/kernels/attention_query_lanes.hpp"
#include "engine/kernels/kernel_tables.hpp"
#include "engine/kernels/matmul.hpp"
#include "engine/kernels/top_weights.hpp"
#include "engine/simd/sse4_2.hpp"

namespace headwise {

constinit const KernelTable kSse42Kernels = {
    .isa = Isa::sse4_2,
    .lanes = Sse42::kLanes,
    .math = math_kernels<Sse42>(),
    .matmul = matmul_kernels<Sse42>(),
    .attention = {.query_lanes = query_lanes_kernel<Sse42>(),
                  .key_rows = key_rows_kernel<Sse42>(),
                  .weigh = QueryLanes<Sse42>::weigh,
                  .largest = largest_weights<Sse42>},
    .merge = merge_kernels<Sse42>(),
    .rope = rope_kernels<Sse42>(),
    .peak = peak_kernels<Sse42>(),
};

}  // namespace headwise
