#include "tests/support/strided_tensor.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace headwise::test {
namespace {

constexpr std::uint32_t kFiller = 0x7fc0beef;  // a NaN: what reads it and counts it in shows

struct Placement {
    std::array<std::int64_t, 4> stride{};
    std::int64_t before = 0;  // elements before the one with indices 0
    std::int64_t count = 0;   // elements from the lowest address to the highest
};

Placement place(const StridedTensor::Extents& extent, const Layout& layout) {
    Placement result;
    result.stride[3] = 1;
    std::int64_t step = extent[3];
    std::int64_t last = extent[3] - 1;
    for (std::size_t i = 3; i-- > 0;) {
        const std::size_t axis = layout.order[i];
        if (layout.repeated[axis]) continue;
        step += layout.gap[axis];
        const std::int64_t reach = step * (extent[axis] - 1);
        result.stride[axis] = layout.backwards[axis] ? -step : step;
        if (layout.backwards[axis]) result.before += reach;
        last += reach;
        step *= extent[axis];
    }
    const bool empty = std::any_of(extent.begin(), extent.end(), [](std::int64_t n) { return n == 0; });
    if (empty) result.before = 0;
    result.count = empty ? 0 : last + 1;
    return result;
}

}  // namespace

std::string Layout::text() const {
    constexpr char kNames[] = "bhs";
    std::string result;
    for (const std::size_t axis : order) {
        result += kNames[axis];
        if (repeated[axis]) {
            result += "(repeated)";
        } else if (gap[axis] != 0 || backwards[axis]) {
            result += std::string(backwards[axis] ? "(-" : "(") + "+" + std::to_string(gap[axis]) + ")";
        }
    }
    return result + "d";
}

Layout random_layout(RandomNumbers& random, bool input) {
    Layout layout;
    for (std::size_t i = 2; i > 0; --i)
        std::swap(layout.order[i], layout.order[static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(i)))]);
    for (std::size_t axis = 0; axis < 3; ++axis) {
        if (random.chance(0.5)) layout.gap[axis] = random.between(1, 21);
        layout.backwards[axis] = random.chance(0.15);
        layout.repeated[axis] = input && random.chance(0.05);
    }
    return layout;
}

StridedTensor::StridedTensor(const Extents& extent, const Layout& layout, Guard guard)
    : memory_(static_cast<std::size_t>(place(extent, layout).count) * sizeof(float), guard) {
    const Placement placement = place(extent, layout);
    auto* data = reinterpret_cast<float*>(memory_.data());
    std::fill_n(data, placement.count, std::bit_cast<float>(kFiller));
    view_ = {data + placement.before, extent, placement.stride};
}

void StridedTensor::fill_normal(RandomNumbers& random, float deviation) {
    for_each_element(view_.extent, [&](auto... index) { at(index...) = deviation * random.normal(); });
}

bool StridedTensor::untouched() const {
    const auto* data = reinterpret_cast<const float*>(memory_.data());
    return std::all_of(data, data + memory_.size() / sizeof(float),
                       [](const float& x) { return std::bit_cast<std::uint32_t>(x) == kFiller; });
}

bool StridedTensor::gaps_untouched() const {
    const auto* data = reinterpret_cast<const float*>(memory_.data());
    std::vector<bool> in_view(memory_.size() / sizeof(float));
    for_each_element(view_.extent, [&](auto... index) { in_view[static_cast<std::size_t>(&at(index...) - data)] = true; });
    for (std::size_t i = 0; i < in_view.size(); ++i)
        if (!in_view[i] && std::bit_cast<std::uint32_t>(data[i]) != kFiller) return false;
    return true;
}

PlainTensor<double> widened(const TensorView<const float, 4>& tensor) {
    PlainTensor<double> result(tensor.extent);
    for_each_element(tensor.extent,
                     [&](auto... index) { element(result.view, index...) = static_cast<double>(element(tensor, index...)); });
    return result;
}

}  // namespace headwise::test
