#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <new>
#include <string>

#include "commands.hpp"
#include "headwise/error.hpp"
#include "usage_error.hpp"

namespace {

constexpr int kFailure = 1, kBadUsage = 2;

int report(std::string message, int code) {
    std::ranges::replace(message, '\n', ' ');
    fmt::print(stderr, "headwise: {}\n", message);
    return code;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App program(
        "Attention on CPUs near the hardware's limit: looks at the machine, runs attention on your tensors, compares with naive "
        "loops.",
        "headwise");
    program.set_version_flag("--version", "headwise " HEADWISE_VERSION);
    program.require_subcommand(0, 1);  // its absence is told below: CLI11 would tell it before a misspelt name
    program.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::Throw);
    headwise::tools::add_info_command(program);
    headwise::tools::add_run_command(program);
    headwise::tools::add_compare_command(program);
    headwise::tools::add_profile_command(program);
    headwise::tools::add_verify_command(program);
    try {
        program.parse(argc, argv);
        if (program.get_subcommands().empty())
            return report("expected a subcommand: info, run, compare, profile or verify; --help tells more", kBadUsage);
        if (std::fflush(stdout) != 0) return report("cannot write to the standard output", kFailure);
        return 0;
    } catch (const CLI::Success& success) {  // --help, --version
        return program.exit(success);
    } catch (const CLI::ParseError& error) {
        return report(error.what(), kBadUsage);
    } catch (const headwise::tools::UsageError& error) {
        return report(error.what(), kBadUsage);
    } catch (const headwise::Error& error) {
        return report(error.what(), kBadUsage);
    } catch (const std::bad_alloc&) {
        return report("out of memory", kFailure);
    } catch (const std::exception& error) {
        return report(error.what(), kFailure);
    }
}
