#include "text/printable.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

namespace headwise::tools {
namespace {

constexpr std::size_t kMostOfName = 64;

struct CodePoint {
    char32_t value = 0;
    std::size_t bytes = 0;  ///< 0: no UTF-8
};

/// That with which `text` begins.
CodePoint first_code_point(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[i])); };
    const char32_t lead = byte(0);
    const std::size_t bytes = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    if (bytes == 0 || bytes > text.size()) return {};
    char32_t value = bytes == 1 ? lead : lead & (0xffu >> (bytes + 1));
    for (std::size_t i = 1; i < bytes; ++i) {
        if ((byte(i) & 0xc0) != 0x80) return {};
        value = (value << 6) | (byte(i) & 0x3f);
    }
    constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};  // what fewer bytes would do for is not UTF-8
    const bool surrogate = value >= 0xd800 && value < 0xe000;
    return value < kLeast[bytes] || value > 0x10ffff || surrogate ? CodePoint{} : CodePoint{value, bytes};
}

/// Control characters, other ends of a line, and what turns the direction of the text behind it.
bool steers_terminal(char32_t c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069);
}

}  // namespace

std::string printable(std::string_view text) {
    std::string result;
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = first_code_point(text.substr(at));
        if (c.bytes == 0)
            result += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[at]));
        else if (steers_terminal(c.value))
            result += c.value < 0x100 ? fmt::format("\\x{:02x}", static_cast<unsigned>(c.value))
                                      : fmt::format("\\u{:04x}", static_cast<unsigned>(c.value));
        else
            result += text.substr(at, c.bytes);
        at += std::max<std::size_t>(c.bytes, 1);
    }
    return result;
}

std::string printable_name(std::string_view name) {
    if (name.size() <= kMostOfName) return printable(name);
    std::size_t end = kMostOfName;
    while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xc0) == 0x80) --end;  // no half of a character
    return printable(name.substr(0, end)) + "...";
}

}  // namespace headwise::tools
