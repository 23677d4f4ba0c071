#include "measure/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace headwise::tools {

Quartiles quartiles(std::vector<double> sample) {
    if (sample.empty()) return {};
    std::ranges::sort(sample);
    const auto at = [&](double share) {
        const double position = share * static_cast<double>(sample.size() - 1);
        const auto below = static_cast<std::size_t>(position);
        const std::size_t above = std::min(below + 1, sample.size() - 1);
        return std::lerp(sample[below], sample[above], position - static_cast<double>(below));
    };
    return {at(0.25), at(0.5), at(0.75)};
}

}  // namespace headwise::tools
