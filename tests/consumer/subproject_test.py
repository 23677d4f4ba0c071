"""headwise as a subproject of a project with flags of its own: it leaves the build type to that project, and no -ffast-math reaches it,
nor its tools, tests and benchmarks. A program with their flags computes with NaN, Inf and denormal numbers.

Usage: subproject_test.py SOURCE_DIR CMAKE GENERATOR COMPILER [CMAKE_OPTION...]
"""

import json
import pathlib
import subprocess
import sys
import tempfile

# Fails by the number of what fast arithmetic takes for granted, or changes.
PROBE = """
#include <cmath>
#include <limits>
int main() {
    using limits = std::numeric_limits<float>;
    volatile float zero = 0, one = 1, small = limits::epsilon() / 4, least = limits::min();
    if (!std::isnan(zero / zero) || std::isfinite(one / zero)) return 1;
    volatile float sum = (one + small) - one;
    if (sum != 0) return 2;
    volatile float denormal = least / 4;
    return denormal > 0 ? 0 : 3;
}
"""


def make_project(project, source):
    project.mkdir()
    (project / "probe.cpp").write_text(PROBE)
    (project / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.22)\nproject(parent LANGUAGES CXX)\nenable_testing()\n"
        f"set(CMAKE_EXPORT_COMPILE_COMMANDS ON)\nadd_subdirectory([[{source}]] headwise)\n"
        "add_executable(probe probe.cpp)\ntarget_link_libraries(probe PRIVATE headwise_warnings)\n"
        "add_executable(fast_probe probe.cpp)\n"
    )


def check_commands(commands):
    if len(commands) < 20:
        sys.exit(f"only {len(commands)} files would be compiled")
    for entry in commands:
        flags = entry["command"].split()
        strict = max((i for i, flag in enumerate(flags) if flag == "-fno-fast-math"), default=-1)
        if strict < flags.index("-ffast-math"):
            sys.exit(f"{entry['file']} would be compiled with -ffast-math: {entry['command']}")
        if "-ffp-contract=off" not in flags[strict:]:
            sys.exit(f"{entry['file']} would be compiled without -ffp-contract=off: {entry['command']}")


def check_link_of_library(build):
    """Of the shared library, which would change the mode of the program that loads it."""
    ninja, link = build / "build.ninja", build / "headwise/engine/CMakeFiles/headwise.dir/link.txt"
    command = link.read_text() if link.exists() else ninja.read_text().partition("CXX_SHARED_LIBRARY_LINKER__headwise")[2].partition("\n\n")[0]
    if command.rfind("-fno-fast-math") < command.rfind("-ffast-math"):
        sys.exit(f"the shared library would be linked with -ffast-math: {command}")
    if "-ffast-math" not in command:
        sys.exit("how the shared library is linked was not found")


def check_arithmetic(cmake, build):
    subprocess.run([cmake, "--build", build, "--target", "probe", "fast_probe"], check=True, stdout=subprocess.DEVNULL)
    code = subprocess.run([build / "probe"], check=False).returncode
    if code != 0:
        sys.exit(f"a program with the flags of headwise computes as -ffast-math has it: {code}")
    if subprocess.run([build / "fast_probe"], check=False).returncode == 0:
        sys.exit("the parent's flags change nothing: this test shows nothing")


def main():
    source, cmake, generator, compiler, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        project, build = pathlib.Path(folder, "project"), pathlib.Path(folder, "build")
        make_project(project, source)
        subprocess.run(
            [cmake, "-S", project, "-B", build, "-G", generator, f"-DCMAKE_CXX_COMPILER={compiler}", "-DCMAKE_CXX_FLAGS=-ffast-math", "-DBUILD_SHARED_LIBS=ON",
             *options],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        for line in (build / "CMakeCache.txt").read_text().splitlines():
            if line.startswith("CMAKE_BUILD_TYPE:") and not line.endswith("="):
                sys.exit(f"the parent's cache has {line}: it was left empty")
        commands = [entry for entry in json.loads((build / "compile_commands.json").read_text()) if "fast_probe" not in entry["command"]]
        check_commands(commands)
        check_link_of_library(build)
        check_arithmetic(cmake, build)
    print(f"{len(commands)} files, all with the project's own rules of arithmetic")


main()
