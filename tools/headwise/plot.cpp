#include "plot.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <vector>

#include "output_file.hpp"
#include "usage_error.hpp"

extern char** environ;

namespace headwise::tools {
namespace {

std::string script_path(const std::string& script) {
    std::error_code error;
    const auto program = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
    // installed: bin/headwise; build tree: build/<preset>/bin/headwise
    for (const auto& candidate : {program / "../share/headwise" / script, program / "../../../tools" / script,
                                  std::filesystem::path(HEADWISE_SOURCE_DIRECTORY "/tools") / script}) {
        if (std::filesystem::exists(candidate, error)) return candidate.lexically_normal().string();
    }
    throw UsageError(fmt::format("--plot: {} was not found beside the program", script));
}

/// Runs python3 with the arguments, `input` as its standard input; returns its exit status, 127 where there is no python3.
int run_python(std::vector<std::string> arguments, const std::string& input, bool quiet) {
    arguments.insert(arguments.begin(), "python3");
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);

    // A file without a name: unlike a pipe it takes any length, whether the child reads it or not.
    const int descriptor = ::memfd_create("headwise-plot", MFD_CLOEXEC);
    if (descriptor < 0 || ::write(descriptor, input.data(), input.size()) != static_cast<ssize_t>(input.size())) {
        throw std::runtime_error("--plot: cannot hand the figures to python3");
    }
    ::lseek(descriptor, 0, SEEK_SET);

    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, descriptor, STDIN_FILENO);
    if (quiet) ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t child = 0;
    const int failed = ::posix_spawnp(&child, "python3", &actions, nullptr, pointers.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(descriptor);
    int status = 0;
    if (failed != 0 || ::waitpid(child, &status, 0) != child) return 127;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

}  // namespace

void check_plot(const std::string& script, const std::string& path) {
    const std::string extension = std::filesystem::path(path).extension().string();
    if (extension != ".png" && extension != ".svg")
        throw UsageError(fmt::format("--plot is '{}': expected a name that ends in .png or .svg", path));
    script_path(script);
    switch (run_python({"-c", "import matplotlib"}, "", true)) {
        case 0: break;
        case 127: throw UsageError("--plot needs python3, which is not installed");
        default:
            throw UsageError(
                "--plot needs matplotlib: install it with 'apt-get install python3-matplotlib' or 'pip install matplotlib'");
    }
    {
        const OutputFile writable(path);
    }
}

void draw_plot(const std::string& script, const std::string& json, const std::string& path) {
    if (run_python({script_path(script), "-", path}, json, false) != 0)
        throw std::runtime_error(fmt::format("--plot: '{}' could not be drawn", path));
}

}  // namespace headwise::tools
