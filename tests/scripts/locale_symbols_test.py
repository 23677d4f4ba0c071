#!/usr/bin/env python3
"""Proves on objects compiled here that locale_symbols.py finds what it must. Usage: locale_symbols_test.py CXX NM"""

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import unittest

import locale_symbols

CXX, NM = "c++", "nm"


def check(source):
    """(exit code, messages) of the check on an object compiled from `source`."""
    with tempfile.TemporaryDirectory() as folder:
        code, binary = os.path.join(folder, "code.cpp"), os.path.join(folder, "code.o")
        with open(code, "w", encoding="utf-8") as file:
            file.write(source + "\nint* allocate() { return new int; }\n")
        subprocess.run([CXX, "-std=c++20", "-O2", "-c", code, "-o", binary], check=True)
        messages = io.StringIO()
        with contextlib.redirect_stderr(messages), contextlib.redirect_stdout(messages):
            return locale_symbols.main(["--nm", NM, binary]), messages.getvalue()


class LocaleSymbols(unittest.TestCase):
    def test_what_follows_the_locale_is_found(self):
        for source, name in (
            ("#include <string>\nstd::string text(float x) { return std::to_string(x); }", "vsnprintf"),
            ("#include <cstdio>\nvoid text(char* s, double x) { std::snprintf(s, 9, \"%g\", x); }", "snprintf"),
            ("#include <string>\ndouble number(const std::string& s) { return std::stod(s); }", "strtod"),
            ("#include <sstream>\nvoid text(std::ostringstream& s, double x) { s << x; }", "std::ostream::_M_insert<double>"),
            ("#include <sstream>\nvoid text(std::ostringstream& s, int x) { s << x; }", "std::ostream::operator<<"),
            ("#include <fstream>\nvoid number(std::ifstream& s, long& x) { s >> x; }", "std::istream::_M_extract<long>"),
        ):
            code, messages = check(source)
            self.assertEqual(code, 1, source)
            self.assertIn(name, messages)

    def test_what_does_not_passes(self):
        for source in (
            "#include <string>\nstd::string text(long x) { return std::to_string(x); }",
            "#include <charconv>\nchar* text(char* s, double x) { return std::to_chars(s, s + 40, x).ptr; }",
            "#include <fstream>\n#include <string>\nvoid line(std::ifstream& s, std::string& x) { std::getline(s, x); }",
        ):
            code, messages = check(source)
            self.assertEqual(code, 0, messages)

    def test_another_file_is_no_library(self):
        with tempfile.TemporaryDirectory() as folder:
            code, binary = os.path.join(folder, "code.cpp"), os.path.join(folder, "code.o")
            with open(code, "w", encoding="utf-8") as file:
                file.write("int x;\n")
            subprocess.run([CXX, "-c", code, "-o", binary], check=True)
            with contextlib.redirect_stderr(io.StringIO()):
                self.assertEqual(locale_symbols.main(["--nm", NM, binary]), 1)


if __name__ == "__main__":
    CXX, NM = sys.argv[1:3]
    unittest.main(argv=sys.argv[:1])
