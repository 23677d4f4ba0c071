#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "headwise/tensor.hpp"

namespace headwise::reference {

/// The element at the indices of a view whose extents of 1 are repeated.
template <class T, std::size_t Rank, class... Index>
    requires(sizeof...(Index) == Rank)
T& repeated_at(const TensorView<T, Rank>& view, Index... indices) {
    const std::array<std::int64_t, Rank> index = {indices...};
    T* data = view.data;
    for (std::size_t axis = 0; axis < Rank; ++axis)
        if (view.extent[axis] != 1) data += index[axis] * view.stride[axis];
    return *data;
}

}  // namespace headwise::reference
