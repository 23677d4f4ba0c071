#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "headwise/tensor.hpp"
#include "tests/support/guarded_memory.hpp"
#include "tests/support/random_numbers.hpp"

namespace headwise::test {

/// How a tensor [batch, heads, length, dim] lies in memory. The elements of a row are always adjacent.
struct Layout {
    std::array<std::size_t, 3> order{0, 1, 2};  ///< the axes batch, heads, length: slowest first
    std::array<std::int64_t, 3> gap{};          ///< filler elements after each step along the axis
    std::array<bool, 3> backwards{};            ///< negative stride
    std::array<bool, 3> repeated{};             ///< stride 0: for inputs alone

    std::string text() const;
};

inline constexpr Layout kBhsd{};
inline constexpr Layout kBshd{.order = {0, 2, 1}};

/// Any order, gaps and directions; with `input` also broadcast axes.
Layout random_layout(RandomNumbers& random, bool input);

/// A float tensor that touches an inaccessible page with its first or last element. What lies between its rows is filled with a NaN
/// of known bits.
class StridedTensor {
  public:
    using Extents = std::array<std::int64_t, 4>;

    StridedTensor(const Extents& extent, const Layout& layout, Guard guard);

    TensorView<float, 4> view() const { return view_; }
    float& at(std::int64_t b, std::int64_t h, std::int64_t s, std::int64_t d) const {
        return view_.data[b * view_.stride[0] + h * view_.stride[1] + s * view_.stride[2] + d];
    }

    void fill_normal(RandomNumbers& random, float deviation);

    /// Whether no element of the memory outside of the view has changed.
    bool gaps_untouched() const;
    /// Whether no element at all has been written.
    bool untouched() const;

  private:
    GuardedMemory memory_;
    TensorView<float, 4> view_;
};

/// A contiguous tensor that owns its memory.
template <class T>
struct PlainTensor {
    std::vector<T> data;
    TensorView<T, 4> view;

    explicit PlainTensor(const std::array<std::int64_t, 4>& extent)
        : data(static_cast<std::size_t>(extent[0] * extent[1] * extent[2] * extent[3])), view(data.data(), extent) {}
};

/// The same values, contiguous and in double precision.
PlainTensor<double> widened(const TensorView<const float, 4>& tensor);

/// Calls function(element's indices...) for all elements in order.
template <class Function>
void for_each_element(const std::array<std::int64_t, 4>& extent, Function function) {
    for (std::int64_t b = 0; b < extent[0]; ++b)
        for (std::int64_t h = 0; h < extent[1]; ++h)
            for (std::int64_t s = 0; s < extent[2]; ++s)
                for (std::int64_t d = 0; d < extent[3]; ++d) function(b, h, s, d);
}

/// The element at the indices.
template <class T>
T& element(const TensorView<T, 4>& view, std::int64_t b, std::int64_t h, std::int64_t s, std::int64_t d) {
    return view.data[b * view.stride[0] + h * view.stride[1] + s * view.stride[2] + d * view.stride[3]];
}

}  // namespace headwise::test
