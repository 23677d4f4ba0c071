#include "headwise/cpu.hpp"

#include <fstream>

#include "engine/dispatch/control_group.hpp"
#include "engine/dispatch/features.hpp"
#include "engine/dispatch/topology.hpp"

namespace headwise {
namespace {

/// What Linux prints as the processor's own name. x86 has it in /proc/cpuinfo; AArch64 boards name themselves in the device tree,
/// if at all.
std::string processor_name() {
    std::ifstream information("/proc/cpuinfo");
    for (std::string line; std::getline(information, line);) {
        const std::size_t colon = line.find(": ");
        if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
    }
    std::ifstream device_tree("/sys/firmware/devicetree/base/model");
    std::string name;
    std::getline(device_tree, name, '\0');
    return name.empty() ? "unknown" : name;
}

CpuInfo collect() {
    const std::string system_directory = "/sys/devices/system";
    const std::vector<int> processors = allowed_processors();
    CpuInfo info;
    info.model = processor_name();
    info.features = cpu_features();
    // Of all that there are: the blocks of products follow these sizes, and bits must not depend on which cores a process is bound
    // to.
    const std::vector<int> present = present_processors(system_directory);
    info.caches = detect_caches(system_directory, present.empty() ? processors : present);
    info.logical_cores = static_cast<int>(processors.size());
    info.physical_cores = count_physical_cores(system_directory, processors);
    info.numa_nodes = count_numa_nodes(system_directory, processors);
    info.cpu_quota = processor_quota("").value_or(0);
    info.usable_cores = usable_cores(info.logical_cores, info.cpu_quota);
    return info;
}

}  // namespace

const CpuInfo& cpu_info() {
    static const CpuInfo& info = *new CpuInfo(collect());
    return info;
}

}  // namespace headwise
