#pragma once

#include <string>

namespace headwise::tools {

/// Bytes of memory that this process can still have without swapping and without being killed: what the operating system has, or
/// what its control groups (a container's limit) leave it where that is less. 4e9 where neither tells. `root` is put in front of
/// the paths that are read: tests have folders of their own.
double available_memory(const std::string& root = "");

/// Throws UsageError where `bytes` are more than `limit`: "WHAT 3.2 GB, more than the 1.1 GB that are free", and the advice.
void check_memory(const std::string& what, double bytes, double limit, const std::string& advice = "");

/// The same with four fifths of available_memory().
void check_free_memory(const std::string& what, double bytes, const std::string& advice = "");

}  // namespace headwise::tools
