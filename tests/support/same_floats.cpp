#include "tests/support/same_floats.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace headwise::test {

bool same_values(const std::vector<float>& a, const std::vector<float>& b) {
    return std::ranges::equal(a, b, [](float x, float y) { return x == y || (std::isnan(x) && std::isnan(y)); });
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return std::ranges::equal(a, b,
                              [](float x, float y) { return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y); });
}

}  // namespace headwise::test
