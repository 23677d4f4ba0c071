#!/usr/bin/env python3
"""Fails when the shared library exports anything but what the public headers mark with HEADWISE_API, or lacks some of that.

Usage: exported_symbols.py [--nm NM] LIBRARY INCLUDE_FOLDER
"""

import argparse
import os
import re
import subprocess
import sys

RTTI = {"typeinfo for", "typeinfo name for", "vtable for"}


def marked(include_folder):
    """Qualified names of what the headers mark: {"headwise::attention", "headwise::KvCache::append", ...}, and the classes marked as a whole."""
    functions, classes = set(), set()
    for name in sorted(os.listdir(include_folder)):
        with open(os.path.join(include_folder, name), encoding="utf-8") as file:
            text = re.sub(r"//[^\n]*", "", file.read())
        namespace, scope = "headwise", ""
        for line in text.splitlines():
            if match := re.match(r"namespace ([\w:]+) {", line):
                namespace = match[1]
            if match := re.match(r"(?:class|struct) (?:HEADWISE_API )?(\w+)[^;]*{", line):
                scope = match[1] + "::"
                if "HEADWISE_API" in line:
                    classes.add(f"{namespace}::{match[1]}")
            elif re.match(r"};", line):
                scope = ""
            elif "HEADWISE_API" in line and not line.startswith("#"):
                function = re.search(r"(~?\w+|operator=)\(", line.split("HEADWISE_API", 1)[1])
                functions.add(f"{namespace}::{scope}{function[1]}")
    return functions, classes


def exported(nm, library):
    """Demangled names without parameters and template arguments."""
    output = subprocess.run([nm, "-D", "-C", "--defined-only", library], check=True, capture_output=True, text=True).stdout
    names = set()
    for line in output.splitlines():
        symbol = line.split(maxsplit=2)[2]
        if any(symbol.startswith(prefix) for prefix in RTTI):
            names.add(symbol)
            continue
        while (plain := re.sub(r"<[^<>]*>", "", symbol)) != symbol:
            symbol = plain
        names.add(re.sub(r"\[abi:\w+\]", "", symbol.split("(")[0]).split()[-1])
    return names


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nm", default="nm")
    parser.add_argument("library")
    parser.add_argument("include_folder")
    options = parser.parse_args(arguments)
    functions, classes = marked(options.include_folder)
    expected = functions | {f"{kind} {name}" for name in classes for kind in RTTI}
    found = exported(options.nm, options.library)
    problems = [f"exported, but not marked in a public header: {name}" for name in sorted(found - expected)]
    problems += [f"marked in a public header, but not exported: {name}" for name in sorted(expected - found)]
    if not functions:
        problems.append(f"{options.include_folder} marks nothing")
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"{len(found)} names are exported, those that the public headers mark")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
