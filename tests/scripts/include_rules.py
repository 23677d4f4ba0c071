#!/usr/bin/env python3
"""Fails when a source file includes what its layer may not know. Usage: include_rules.py PROJECT_FOLDER

Calls go down only: tools -> include -> layers -> attention, matmul -> dispatch -> kernels -> simd. So they do within the program, from room to
room. docs/architecture.md gives the reasons.
"""

import os
import re
import sys

# The folders of engine/, each with those it may include from. `layout` has the sizes that memory is laid out by; `tensor` checks views; `contract` checks whole calls of attention; `runtime` holds the oneTBB loops and the workspaces.
LAYERS = {
    "layout": {"layout"},
    "simd": {"layout", "simd"},
    "kernels": {"layout", "kernels", "simd"},
    "dispatch": {"layout", "dispatch", "kernels"},
    "tensor": {"layout", "tensor"},
    "contract": {"layout", "contract", "tensor"},
    "runtime": {"layout", "runtime"},
    "matmul": {"layout", "matmul", "tensor", "runtime", "dispatch", "kernels"},
    "attention": {"layout", "attention", "contract", "tensor", "runtime", "dispatch", "kernels"},
    "cache": {"layout", "cache", "tensor"},
    "layers": {"layout", "layers", "attention", "matmul", "contract", "tensor", "runtime", "dispatch"},
    "reference": {"layout", "reference", "contract", "tensor"},
}

# The rooms of tools/headwise/, from the lowest up, each with those it may include from. "" is main.cpp.
ROOMS = {
    "text": {"text"},
    "buffers": {"buffers", "text"},
    "cases": {"cases", "text"},
    "measure": {"measure", "buffers"},
    "files": {"files", "cases", "buffers", "text"},
    "workloads": {"workloads", "files", "measure", "cases", "buffers", "text"},
    "verify": {"verify", "measure", "buffers"},
    "variants": {"variants", "workloads", "measure", "cases", "buffers", "text"},
    "compare": {"compare", "workloads", "measure", "cases", "text"},
    "profile/record": {"profile/record", "workloads", "measure", "buffers", "text"},
    "profile/analyze": {"profile/analyze", "profile/record", "measure"},
    "profile/write": {"profile/write", "profile/analyze", "measure", "text"},
    "arguments": {"arguments", "workloads", "files", "cases", "text"},
    "commands": {"commands", "arguments", "profile/write", "profile/analyze", "profile/record", "compare", "variants", "verify", "workloads", "files",
                 "measure", "cases", "buffers", "text"},
    "": {"commands", "text"},
}

# Code that is compiled once for each ISA sees only headers without code of their own: any inline function in them could be emitted for that
# ISA and be picked up by the whole program. tests/scripts/kernel_symbols.py checks the outcome.
PER_ISA_FOLDERS = {"layout", "simd", "kernels"}
PER_ISA_STANDARD_HEADERS = {"cstddef", "cstdint", "type_traits"}
PER_ISA_PUBLIC_HEADERS = {"headwise/activation.hpp", "headwise/isa.hpp"}  # an enum each

# What programs that use the library may take from inside it, as no part of the API: the peak kernels, which measure the machine, what a
# container leaves the process, and what calls take of that.
TOOLS_ENGINE_HEADERS = {"engine/attention/call_memory.hpp", "engine/dispatch/control_group.hpp", "engine/kernels/kernel_table.hpp"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
INTRINSICS = re.compile(r"(\w*intrin|arm_neon|arm_sve|arm_acle)\.h")
ISA_CONDITION = re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif)\b.*__(SSE\w*|AVX\w*|FMA|F16C|ARM_NEON|ARM_FEATURE_\w+)\b")
SOURCE_SUFFIXES = (".h", ".hpp", ".cpp")


def room_of(path):
    """Where in tools/headwise/ the file at `path` (relative to the project) is: a key of ROOMS, or what is none; "" of main.cpp."""
    folder = os.path.dirname(path.removeprefix("tools/headwise/"))
    return None if not folder and path != "tools/headwise/main.cpp" else folder


