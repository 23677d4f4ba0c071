#pragma once

#include <CLI/CLI.hpp>

namespace headwise::tools {

/// Each adds a subcommand with its options; parsing the command line runs it. The program fails with 1 where a callback says so by
/// throwing std::runtime_error, with 2 by UsageError or headwise::Error.
void add_info_command(CLI::App& program);
void add_run_command(CLI::App& program);
void add_compare_command(CLI::App& program);
void add_profile_command(CLI::App& program);
void add_verify_command(CLI::App& program);

}  // namespace headwise::tools
