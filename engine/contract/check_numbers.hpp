#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

// Checks of numbers and of arrays of numbers. Each throws an Error that names the argument, and builds a string only to throw it.
namespace headwise {

/// name[i]
std::string at(const char* name, std::int64_t i);

/// name[i, j]
std::string at(const char* name, std::int64_t i, std::int64_t j);

/// Checks element `index` of an array, or a single number (index -1).
void check_range(const char* name, std::int64_t index, std::int64_t value, std::int64_t low, std::int64_t high,
                 const char* meaning);

void check_size(const char* name, std::size_t size, std::int64_t expected, const char* meaning);

}  // namespace headwise
