#pragma once

#include "headwise/tensor.hpp"

namespace headwise {

/// Whether a matrix is read along its rows; if not, the elements of its columns are adjacent.
inline bool rows_contiguous(const TensorView<const float, 2>& x) {
    return x.stride[1] == 1 || x.extent[1] <= 1;
}

/// Matrix i of a batch.
template <class T>
TensorView<T, 2> matrix(const TensorView<T, 3>& batch, std::int64_t i) {
    return {batch.data + i * batch.stride[0], {batch.extent[1], batch.extent[2]}, {batch.stride[1], batch.stride[2]}};
}

/// A matrix as a batch of one.
template <class T>
TensorView<T, 3> batch_of_one(const TensorView<T, 2>& x) {
    return {x.data, {1, x.extent[0], x.extent[1]}, {0, x.stride[0], x.stride[1]}};
}

}  // namespace headwise
