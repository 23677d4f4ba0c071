#!/usr/bin/env python3
"""Fails when a kernel object defines a weak symbol that another object could pick up.

The linker keeps one copy of each weak symbol (an inline function, a template instance) for the whole program. If that copy comes from the
AVX-512 object, it holds AVX-512 code and crashes machines without it, whoever calls it. So a kernel object may define a weak symbol only
where its mangled name carries an xsimd architecture, and only those architectures that no other kernel object is compiled for.
"""

import argparse
import re
import subprocess
import sys

# The xsimd architectures that belong to one kernel object alone. A narrower vector of the same machine (avx2 in the AVX-512 object: xsimd
# reduces a wide vector through the narrower type) is another object's, although the code in it is this object's.
OWN_ARCHITECTURES = {
    "scalar": set(),
    "sse4_2": {"sse4_2"},
    "avx2": {"fma3", "avx2"},
    "avx512": {"avx512f", "avx512cd", "avx512dq", "avx512bw"},
    "neon": {"neon", "neon64"},
}

# Vector architectures start with one of these; xsimd's `generic` and `common` tags name none.
ARCHITECTURE = re.compile(r"(?:sse|ssse|avx|fma|neon|sve|i8mm|rvv|vsx|wasm)\w*")
WEAK_TYPES = "WwVvu"  # weak functions, weak data, and the unique data that inline variables become


def architectures(mangled):
    """The vector architectures in a mangled name, where each identifier stands behind its length: 8avx512bw."""
    found = set()
    for match in re.finditer(r"\d+", mangled):
        identifier = mangled[match.end() : match.end() + int(match.group())]
        if ARCHITECTURE.fullmatch(identifier):
            found.add(identifier)
    return found


def objection(mangled, isa):
    """Why this weak symbol may not be in an object of this ISA; None if it may."""
    named = architectures(mangled)
    if not named:
        return "names no ISA"
    foreign = named - OWN_ARCHITECTURES[isa]
    return f"names {', '.join(sorted(foreign))}" if foreign else None


def defined_symbols(nm, path):
    output = subprocess.run([nm, "-P", "--defined-only", path], check=True, capture_output=True, text=True).stdout
    return [tuple(line.split()[:2]) for line in output.splitlines() if line.strip()]


def violations(nm, isa, path):
    if isa not in OWN_ARCHITECTURES:
        return [f"{isa}: unknown ISA; add its architectures to {__file__}"]
    symbols = defined_symbols(nm, path)
    if not symbols:
        return [f"{isa}: {path} defines no symbol at all: is it a kernel object?"]
    reasons = ((name, objection(name, isa)) for name, kind in symbols if kind in WEAK_TYPES)
    return [f"{isa}: weak symbol {name} {reason} ({path})" for name, reason in reasons if reason]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nm", default="nm")
    parser.add_argument("list", help="a file with one line for each ISA: its name, then its object files, separated by semicolons")
    options = parser.parse_args(arguments)

    with open(options.list, encoding="utf-8") as file:
        entries = [line.strip().split(";") for line in file if line.strip()]
    checked = [(isa, path) for isa, *paths in entries for path in paths if path]
    problems = [f"{isa}: no object file listed" for isa, *paths in entries if not any(paths)]
    if not entries:
        problems.append(f"{options.list} lists no ISA")
    for isa, path in checked:
        problems += violations(options.nm, isa, path)

    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"{len(checked)} kernel objects define no weak symbol that another could pick up")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
