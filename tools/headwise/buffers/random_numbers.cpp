#include "buffers/random_numbers.hpp"

namespace headwise::tools {

std::uint64_t RandomNumbers::bits() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

std::int64_t RandomNumbers::between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(bits() % static_cast<std::uint64_t>(high - low + 1));
}

bool RandomNumbers::chance(double probability) {
    return static_cast<double>(bits() >> 11) * 0x1p-53 < probability;
}

// The sum of four uniform numbers of full precision: near enough to a normal distribution, without a logarithm for each number.
float RandomNumbers::normal() {
    double sum = -2;
    for (int word = 0; word < 2; ++word) {
        const std::uint64_t random = bits();
        sum += static_cast<double>(random >> 32) * 0x1p-32 + static_cast<double>(random & 0xffffffff) * 0x1p-32;
    }
    return static_cast<float>(sum * 1.7320508075688772);
}

}  // namespace headwise::tools
