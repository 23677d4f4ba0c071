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

/// The elements from data[low] to data[high], and what keeps them from being read.
struct Reach {
    std::int64_t low = 0, high = 0;
    bool empty = false, overflow = false;
    std::size_t axis = 0;  ///< where it overflows
};

Reach reach_of(const AnyTensor& view) {
    // Bytes must fit as well, with room to spare for a tile that looks ahead.
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / 64;
    Reach reach;
    for (std::size_t i = 0; i < view.rank; ++i) {
        const std::int64_t extent = view.extent[i], stride = view.stride[i];
        if (extent <= 1) {
            reach.empty |= extent == 0;
            continue;
        }
        std::int64_t length = 0;
        std::int64_t& end = stride < 0 ? reach.low : reach.high;
        if (!reach.overflow &&
            (stride == std::numeric_limits<std::int64_t>::min() || __builtin_mul_overflow(extent - 1, stride, &length) ||
             __builtin_add_overflow(end, length, &end) || reach.low < -kMost || reach.high > kMost)) {
            reach.overflow = true;
            reach.axis = i;
        }
    }
    return reach;
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
bool apart_within(std::int64_t step, const CheckedView& out, const CheckedView& in) {
    const std::int64_t distance = (static_cast<std::int64_t>(in.memory.begin - out.memory.begin) % step + step) % step;
    return distance >= bytes_within(out.view, step) && distance + bytes_within(in.view, step) <= step;
}

/// Whether each axis steps over all that the later ones span, as in most layouts.
bool nested(const AnyTensor& view) {
    std::int64_t span = 1;
    for (std::size_t i = view.rank; i-- > 0;) {
        if (view.extent[i] <= 1) continue;
        if (view.stride[i] < span) return false;
        span += (view.extent[i] - 1) * view.stride[i];
    }
    return true;
}

}  // namespace

CheckedView checked_view(const char* name, const AnyTensor& view) {
    for (std::size_t i = 0; i < view.rank; ++i)
        if (view.extent[i] < 0) throw Error(axis_text(name, "extent", i, view.extent[i]) + ": it must not be negative");
    const Reach reach = reach_of(view);
    if (reach.empty) return {name, view, {}};
    if (reach.overflow)
        throw Error(axis_text(name, "extent", reach.axis, view.extent[reach.axis]) + " and " +
                        axis_text(name, "stride", reach.axis, view.stride[reach.axis]) + ": the addresses exceed 64 bits",
                    ErrorKind::memory);
    if (!view.data)
        throw Error(std::string(name) + ".data is null: expected " + std::to_string(view.extent[0]) + " x ... elements");
    const auto size = static_cast<std::int64_t>(element_bytes(view.type));
    const auto at = [&](std::int64_t element) {
        return reinterpret_cast<std::uintptr_t>(view.data) + static_cast<std::uintptr_t>(element * size);
    };
    return {name, view, {at(reach.low), at(reach.high + 1)}};
}

void check_unit_stride(const char* name, const AnyTensor& view) {
    const std::size_t last = view.rank - 1;
    if (view.extent[last] > 1 && view.stride[last] != 1)
        throw Error(axis_text(name, "stride", last, view.stride[last]) + ": the elements of a row must be adjacent (stride 1)");
}

void check_no_self_overlap(const char* name, const AnyTensor& view) {
    if (view.empty() || nested(view)) return;  // without elements strides may be anything
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

void check_interleaved(const CheckedView& out, const CheckedView& in) {
    // Addresses modulo any step keep different elements of two views apart if what either spans within one step is.
    for (const AnyTensor* view : {&out.view, &in.view})
        for (std::size_t i = 0; i < view->rank; ++i) {
            if (view->extent[i] <= 1 || view->stride[i] == 0) continue;  // a stride that nothing takes may be anything
            const std::int64_t step = std::abs(view->stride[i]) * static_cast<std::int64_t>(element_bytes(view->type));
            if (apart_within(step, out, in)) return;
        }
    throw Error(std::string(out.name) + " overlaps " + in.name + ": what is written must not be read by the same call");
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
