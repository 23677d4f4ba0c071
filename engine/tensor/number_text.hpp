#pragma once

#include <charconv>
#include <string>

/// Numbers with a fraction as messages and explanations show them: with a point, whatever locale the program has chosen. The
/// standard library's to_string(), printf() and streams follow the locale for these ("1,500000"); for integers they do not, so that
/// std::to_string() is as good.
namespace headwise {

/// The fewest digits that read back as the same float or double: 0.1, 1e+38, inf, nan.
template <class Number>
std::string number_text(Number x) {
    char digits[32];  // the longest double, -2.2250738585072014e-308, has 24 characters
    return {digits, std::to_chars(digits, digits + sizeof digits, x).ptr};
}

/// With so many digits behind the point, at most 9.
inline std::string fixed_text(double x, int decimals) {
    char digits[320 + 16];  // 1.8e308 has 309 digits before its point
    return {digits, std::to_chars(digits, digits + sizeof digits, x, std::chars_format::fixed, decimals).ptr};
}

}  // namespace headwise
