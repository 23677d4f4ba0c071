#pragma once

#include <cstddef>
#include <cstdint>

#include "headwise/any_tensor.hpp"

// Checks of the views that callers pass. Each throws Error naming the argument, what it was and what was expected; none allocates
// unless it throws.
namespace headwise {

/// The bytes [begin, end) that a view may touch; begin == end where it has no elements.
struct MemoryRange {
    std::uintptr_t begin = 0, end = 0;
};

/// A view that may be read or written at all its indices, and the name that the caller knows it by.
struct CheckedView {
    const char* name = "";
    AnyTensor view{};
    MemoryRange memory{};
};

/// Throws where an extent is negative, data is null though there are elements, or an address would overflow.
CheckedView checked_view(const char* name, const AnyTensor& view);

/// Throws unless the elements of a row are adjacent.
void check_unit_stride(const char* name, const AnyTensor& view);

/// Throws where two index tuples of a view that is written name the same element: each stride must step over all that the smaller
/// strides span.
void check_no_self_overlap(const char* name, const AnyTensor& view);

void check_interleaved(const CheckedView& out, const CheckedView& in);

/// Throws if what is written may touch what is read, whatever the element types. Accepts views that interleave at a common step
/// (say, the parts of a packed [..., parts, dim] buffer).
inline void check_apart(const CheckedView& out, const CheckedView& in) {
    if (out.memory.begin < in.memory.end && in.memory.begin < out.memory.end) check_interleaved(out, in);
}

/// Whether the views, of the same extents, name the same elements by the same indices: what is written may then be what is read.
bool is_same_view(const AnyTensor& a, const AnyTensor& b);

/// Throws unless extent `axis` has the expected value.
void check_extent(const char* name, const AnyTensor& view, std::size_t axis, std::int64_t expected, const char* meaning);

}  // namespace headwise
