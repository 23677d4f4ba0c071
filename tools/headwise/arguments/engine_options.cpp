#include "arguments/engine_options.hpp"

#include <fmt/format.h>

#include <charconv>
#include <set>

#include "headwise/cpu.hpp"
#include "headwise/error.hpp"
#include "text/usage_error.hpp"

namespace headwise::tools {
namespace {

/// Of a list with commas between them.
void add_numbers(std::string_view list, std::vector<int>& numbers) {
    for (std::size_t begin = 0; begin <= list.size();) {
        const std::string_view part = list.substr(begin, list.find(',', begin) - begin);
        const auto [end, error] = std::from_chars(part.begin(), part.end(), numbers.emplace_back());
        if (error != std::errc{} || end != part.end())
            throw UsageError(fmt::format("--threads is '{}': expected whole numbers with commas between them, as in 1,2", list));
        begin += part.size() + 1;
    }
}

}  // namespace

std::shared_ptr<std::string> add_isa_option(CLI::App& command) {
    auto name = std::make_shared<std::string>();
    command.add_option("--isa", *name, "kernels to use: scalar, sse4.2, avx2, avx512, neon (default: the strongest available)")
        ->type_name("NAME");
    return name;
}

void choose_isa(const std::string& name) {
    if (name.empty()) {
        active_isa();
        return;
    }
    try {
        set_isa(isa_from_name(name));
    } catch (const Error& error) {
        // The message begins with what the argument is called in the library.
        const std::string_view message = error.what();
        throw UsageError(fmt::format("--isa{}", message.substr(message.find(" is "))));
    }
}

void add_threads_option(CLI::App& command, std::vector<int>& counts, const std::string& help) {
    // CLI11 would split the list itself, but leaves out parts that are empty.
    command
        .add_option_function<std::vector<std::string>>(
            "--threads",
            [&counts](const std::vector<std::string>& lists) {
                for (const std::string& list : lists) add_numbers(list, counts);
            },
            help)
        ->type_name("N,...")
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->expected(1);
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
