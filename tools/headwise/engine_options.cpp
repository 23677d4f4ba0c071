#include "engine_options.hpp"

#include <fmt/format.h>

#include <set>

#include "headwise/cpu.hpp"
#include "headwise/error.hpp"
#include "usage_error.hpp"

namespace headwise::tools {

std::shared_ptr<std::string> add_isa_option(CLI::App& command) {
    auto name = std::make_shared<std::string>();
    command.add_option("--isa", *name, "kernels to use: scalar, sse4.2, avx2, avx512, neon (default: the strongest available)")
        ->type_name("NAME");
    return name;
}

void choose_isa(const std::string& name) {
    if (name.empty()) return;
    try {
        set_isa(isa_from_name(name));
    } catch (const Error& error) {
        throw UsageError(fmt::format("--isa: {}", error.what()));
    }
}

void check_threads(const std::vector<int>& counts) {
    std::set<int> seen;
    for (const int count : counts) {
        if (count < 1 || count > kMostThreads)
            throw UsageError(fmt::format("--threads is {}: expected 1 to {}", count, kMostThreads));
        // The engine does not wake more threads than the quota feeds, and a time with more would be one of fewer.
        if (const CpuInfo& cpu = cpu_info(); cpu.cpu_quota > 0 && count > cpu.usable_cores)
            throw UsageError(
                fmt::format("--threads is {}: a control group grants the time of {:.3g} processors, expected at most {}", count,
                            cpu.cpu_quota, cpu.usable_cores));
        if (!seen.insert(count).second) throw UsageError(fmt::format("--threads names {} twice", count));
    }
}

}  // namespace headwise::tools
