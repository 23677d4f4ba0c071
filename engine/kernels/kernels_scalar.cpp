#include "engine/kernels/attention_key_rows.hpp"
#include "engine/kernels/attention_query_lanes.hpp"
#include "engine/kernels/kernel_tables.hpp"
#include "engine/kernels/matmul.hpp"
#include "engine/kernels/top_weights.hpp"
#include "engine/simd/scalar.hpp"

namespace headwise {

constinit const KernelTable kScalarKernels = {
    .isa = Isa::scalar,
    .lanes = Scalar::kLanes,
    .math = math_kernels<Scalar>(),
    .matmul = matmul_kernels<Scalar>(),
    .attention = {.query_lanes = query_lanes_kernel<Scalar>(),
                  .key_rows = key_rows_kernel<Scalar>(),
                  .weigh = QueryLanes<Scalar>::weigh,
                  .largest = largest_weights<Scalar>},
    .merge = merge_kernels<Scalar>(),
    .rope = rope_kernels<Scalar>(),
    .peak = peak_kernels<Scalar>(),
};

}  // namespace headwise
