#pragma once

#include "engine/kernels/kernel_table.hpp"
#include "engine/matmul/packed_matrix.hpp"
#include "headwise/matmul.hpp"

namespace headwise {

/// A batch of products that has been checked. b is either a view or packed.
struct Product {
    const KernelTable* kernels = nullptr;
    TensorView<const float, 3> a, b;
    const PackedMatrix::Storage* packed = nullptr;  ///< b, if not null: shared by the batch; b.data is null then
    TensorView<float, 3> c;
    MatmulOptions options;
};

void run_product(const Product& product);

}  // namespace headwise
