#pragma once

#include <string>
#include <vector>

#include "headwise/cpu.hpp"

/// What the operating system tells about cores and caches. `system_directory` is Linux's /sys/devices/system, or a test's copy of
/// one.
namespace headwise {

/// The processors this process may run on, ascending: those of the calling thread's affinity mask and of the main thread's, as
/// either may be pinned to fewer than the rest. Never empty.
std::vector<int> allowed_processors();

/// The processors that the machine has, whether this process may run on them or not; empty where the kernel does not tell.
std::vector<int> present_processors(const std::string& system_directory);

/// The smallest of each level that one of the given processors has: where cores differ, a block must fit whichever runs it. A
/// processor without an L3 counts with its L2.
CacheSizes detect_caches(const std::string& system_directory, const std::vector<int>& processors);

/// How many cores the given processors (hardware threads) belong to.
int count_physical_cores(const std::string& system_directory, const std::vector<int>& processors);

/// Threads that are worth running on so many logical cores under a quota of processor time, in processors; 0: none.
int usable_cores(int logical_cores, double cpu_quota);

/// How many NUMA nodes the given processors belong to; 1 where the kernel does not tell.
int count_numa_nodes(const std::string& system_directory, const std::vector<int>& processors);

/// The members of a kernel list such as "0-3,8,10-11"; empty when it is not one.
std::vector<int> parse_processor_list(const std::string& text);

}  // namespace headwise
