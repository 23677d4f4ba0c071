#pragma once

#include "headwise/matmul.hpp"
#include "headwise/tensor.hpp"

namespace headwise {

// What matmul() refuses; each throws Error, and nothing has been written by then.

void check_matmul(const TensorView<const float, 2>& a, const TensorView<const float, 2>& b, const TensorView<float, 2>& c,
                  const MatmulOptions& options);
void check_matmul(const TensorView<const float, 2>& a, const PackedMatrix& b, const TensorView<float, 2>& c,
                  const MatmulOptions& options);
void check_matmul(const TensorView<const float, 3>& a, const TensorView<const float, 3>& b, const TensorView<float, 3>& c,
                  const MatmulOptions& options);

/// Unless b, known to the caller as `name`, can be the source of a PackedMatrix.
void check_packable(const char* name, const TensorView<const float, 2>& b);

}  // namespace headwise
