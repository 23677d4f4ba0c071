#!/usr/bin/env python3
"""Proves on objects compiled here that kernel_symbols.py finds what it must. Usage: kernel_symbols_test.py CXX NM"""

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import unittest

import kernel_symbols

CXX, NM = "c++", "nm"

# A stand-in for xsimd: a function template over architecture tags, instantiated out of line.
TAGGED = "namespace xsimd {{ struct avx2; struct avx512bw; template <class... A> int hadd(int x) {{ return x; }} }}\n" \
         "using namespace xsimd;\nint (*table)(int) = hadd<{}>;"


def check(isa, source, *flags):
    """(exit code, messages) of the check on one object compiled from `source`."""
    with tempfile.TemporaryDirectory() as folder:
        code, binary, listing = (os.path.join(folder, name) for name in ("code.cpp", "code.o", "list"))
        with open(code, "w", encoding="utf-8") as file:
            file.write(source + "\n")
        subprocess.run([CXX, "-std=c++20", "-O0", *flags, "-c", code, "-o", binary], check=True)
        with open(listing, "w", encoding="utf-8") as file:
            file.write(f"{isa};{binary}\n")
        return run(listing)


def run(listing):
    messages = io.StringIO()
    with contextlib.redirect_stderr(messages), contextlib.redirect_stdout(messages):
        code = kernel_symbols.main(["--nm", NM, listing])
    return code, messages.getvalue()


class KernelSymbols(unittest.TestCase):
    def test_internal_linkage_passes(self):
        code, messages = check("avx2", "static int twice(int x) { return 2 * x; }\nint (*table)(int) = twice;")
        self.assertEqual(code, 0, messages)

    def test_an_inline_function_is_found(self):
        code, messages = check("avx2", "inline int twice(int x) { return 2 * x; }\nint (*table)(int) = twice;")
        self.assertEqual(code, 1)
        self.assertIn("twice", messages)
        self.assertIn("names no ISA", messages)

    def test_a_function_of_the_standard_library_is_found(self):
        code, messages = check("avx512", "#include <vector>\nint count(const std::vector<int>& v) { return (int)v.size(); }")
        self.assertEqual(code, 1)
        self.assertIn("names no ISA", messages)

    def test_an_inline_variable_is_found(self):
        code, messages = check("scalar", "inline int counter = 1;\nint* address() { return &counter; }")
        self.assertEqual(code, 1)
        self.assertIn("counter", messages)

    def test_a_template_of_the_objects_own_architecture_passes(self):
        code, messages = check("avx512", TAGGED.format("avx512bw"))
        self.assertEqual(code, 0, messages)

    def test_a_template_of_another_objects_architecture_is_found(self):
        for isa in ("scalar", "sse4_2", "avx2", "neon"):
            code, messages = check(isa, TAGGED.format("avx512bw"))
            self.assertEqual(code, 1, isa)
            self.assertIn("names avx512bw", messages)

    def test_a_narrower_vector_in_a_wide_object_is_found(self):
        # What xsimd 8.1's hadd does to an AVX-512 object that is not optimized.
        code, messages = check("avx512", TAGGED.format("avx2"))
        self.assertEqual(code, 1)
        self.assertIn("names avx2", messages)

    def test_its_own_architecture_does_not_excuse_another(self):
        code, messages = check("avx512", TAGGED.format("avx512bw, avx2"))
        self.assertEqual(code, 1)
        self.assertIn("names avx2", messages)

    def test_nothing_to_check_is_a_failure(self):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as listing:
            self.assertEqual(run(listing.name)[0], 1)
            listing.write("avx2;\n")
            listing.flush()
            self.assertEqual(run(listing.name)[0], 1)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        NM, CXX = sys.argv.pop(), sys.argv.pop()
    unittest.main()
