#include "commands/plot.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <vector>

#include "files/output_file.hpp"
#include "text/usage_error.hpp"

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

/// The first python3 in PATH.
std::string python_path() {
    const char* variable = std::getenv("PATH");
    std::string_view rest = variable == nullptr ? "/usr/local/bin:/usr/bin:/bin" : variable;
    for (bool more = true; more;) {
        const std::size_t end = rest.find(':');
        more = end != std::string_view::npos;
        const std::string_view directory = rest.substr(0, end);
        const std::string path = (std::filesystem::path(directory.empty() ? "." : directory) / "python3").string();
        if (::access(path.c_str(), X_OK) == 0 && std::filesystem::is_regular_file(path)) return path;
        if (more) rest.remove_prefix(end + 1);
    }
    throw UsageError("--plot needs python3, which is not installed");
}

/// As a shell wants to have it.
std::string quoted(const std::string& path) {
    const auto plain = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || std::strchr("/._+-", c) != nullptr;
    };
    if (std::ranges::all_of(path, plain)) return path;
    std::string result = "'";
    for (const char c : path) result += c == '\'' ? "'\\''" : std::string(1, c);
    return result + "'";
}

/// Runs this python3 with the arguments, `input` as its standard input; returns its exit status, 127 where it cannot be run.
int run_python(const std::string& python, std::vector<std::string> arguments, const std::string& input, bool quiet) {
    arguments.insert(arguments.begin(), python);
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
    const int failed = ::posix_spawn(&child, python.c_str(), &actions, nullptr, pointers.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(descriptor);
    int status = 0;
    if (failed != 0 || ::waitpid(child, &status, 0) != child) return 127;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/// For people to copy. A python3 whose packages the system installs refuses pip.
std::string install_command(const std::string& python) {
    if (run_python(python, {script_path("figure_file.py")}, "", true) == 0) return "apt-get install python3-matplotlib";
    return quoted(python) + " -m pip install matplotlib";
}

}  // namespace

void check_plot(const std::string& script, const std::string& path) {
    const std::string extension = std::filesystem::path(path).extension().string();
    if (extension != ".png" && extension != ".svg")
        throw UsageError(fmt::format("--plot is '{}': expected a name that ends in .png or .svg", path));
    script_path(script);
    const std::string python = python_path();
    switch (run_python(python, {"-c", "import matplotlib"}, "", true)) {
        case 0: break;
        case 127: throw UsageError(fmt::format("--plot needs python3: '{}' cannot be run", python));
        default:
            throw UsageError(fmt::format("--plot needs matplotlib, which {} does not have: install it with \"{}\"", python,
                                         install_command(python)));
    }
    {
        const OutputFile writable(path);
    }
}

void draw_plot(const std::string& script, const std::string& json, const std::string& path) {
    if (run_python(python_path(), {script_path(script), "-", path}, json, false) != 0)
        throw std::runtime_error(fmt::format("--plot: '{}' could not be drawn", path));
}

}  // namespace headwise::tools
