#include "engine/tensor/view_check.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>
#include <string>
#include <utility>

#include "headwise/error.hpp"

namespace headwise {
namespace {

std::string axis_text(const char* name, const char* what, std::size_t axis, std::int64_t value) {
    return std::string(name) + "." + what + "[" + std::to_string(axis) + "] is " + std::to_string(value);
}

/// The elements from data[low] to data[high].
struct Reach {
    std::int64_t low = 0, high = 0;
};

/// False where an address would overflow; then `axis` is which one.
bool reach_of(const AnyTensor& view, Reach& reach, std::size_t& axis) {
    // Bytes must fit as well, with room to spare for a tile that looks ahead.
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / 64;
    for (axis = 0; axis < view.rank; ++axis) {
        const std::int64_t extent = view.extent[axis], stride = view.stride[axis];
        if (extent > 1 && stride == std::numeric_limits<std::int64_t>::min()) return false;
        std::int64_t length = 0;
        if (__builtin_mul_overflow(extent - 1, stride, &length)) return false;
        std::int64_t& end = length < 0 ? reach.low : reach.high;
        if (__builtin_add_overflow(end, length, &end) || reach.low < -kMost || reach.high > kMost) return false;
    }
    return true;
}

MemoryRange memory_of(const AnyTensor& view, const Reach& reach) {
    const auto size = static_cast<std::int64_t>(element_bytes(view.type));
    const auto at = [&](std::int64_t element) {
        return reinterpret_cast<std::uintptr_t>(view.data) + static_cast<std::uintptr_t>(element * size);
    };
    return {at(reach.low), at(reach.high + 1)};
}

/// Of a view that has been checked.
MemoryRange memory_of(const AnyTensor& view) {
    if (view.empty()) return {};
    Reach reach;
    std::size_t axis = 0;
    reach_of(view, reach, axis);
    return memory_of(view, reach);
}

/// The bytes of `view` that lie within one step, where all that its strides span that are no multiples of `step` begins at 0.
std::int64_t bytes_within(const AnyTensor& view, std::int64_t step) {
    const auto size = static_cast<std::int64_t>(element_bytes(view.type));
    std::int64_t within = size;
    for (std::size_t i = 0; i < view.rank; ++i)
        if (view.extent[i] > 1 && view.stride[i] * size % step != 0)
            within += (view.extent[i] - 1) * std::abs(view.stride[i]) * size;
    return within;
}

/// Whether no byte of one is at the same place modulo `step` as one of the other.
bool apart_within(std::int64_t step, const AnyTensor& out, const MemoryRange& out_memory, const AnyTensor& in,
                  const MemoryRange& in_memory) {
    const std::int64_t distance = (static_cast<std::int64_t>(in_memory.begin - out_memory.begin) % step + step) % step;
    return distance >= bytes_within(out, step) && distance + bytes_within(in, step) <= step;
}

}  // namespace

MemoryRange checked_memory(const char* name, const AnyTensor& view) {
    for (std::size_t i = 0; i < view.rank; ++i)
        if (view.extent[i] < 0) throw Error(axis_text(name, "extent", i, view.extent[i]) + ": it must not be negative");
    if (view.empty()) return {};
    Reach reach;
    std::size_t axis = 0;
    if (!reach_of(view, reach, axis))
        throw Error(axis_text(name, "extent", axis, view.extent[axis]) + " and " +
                    axis_text(name, "stride", axis, view.stride[axis]) + ": the addresses exceed 64 bits");
    if (!view.data)
        throw Error(std::string(name) + ".data is null: expected " + std::to_string(view.extent[0]) + " x ... elements");
    return memory_of(view, reach);
}

void check_unit_stride(const char* name, const AnyTensor& view) {
    const std::size_t last = view.rank - 1;
    if (view.extent[last] > 1 && view.stride[last] != 1)
        throw Error(axis_text(name, "stride", last, view.stride[last]) + ": the elements of a row must be adjacent (stride 1)");
}

void check_no_self_overlap(const char* name, const AnyTensor& view) {
    if (view.empty()) return;  // strides as may be
    std::array<std::pair<std::int64_t, std::size_t>, AnyTensor::kMaxRank> axes{};
    for (std::size_t i = 0; i < view.rank; ++i) axes[i] = {view.extent[i] > 1 ? std::abs(view.stride[i]) : 0, i};
    std::sort(axes.begin(), axes.begin() + view.rank);
    std::int64_t span = 1;
    for (std::size_t n = 0; n < view.rank; ++n) {
        const auto [step, i] = axes[n];
        if (view.extent[i] <= 1) continue;
        if (step < span)
            throw Error(axis_text(name, "stride", i, view.stride[i]) +
                        ": rows of a tensor that is written must not overlap (expected at least " + std::to_string(span) + ")");
        span += (view.extent[i] - 1) * step;
    }
}

void check_apart(const char* out_name, const AnyTensor& out, const char* in_name, const AnyTensor& in) {
    const MemoryRange out_memory = memory_of(out), in_memory = memory_of(in);
    if (out_memory.end <= in_memory.begin || in_memory.end <= out_memory.begin) return;
    // Addresses modulo any step keep different elements of two views apart if what either spans within one step is.
    for (const AnyTensor* view : {&out, &in})
        for (std::size_t i = 0; i < view->rank; ++i) {
            const std::int64_t step = std::abs(view->stride[i]) * static_cast<std::int64_t>(element_bytes(view->type));
            if (view->extent[i] > 1 && step > 0 && apart_within(step, out, out_memory, in, in_memory)) return;
        }
    throw Error(std::string(out_name) + " overlaps " + in_name + ": what is written must not be read by the same call");
}

bool is_same_view(const AnyTensor& a, const AnyTensor& b) {
    if (a.data != b.data) return false;
    if (a.empty()) return true;
    for (std::size_t i = 0; i < a.rank; ++i)
        if (a.extent[i] > 1 && a.stride[i] != b.stride[i]) return false;
    return true;
}

void check_extent(const char* name, const AnyTensor& view, std::size_t axis, std::int64_t expected, const char* meaning) {
    if (view.extent[axis] != expected)
        throw Error(axis_text(name, "extent", axis, view.extent[axis]) + ", expected " + std::to_string(expected) + ": " + meaning);
}

}  // namespace headwise
