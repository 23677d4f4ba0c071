#include "engine/reference/checks.hpp"
#include "engine/reference/row.hpp"
#include "headwise/reference.hpp"

namespace headwise::reference {

template <class T>
void matmul(const TensorView<const T, 2>& a, const TensorView<const T, 2>& b, const TensorView<T, 2>& c, T alpha, T beta) {
    check_matmul(a, b, c);
    const std::int64_t rows = a.extent[0], columns = b.extent[1], length = a.extent[1];
    for (std::int64_t i = 0; i < rows; ++i) {
        const Row<const T> a_row = row(a, i);
        const Row<T> c_row = row(c, i);
        for (std::int64_t j = 0; j < columns; ++j) {
            const Row<const T> b_column = row(transposed(b), j);
            T sum = 0;
            // With alpha = 0 a and b do not matter, with beta = 0 what c held before: 0 * NaN would keep it.
            for (std::int64_t p = 0; p < length && alpha != 0; ++p) sum += a_row[p] * b_column[p];
            c_row[j] = beta == 0 ? alpha * sum : alpha * sum + beta * c_row[j];
        }
    }
}

template void matmul(const TensorView<const float, 2>&, const TensorView<const float, 2>&, const TensorView<float, 2>&, float,
                     float);
template void matmul(const TensorView<const double, 2>&, const TensorView<const double, 2>&, const TensorView<double, 2>&, double,
                     double);

}  // namespace headwise::reference