def room_objection(path, target):
    """Why the file at `path`, which is in a room, may not include `target`, a header of the program; None if it may."""
    room, target_room = room_of(path), os.path.dirname(target)
    if target_room not in ROOMS or not target_room:
        return 'write the path from tools/headwise/: "room/file.hpp"'
    if target_room not in ROOMS[room]:
        return f"{path if not room else f'tools/headwise/{room}/'} may include from {', '.join(sorted(ROOMS[room]))}: calls go down only"
    return None


def include_objection(path, target, quoted):
    """Why the file at `path` (relative, with /) may not include `target`; None if it may."""
    top, _, rest = path.partition("/")
    folder = rest.split("/")[0] if top == "engine" else None
    project = target.startswith(("engine/", "headwise/"))

    if quoted and not project and top in ("engine", "include"):
        return 'write the path from the project\'s root: "engine/..." or "headwise/..."'
    if top == "tools":
        if target.startswith("engine/") and target not in TOOLS_ENGINE_HEADERS:
            return f"tools use the public API in include/ (and {', '.join(sorted(TOOLS_ENGINE_HEADERS))})"
        return room_objection(path, target) if quoted and not project else None
    if re.match(r"(oneapi/)?tbb(/|\.h)", target) and folder != "runtime":
        return "oneTBB is named in engine/runtime/ alone"
    if target.startswith("xsimd/") and folder != "simd":
        return "xsimd is included in engine/simd/ alone"
    if INTRINSICS.fullmatch(target) and folder != "simd":
        return "intrinsics belong to engine/simd/"
    if top == "include":
        if target.startswith("engine/"):
            return "public headers include nothing from engine/"
        if not project and ("/" in target or (target.endswith(".h") and not path.endswith(".h"))):
            return "public headers include the C++ standard library and each other, nothing else"
        return None
    if target.startswith("engine/") and target.split("/")[1] not in LAYERS[folder]:
        return f"engine/{folder}/ may include from {', '.join(sorted(LAYERS[folder]))}: calls go down only"
    if folder in PER_ISA_FOLDERS:
        if target.startswith("headwise/") and target not in PER_ISA_PUBLIC_HEADERS:
            return f"code compiled per ISA knows nothing of the public API but {', '.join(sorted(PER_ISA_PUBLIC_HEADERS))}"
        standard = not project and not target.startswith("xsimd/") and not INTRINSICS.fullmatch(target)
        if standard and target not in PER_ISA_STANDARD_HEADERS:
            return f"code compiled per ISA includes of the standard library only {', '.join(sorted(PER_ISA_STANDARD_HEADERS))}"
    return None


def line_objection(path, line):
    match = INCLUDE.match(line)
    if match:
        reason = include_objection(path, match.group(2), match.group(1) == '"')
        return f"includes {match.group(2)}: {reason}" if reason else None
    if ISA_CONDITION.match(line) and not path.startswith("engine/simd/"):
        return "asks the compiler for an ISA: that belongs to engine/simd/ or to the per-ISA sources"
    return None


def source_files(root):
    for top in ("include", "engine", "tools"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if name.endswith(SOURCE_SUFFIXES):
                    yield os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")


def violations(root):
    """(number of files read, what is wrong with them)"""
    problems, count = [], 0
    for path in source_files(root):
        count += 1
        parts = path.split("/")
        if parts[0] == "engine" and (len(parts) < 3 or parts[1] not in LAYERS):
            problems.append(f"{path}: not in one of engine's folders: {', '.join(LAYERS)}")
            continue
        if parts[0] == "tools" and room_of(path) not in ROOMS:
            problems.append(f"{path}: not in one of the program's rooms: {', '.join(filter(None, ROOMS))}")
            continue
        with open(os.path.join(root, path), encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                reason = line_objection(path, line)
                if reason:
                    problems.append(f"{path}:{number}: {reason}")
    if count == 0:
        problems.append(f"{root}: no source file found")
    return count, problems


def main(arguments):
    count, problems = violations(arguments[1] if len(arguments) > 1 else ".")
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"{count} files keep the include rules")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
