"""headwise as a subproject of a project with flags of its own: it leaves the build type to that project, and no -ffast-math reaches it.

Usage: subproject_test.py SOURCE_DIR CMAKE GENERATOR COMPILER [CMAKE_OPTION...]
"""

import json
import pathlib
import subprocess
import sys
import tempfile


def main():
    source, cmake, generator, compiler, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        project, build = pathlib.Path(folder, "project"), pathlib.Path(folder, "build")
        project.mkdir()
        (project / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.22)\nproject(parent LANGUAGES CXX)\n"
            f"set(CMAKE_EXPORT_COMPILE_COMMANDS ON)\nadd_subdirectory([[{source}]] headwise)\n"
        )
        subprocess.run(
            [cmake, "-S", project, "-B", build, "-G", generator, f"-DCMAKE_CXX_COMPILER={compiler}", "-DCMAKE_CXX_FLAGS=-ffast-math", *options],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        for line in (build / "CMakeCache.txt").read_text().splitlines():
            if line.startswith("CMAKE_BUILD_TYPE:") and not line.endswith("="):
                sys.exit(f"the parent's cache has {line}: it was left empty")
        commands = json.loads((build / "compile_commands.json").read_text())
        if len(commands) < 20:
            sys.exit(f"only {len(commands)} files would be compiled")
        for entry in commands:
            flags = entry["command"].split()
            strict = max((i for i, flag in enumerate(flags) if flag == "-fno-fast-math"), default=-1)
            if strict < flags.index("-ffast-math"):
                sys.exit(f"{entry['file']} would be compiled with -ffast-math: {entry['command']}")
            if "-ffp-contract=off" not in flags[strict:]:
                sys.exit(f"{entry['file']} would be compiled without -ffp-contract=off: {entry['command']}")
    print(f"{len(commands)} files, all with the library's own rules of arithmetic")


main()
