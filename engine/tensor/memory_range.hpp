#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "engine/tensor/view_check.hpp"
#include "headwise/error.hpp"

namespace headwise {

/// The bytes [begin, end) that an argument touches; none where begin == end.
struct MemoryRange {
    std::uintptr_t begin = 0, end = 0;
};

/// Of a view that checked_range() has accepted.
template <class T, std::size_t Rank>
MemoryRange memory_range(const TensorView<T, Rank>& view, const ElementRange& range) {
    if (range.empty) return {};
    const auto at = [&](std::int64_t element) {
        return reinterpret_cast<std::uintptr_t>(view.data) +
               static_cast<std::uintptr_t>(element * static_cast<std::int64_t>(sizeof(T)));
    };
    return {at(range.low), at(range.high + 1)};
}

template <class T>
MemoryRange memory_range(std::span<T> array) {
    const auto begin = reinterpret_cast<std::uintptr_t>(array.data());
    return {begin, begin + array.size_bytes()};
}

/// Throws Error where the bytes of what is written and of what is read meet, even if no element does.
inline void check_apart(const char* out_name, const MemoryRange& out, const char* in_name, const MemoryRange& in) {
    if (out.begin < in.end && in.begin < out.end)
        throw Error(std::string(out_name) + " overlaps " + in_name + ": what is written must not be read by the same call");
}

}  // namespace headwise
