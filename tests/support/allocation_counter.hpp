#pragma once

#include <cstdint>

namespace headwise::test {

/// How often this process has asked for heap memory: malloc and its relatives, and with them operator new. Only for programs that
/// link allocation_counter.cpp.
std::int64_t allocations() noexcept;

}  // namespace headwise::test
