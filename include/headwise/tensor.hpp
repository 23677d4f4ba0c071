#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace headwise {

/// The product of two extents or strides. If it overflows or a factor is negative, the largest number, which the functions that
/// take views refuse.
constexpr std::int64_t capped_product(std::int64_t a, std::int64_t b) {
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
    if (a < 0 || b < 0) return kMost;
    return a != 0 && b > kMost / a ? kMost : a * b;
}

/// A non-owning view of a strided tensor: a pointer, the extents, and the strides in elements (not bytes). It is a value: cheap to
/// copy. It never allocates and never checks; the functions that take views check them. A stride of 0 repeats (broadcasts) the data
/// along that dimension. Inputs may do so, outputs may not.
template <class T, std::size_t Rank>
struct TensorView {
    using Extents = std::array<std::int64_t, Rank>;

    T* data = nullptr;
    Extents extent{};
    Extents stride{};

    constexpr TensorView() = default;

    /// Row-major and contiguous: the last dimension varies fastest.
    constexpr TensorView(T* data_, const Extents& extent_) : data(data_), extent(extent_) {
        std::int64_t step = 1;
        for (std::size_t i = Rank; i-- > 0;) {
            stride[i] = step;
            step = capped_product(step, extent_[i]);
        }
    }

    constexpr TensorView(T* data_, const Extents& extent_, const Extents& stride_)
        : data(data_), extent(extent_), stride(stride_) {}

    /// A view of mutable elements is also a view of const elements.
    template <class U>
        requires(std::is_const_v<T> && std::same_as<U, std::remove_const_t<T>>)
    constexpr TensorView(const TensorView<U, Rank>& other)  // NOLINT(google-explicit-constructor)
        : data(other.data), extent(other.extent), stride(other.stride) {}
};

/// The transpose of a matrix, without touching its data: extents and strides swapped.
template <class T>
constexpr TensorView<T, 2> transposed(const TensorView<T, 2>& m) {
    return {m.data, {m.extent[1], m.extent[0]}, {m.stride[1], m.stride[0]}};
}

/// Contiguous data laid out [batch, heads, length, dim], viewed as [batch, heads, length, dim].
template <class T>
constexpr TensorView<T, 4> bhsd(T* data, std::int64_t batch, std::int64_t heads, std::int64_t length, std::int64_t dim) {
    return {data, {batch, heads, length, dim}};
}

/// Contiguous data laid out [batch, length, heads, dim], viewed as [batch, heads, length, dim].
template <class T>
constexpr TensorView<T, 4> bshd(T* data, std::int64_t batch, std::int64_t length, std::int64_t heads, std::int64_t dim) {
    return {data,
            {batch, heads, length, dim},
            {capped_product(length, capped_product(heads, dim)), dim, capped_product(heads, dim), 1}};
}

}  // namespace headwise
