#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <new>
#include <string>

#include "commands/commands.hpp"
#include "headwise/error.hpp"
#include "text/printable.hpp"
#include "text/usage_error.hpp"

namespace {

constexpr int kFailure = 1, kBadUsage = 2;

/// A standard error that cannot be written to is no reason to fail in another way.
int report(const std::string& message, int code) {
    std::fputs(fmt::format("headwise: {}\n", headwise::tools::printable(message)).c_str(), stderr);
    return code;
}

/// `code`, unless something that was printed is lost.
int report_output(int code) {
    std::cout.flush();  // CLI11 prints to it
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.good()) return code;
    return report("cannot write to the standard output", kBadUsage);
}

/// Takes the places of standard streams that the caller has closed: a file that is opened would get their numbers, and what is
/// printed would land in it.
void fill_standard_streams() {
    for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(descriptor, F_GETFD) >= 0) continue;
        // Writing to the standard output fails, as it did when it was closed; for messages there is no one else to tell.
        const int opened = ::open("/dev/null", descriptor == STDERR_FILENO ? O_WRONLY : O_RDONLY);
        if (opened >= 0 && opened != descriptor) ::close(opened);
    }
}

}  // namespace

int main(int argc, char** argv) {
    fill_standard_streams();
    std::signal(SIGXFSZ, SIG_IGN);  // so that a write beyond the limit to the size of files fails like one to a full disk
    CLI::App program(
        "Transformer attention on CPUs: shows the machine's limits, runs attention on your tensors, measures, profiles and "
        "verifies it.",
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
            return report("expected a subcommand: info, run, compare, profile or verify; see --help", kBadUsage);
        return report_output(0);
    } catch (const CLI::Success& success) {  // --help, --version
        return report_output(program.exit(success));
    } catch (const CLI::ParseError& error) {
        std::string message = error.what();
        std::ranges::replace(message, '\n', ' ');  // CLI11's own
        return report(message, kBadUsage);
    } catch (const headwise::tools::UsageError& error) {
        return report(error.what(), kBadUsage);
    } catch (const headwise::Error& error) {
        return report(error.what(), kBadUsage);
    } catch (const std::bad_alloc&) {
        return report("out of memory", kFailure);
    } catch (const std::exception& error) {
        if (std::ferror(stdout) != 0) return report_output(kFailure);
        return report(error.what(), kFailure);
    }
}
