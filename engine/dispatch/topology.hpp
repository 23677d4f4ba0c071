#pragma once

#include <string>
#include <vector>

#include "headwise/cpu.hpp"

/// What the operating system tells about cores and caches. `system_directory` is Linux's /sys/devices/system, or a test's copy of
/// one.
namespace headwise {

/// The processors this process may run on (its affinity mask), ascending. Never empty.
std::vector<int> allowed_processors();

/// The caches of processor 0 and not of the calling thread's: block sizes follow from them, and results must not depend on the core
/// that a thread happens to run on where cores differ. A machine without an L3 has l3 = l2.
CacheSizes detect_caches(const std::string& system_directory);

/// How many cores the given processors (hardware threads) belong to.
int count_physical_cores(const std::string& system_directory, const std::vector<int>& processors);

/// How many NUMA nodes the given processors belong to; 1 where the kernel does not tell.
int count_numa_nodes(const std::string& system_directory, const std::vector<int>& processors);

/// The members of a kernel list such as "0-3,8,10-11"; empty when it is not one.
std::vector<int> parse_processor_list(const std::string& text);

}  // namespace headwise
