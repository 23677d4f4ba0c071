#pragma once

#include <CLI/CLI.hpp>

#include <memory>
#include <string>
#include <vector>

namespace headwise::tools {

/// The most threads that may be asked for: far beyond any machine, and yet nothing that an operating system chokes on.
constexpr int kMostThreads = 1024;

/// --isa NAME, kept where the returned string lies; "" when not given.
std::shared_ptr<std::string> add_isa_option(CLI::App& command);

/// Makes `name` the ISA of all calls. Throws UsageError naming the option. For "" that of the environment stays, and Error is
/// thrown where HEADWISE_ISA names none: here, and not where a call on somebody's file comes upon it.
void choose_isa(const std::string& name);

/// --threads N,... into `counts`; `help` says of what.
void add_threads_option(CLI::App& command, std::vector<int>& counts, const std::string& help);

/// Checks numbers of threads: 1 .. kMostThreads, within the quota of processor time if there is one, none twice. Throws UsageError
/// naming the option.
void check_threads(const std::vector<int>& counts);

}  // namespace headwise::tools
