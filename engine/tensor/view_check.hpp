#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>
#include <utility>

#include "engine/tensor/steps.hpp"
#include "headwise/error.hpp"
#include "headwise/tensor.hpp"

// Checks of the views that callers pass. Each names the argument, what it was and what was expected.
namespace headwise {

/// The elements that a view may touch, relative to its data: [low, high]; nothing when empty.
struct ElementRange {
    std::int64_t low = 0, high = 0;
    bool empty = true;
};

/// Throws Error where an extent is negative, data is null though there are elements, or an address would overflow.
template <class T, std::size_t Rank>
ElementRange checked_range(const char* name, const TensorView<T, Rank>& view) {
    ElementRange range{.empty = false};
    const auto axis = [](std::size_t i) { return "[" + std::to_string(i) + "]"; };
    for (std::size_t i = 0; i < Rank; ++i) {
        if (view.extent[i] < 0)
            throw Error(std::string(name) + ".extent" + axis(i) + " is " + std::to_string(view.extent[i]) +
                        ": it must not be negative");
        range.empty |= view.extent[i] == 0;
    }
    if (range.empty) return range;
    // Bytes must fit as well, with room to spare for a tile that looks ahead.
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / 64;
    for (std::size_t i = 0; i < Rank; ++i) {
        std::int64_t reach = 0;
        const bool overflow =
            (view.extent[i] > 1 && view.stride[i] == std::numeric_limits<std::int64_t>::min()) ||
            __builtin_mul_overflow(view.extent[i] - 1, view.stride[i], &reach) ||
            __builtin_add_overflow(reach < 0 ? range.low : range.high, reach, reach < 0 ? &range.low : &range.high);
        if (overflow || range.low < -kMost || range.high > kMost)
            throw Error(std::string(name) + ".extent" + axis(i) + " is " + std::to_string(view.extent[i]) + " and " + name +
                        ".stride" + axis(i) + " is " + std::to_string(view.stride[i]) + ": the addresses exceed 64 bits");
    }
    if (!view.data)
        throw Error(std::string(name) + ".data is null: expected " + std::to_string(view.extent[0]) + " x ... elements");
    return range;
}

/// Throws Error unless the elements of a row are adjacent.
template <class T, std::size_t Rank>
void check_unit_stride(const char* name, const TensorView<T, Rank>& view) {
    if (view.extent[Rank - 1] > 1 && view.stride[Rank - 1] != 1)
        throw Error(std::string(name) + ".stride[" + std::to_string(Rank - 1) + "] is " + std::to_string(view.stride[Rank - 1]) +
                    ": the elements of a row must be adjacent (stride 1)");
}

/// Throws Error where two index tuples of a view that is written name the same element: each stride must step over all that the
/// smaller strides span.
template <class T, std::size_t Rank>
void check_no_self_overlap(const char* name, const TensorView<T, Rank>& view) {
    if (std::find(view.extent.begin(), view.extent.end(), 0) != view.extent.end()) return;  // no elements, strides as may be
    std::array<std::pair<std::int64_t, std::size_t>, Rank> axes{};
    for (std::size_t i = 0; i < Rank; ++i) axes[i] = {view.extent[i] > 1 ? std::abs(view.stride[i]) : 0, i};
    std::sort(axes.begin(), axes.end());
    std::int64_t span = 1;
    for (const auto& [step, i] : axes) {
        if (view.extent[i] <= 1) continue;
        if (step < span)
            throw Error(std::string(name) + ".stride[" + std::to_string(i) + "] is " + std::to_string(view.stride[i]) +
                        ": rows of a tensor that is written must not overlap (expected at least " + std::to_string(span) + ")");
        span += (view.extent[i] - 1) * step;
    }
}

/// Throws Error where what is written may touch what is read. Both ranges come from checked_range(). Views that interleave at one
/// common step (say, the parts of a packed [..., parts, dim] buffer) are told apart.
template <class T, class U, std::size_t Rank>
void check_no_overlap(const char* out_name, const TensorView<T, Rank>& out_view, const ElementRange& out_range, const char* in_name,
                      const TensorView<U, Rank>& in_view, const ElementRange& in_range) {
    if (out_range.empty || in_range.empty) return;
    const auto out = without_unused_strides(out_view);
    const auto in = without_unused_strides(in_view);
    const auto address = [](const auto* data, std::int64_t offset) {
        return static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(data)) + offset * static_cast<std::int64_t>(sizeof(T));
    };
    const auto out_low = address(out.data, out_range.low), out_high = address(out.data, out_range.high + 1);
    const auto in_low = address(in.data, in_range.low), in_high = address(in.data, in_range.high + 1);
    if (out_high <= in_low || in_high <= out_low) return;

    // A step that both views take along some axis: everything else must lie within it or be a multiple of it; then what either
    // spans within one step decides.
    constexpr auto kSize = static_cast<std::int64_t>(sizeof(T));
    for (std::size_t i = 0; i + 1 < Rank; ++i) {
        const std::int64_t step = out.extent[i] > 1 ? out.stride[i] : in.stride[i];
        if (step <= 0 || (in.extent[i] > 1 && step != in.stride[i])) continue;
        std::int64_t out_within = 1, in_within = 1;
        for (std::size_t j = 0; j < Rank; ++j) {
            if (out.stride[j] % step != 0) out_within += (out.extent[j] - 1) * std::abs(out.stride[j]);
            if (in.stride[j] % step != 0) in_within += (in.extent[j] - 1) * std::abs(in.stride[j]);
        }
        const std::int64_t distance = ((in_low - out_low) % (step * kSize) + step * kSize) % (step * kSize);
        if (distance >= out_within * kSize && distance + in_within * kSize <= step * kSize) return;
    }
    throw Error(std::string(out_name) + " overlaps " + in_name + ": what is written must not be read by the same call");
}

/// Whether the views, of the same extents, name the same elements by the same indices: what is written may then be what is read.
template <class T, class U, std::size_t Rank>
bool is_same_view(const TensorView<T, Rank>& a, const TensorView<U, Rank>& b) {
    return a.data == b.data && without_unused_strides(a).stride == without_unused_strides(b).stride;
}

/// Throws Error unless extent `axis` has the expected value.
template <class T, std::size_t Rank>
void check_extent(const char* name, const TensorView<T, Rank>& view, std::size_t axis, std::int64_t expected, const char* meaning) {
    if (view.extent[axis] != expected)
        throw Error(std::string(name) + ".extent[" + std::to_string(axis) + "] is " + std::to_string(view.extent[axis]) +
                    ", expected " + std::to_string(expected) + ": " + meaning);
}

}  // namespace headwise
