#include "engine/contract/check_numbers.hpp"

#include "headwise/error.hpp"

namespace headwise {

std::string at(const char* name, std::int64_t i) {
    return std::string(name) + "[" + std::to_string(i) + "]";
}

std::string at(const char* name, std::int64_t i, std::int64_t j) {
    return std::string(name) + "[" + std::to_string(i) + ", " + std::to_string(j) + "]";
}

void check_range(const char* name, std::int64_t index, std::int64_t value, std::int64_t low, std::int64_t high,
                 const char* meaning) {
    if (value < low || value > high)
        throw Error((index < 0 ? std::string(name) : at(name, index)) + " is " + std::to_string(value) + ": expected " +
                    std::to_string(low) + " to " + std::to_string(high) + ", " + meaning);
}

void check_size(const char* name, std::size_t size, std::int64_t expected, const char* meaning) {
    if (static_cast<std::int64_t>(size) != expected)
        throw Error(std::string(name) + ".size() is " + std::to_string(size) + ", expected " + std::to_string(expected) + ": " +
                    meaning);
}

}  // namespace headwise
