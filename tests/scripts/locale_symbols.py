#!/usr/bin/env python3
"""Fails when the library calls what writes or reads numbers by the program's locale: printf() and its family, strtod(), streams' << and >>.

Usage: locale_symbols.py [--nm NM] LIBRARY. std::to_string() of a float is vsnprintf(); engine/tensor/number_text.hpp has what to use.
"""

import argparse
import re
import subprocess
import sys

# In what nm -C prints. Members of streams come with a return type in front.
DEPENDS_ON_LOCALE = re.compile(
    r"^(?:__)?v?(?:f|s|sn|d|as)?printf(?:_chk)?$|^strto(?:f|d|ld)$|^ato[fil]+$|^v?[fs]?scanf$|^setlocale$|^localeconv$"
    r"|std::[io]stream::(?:operator(?:<<|>>)|_M_(?:insert|extract))|std::(?:__cxx11::)?num_(?:put|get)<"
)


def objections(listing):
    """The lines of `nm -C -u` that name what depends on the locale."""
    names = (line.split(maxsplit=1)[1].split("@")[0].strip() for line in listing.splitlines() if re.match(r"\s+U\s", line))
    return sorted({name for name in names if DEPENDS_ON_LOCALE.search(name)})


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nm", default="nm")
    parser.add_argument("library")
    options = parser.parse_args(arguments)
    listing = subprocess.run([options.nm, "-C", "-u", options.library], check=True, capture_output=True, text=True).stdout
    if "operator new" not in listing:
        print(f"{options.library}: no undefined operator new: is it the library?", file=sys.stderr)
        return 1
    found = objections(listing)
    for name in found:
        print(f"{options.library} calls {name}, which follows the program's locale", file=sys.stderr)
    if not found:
        print("nothing in the library follows the program's locale")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
