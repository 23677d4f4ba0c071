#include "verify/digest.hpp"

#include <fmt/format.h>

#include <bit>
#include <cmath>

namespace headwise::tools {

void Digest::add_word(std::uint32_t word) {
    constexpr std::uint64_t kPrime = 0x100000001b3;
    for (int byte = 0; byte < 4; ++byte, word >>= 8) value_ = (value_ ^ (word & 0xff)) * kPrime;
}

void Digest::add(float x) {
    add_word(std::isnan(x) ? 0x7fc00000 : std::bit_cast<std::uint32_t>(x));
}

void Digest::add(std::uint64_t x) {
    add_word(static_cast<std::uint32_t>(x));
    add_word(static_cast<std::uint32_t>(x >> 32));
}

std::string Digest::text() const {
    return fmt::format("{:016x}", value_);
}

}  // namespace headwise::tools
