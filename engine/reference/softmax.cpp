#include "engine/reference/checks.hpp"
#include "engine/reference/row.hpp"
#include "engine/reference/softmax_row.hpp"
#include "headwise/reference.hpp"

namespace headwise::reference {

template <class T>
void softmax(const TensorView<T, 2>& x) {
    check_softmax(x);
    for (std::int64_t i = 0; i < x.extent[0]; ++i) softmax_row(row(x, i), x.extent[1]);
}

template void softmax(const TensorView<float, 2>&);
template void softmax(const TensorView<double, 2>&);

}  // namespace headwise::reference
