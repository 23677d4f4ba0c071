// The table of one ISA. Compiled once for each (headwise_kernels() in engine/CMakeLists.txt), with the flags of that ISA and these
// definitions: HEADWISE_ISA_HEADER, its file in engine/simd/; HEADWISE_ISA_STRUCT, its struct there; HEADWISE_ISA_TABLE, the name
// of the table.
#include "engine/kernels/attention_key_rows.hpp"
#include "engine/kernels/attention_query_lanes.hpp"
#include "engine/kernels/kernel_table.hpp"
#include "engine/kernels/matmul.hpp"
#include "engine/kernels/top_weights.hpp"
#include HEADWISE_ISA_HEADER

namespace headwise {

extern const KernelTable HEADWISE_ISA_TABLE;

namespace {

using S = HEADWISE_ISA_STRUCT;

}  // namespace

constinit const KernelTable HEADWISE_ISA_TABLE = {
    .isa = S::kIsa,
    .features = S::kFeatures,
    .lanes = S::kLanes,
    .math = math_kernels<S>(),
    .matmul = matmul_kernels<S>(),
    .attention = {.query_lanes = query_lanes_kernel<S>(),
                  .key_rows = key_rows_kernel<S>(),
                  .weigh = QueryLanes<S>::weigh,
                  .largest = largest_weights<S>},
    .merge = merge_kernels<S>(),
    .rope = rope_kernels<S>(),
    .peak = peak_kernels<S>(),
};

}  // namespace headwise
