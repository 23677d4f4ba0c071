#pragma once

#include <cstdint>

namespace headwise::test {

/// How often this process has asked for heap memory: malloc and its relatives, and with them operator new. Only for programs that
/// link allocation_counter.cpp.
std::int64_t allocations() noexcept;

/// The same of the calling thread alone: for calls that run on one thread, whatever threads of oneTBB wake up meanwhile.
std::int64_t allocations_of_this_thread() noexcept;

}  // namespace headwise::test
