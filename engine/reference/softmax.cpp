#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/reference/checks.hpp"
#include "engine/reference/row.hpp"
#include "headwise/reference.hpp"

namespace headwise::reference {

template <class T>
void softmax(const TensorView<T, 2>& x) {
    check_softmax(x);
    const std::int64_t rows = x.extent[0], columns = x.extent[1];
    for (std::int64_t i = 0; i < rows; ++i) {
        const Row<T> x_row = row(x, i);
        // Subtracting the maximum leaves the quotient as it is and keeps exp() from overflowing.
        T max = -std::numeric_limits<T>::infinity();
        for (std::int64_t j = 0; j < columns; ++j) max = std::max(max, x_row[j]);
        T sum = 0;
        for (std::int64_t j = 0; j < columns; ++j) {
            x_row[j] = std::exp(x_row[j] - max);
            sum += x_row[j];
        }
        for (std::int64_t j = 0; j < columns; ++j) x_row[j] /= sum;
    }
}

template void softmax(const TensorView<float, 2>&);
template void softmax(const TensorView<double, 2>&);

}  // namespace headwise::reference
