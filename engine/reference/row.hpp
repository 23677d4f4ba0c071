#pragma once

#include <cstddef>
#include <cstdint>

#include "headwise/tensor.hpp"

namespace headwise::reference {

/// The last dimension of a tensor at fixed leading indices: row(view, b, h, i)[d] is the element (b, h, i, d).
template <class T>
struct Row {
    T* data;
    std::int64_t stride;

    T& operator[](std::int64_t i) const { return data[i * stride]; }
};

template <class T, std::size_t Rank, class... Index>
    requires(sizeof...(Index) == Rank - 1)
Row<T> row(const TensorView<T, Rank>& view, Index... index) {
    T* data = view.data;
    std::size_t axis = 0;
    ((data += index * view.stride[axis++]), ...);
    return {data, view.stride[Rank - 1]};
}

/// [batch, heads, length] as rows of one element.
template <class T>
TensorView<T, 4> in_rows(const TensorView<T, 3>& view) {
    const auto& [data, extent, stride] = view;
    return {data, {extent[0], extent[1], extent[2], 1}, {stride[0], stride[1], stride[2], 1}};
}

}  // namespace headwise::reference
