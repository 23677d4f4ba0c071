#include "buffers/memory_limit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>

#include "engine/dispatch/control_group.hpp"
#include "text/usage_error.hpp"

namespace headwise::tools {
namespace {

/// "MemAvailable:   24293544 kB" of /proc/meminfo.
std::optional<double> system_memory(const std::string& root) {
    std::ifstream file(root + "/proc/meminfo");
    for (std::string line; std::getline(file, line);) {
        if (!line.starts_with("MemAvailable:")) continue;
        const std::size_t begin = line.find_first_of("0123456789");
        std::uint64_t kibibytes = 0;
        if (begin != std::string::npos &&
            std::from_chars(line.data() + begin, line.data() + line.size(), kibibytes).ec == std::errc{})
            return static_cast<double>(kibibytes) * 1024;
    }
    return std::nullopt;
}

}  // namespace

double available_memory(const std::string& root) {
    const std::optional<double> system = system_memory(root), group = memory_left(root);
    if (system && group) return std::min(*system, *group);
    return system ? *system : group.value_or(4e9);
}

void check_memory(const std::string& what, double bytes, double limit, const std::string& advice) {
    if (bytes > limit)
        throw UsageError(
            fmt::format("{} {:.3g} GB, more than the {:.3g} GB that are free{}", what, bytes / 1e9, limit / 1e9, advice));
}

void check_free_memory(const std::string& what, double bytes, const std::string& advice) {
    check_memory(what, bytes, 0.8 * available_memory(), advice);
}

}  // namespace headwise::tools
