#pragma once

#include <optional>
#include <string>
#include <vector>

/// What Linux control groups (of containers, services, batch jobs) grant this process. A limit of a group is one of all groups
/// below it, so that each function looks at the process's own group and at those above it. `root` is put in front of every path:
/// empty for the system's own files, or a test's folder. Versions 1 and 2, mixed ones too; where nothing can be read, no limit.
namespace headwise {

/// The processor time that the process may use, in processors: 1.5 for a quota of 150 ms in each 100 ms. None: as much as there is.
std::optional<double> processor_quota(const std::string& root);

/// The bytes that the process may still take before its control groups let it wait or be killed: limits less what is in use, where
/// the cache of files that were read, which the kernel gives back, does not count as used.
std::optional<double> memory_left(const std::string& root);

/// The folders of the process's group and of those above it, which hold the files of a controller ("cpu", "memory").
std::vector<std::string> control_group_folders(const std::string& root, const std::string& controller);

}  // namespace headwise
