#include "printable.hpp"

#include <fmt/format.h>

namespace headwise::tools {
namespace {

constexpr std::size_t kMostOfName = 64;

}  // namespace

std::string printable(std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
        if (byte < 0x20 || byte == 0x7f) {
            result += fmt::format("\\x{:02x}", byte);
        } else if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {
            result += fmt::format("\\x{:02x}", next);
            ++i;
        } else {
            result += text[i];
        }
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
