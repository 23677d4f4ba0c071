#pragma once

#include <algorithm>
#include <cstddef>

#include "headwise/tensor.hpp"

namespace headwise {

/// The same elements, with 0 for the strides that no step from one element to another takes: callers may leave anything in them,
/// and code that looks a step ahead would overflow.
template <class T, std::size_t Rank>
TensorView<T, Rank> without_unused_strides(TensorView<T, Rank> view) {
    const bool empty = std::find(view.extent.begin(), view.extent.end(), 0) != view.extent.end();
    for (std::size_t i = 0; i < Rank; ++i)
        if (empty || view.extent[i] <= 1) view.stride[i] = 0;
    return view;
}

}  // namespace headwise
