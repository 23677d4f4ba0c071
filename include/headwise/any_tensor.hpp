#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "headwise/element_type.hpp"
#include "headwise/tensor.hpp"

namespace headwise {

/// A view of a tensor of any element type and up to four dimensions, for code that treats all types alike, such as checks. A value,
/// like TensorView. Every TensorView and every span converts to it.
struct AnyTensor {
    static constexpr std::size_t kMaxRank = 4;

    const void* data = nullptr;
    ElementType type = ElementType::f32;
    std::size_t rank = 0;
    std::array<std::int64_t, kMaxRank> extent{};  ///< the first `rank` are used
    std::array<std::int64_t, kMaxRank> stride{};  ///< in elements

    constexpr AnyTensor() = default;

    template <class T, std::size_t Rank>
    constexpr AnyTensor(const TensorView<T, Rank>& view)  // NOLINT(google-explicit-constructor)
        : data(view.data), type(element_type_of<std::remove_const_t<T>>()), rank(Rank) {
        static_assert(Rank <= kMaxRank);
        std::copy_n(view.extent.begin(), Rank, extent.begin());
        std::copy_n(view.stride.begin(), Rank, stride.begin());
    }

    template <class T>
    constexpr AnyTensor(std::span<T> array)  // NOLINT(google-explicit-constructor)
        : AnyTensor(TensorView<T, 1>(array.data(), {static_cast<std::int64_t>(array.size())})) {}

    /// Whether it has no elements. Extents must not be negative.
    constexpr bool empty() const { return std::find(extent.begin(), extent.begin() + rank, 0) != extent.begin() + rank; }
};

}  // namespace headwise
