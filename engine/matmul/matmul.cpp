#include "headwise/matmul.hpp"

#include "engine/matmul/check.hpp"
#include "engine/matmul/layout.hpp"
#include "engine/matmul/product.hpp"

namespace headwise {

void matmul(const TensorView<const float, 2>& a, const TensorView<const float, 2>& b, const TensorView<float, 2>& c,
            const MatmulOptions& options) {
    check_matmul(a, b, c, options);
    run_product({.kernels = &kernel_table(active_isa()),
                 .a = batch_of_one(a),
                 .b = batch_of_one(b),
                 .packed = nullptr,
                 .c = batch_of_one(c),
                 .options = options});
}

void matmul(const TensorView<const float, 2>& a, const PackedMatrix& b, const TensorView<float, 2>& c,
            const MatmulOptions& options) {
    check_matmul(a, b, c, options);
    run_product({.kernels = b.storage()->kernels,
                 .a = batch_of_one(a),
                 .b = {},
                 .packed = b.storage(),
                 .c = batch_of_one(c),
                 .options = options});
}

void matmul(const TensorView<const float, 3>& a, const TensorView<const float, 3>& b, const TensorView<float, 3>& c,
            const MatmulOptions& options) {
    check_matmul(a, b, c, options);
    run_product({.kernels = &kernel_table(active_isa()), .a = a, .b = b, .packed = nullptr, .c = c, .options = options});
}

}  // namespace headwise
