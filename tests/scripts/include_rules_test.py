#!/usr/bin/env python3
"""Proves on a small made-up project that include_rules.py finds each breach, and only those."""

import os
import tempfile
import unittest

import include_rules

ALLOWED = {
    "include/headwise/attention.hpp": ["#include <cstdint>", '#include "headwise/tensor.hpp"'],
    "include/headwise/headwise.h": ["#include <stddef.h>"],
    "engine/runtime/parallel.cpp": ["#include <oneapi/tbb/parallel_for.h>", '#include "engine/runtime/parallel.hpp"', "#include <vector>"],
    "engine/simd/avx2.hpp": ["#include <immintrin.h>", "#include <xsimd/xsimd.hpp>", "#include <cstdint>", "#ifdef __AVX2__"],
    "engine/simd/neon.hpp": ["#include <arm_neon.h>"],
    "engine/kernels/build_table.cpp": ['#include "engine/simd/avx2.hpp"', '#include "headwise/isa.hpp"', "#include <cstddef>"],
    "engine/dispatch/cpu.cpp": ['#include "engine/kernels/kernel_table.hpp"', '#include "headwise/cpu.hpp"', "#include <sched.h>"],
    "engine/attention/plan.cpp": ['#include "engine/runtime/parallel.hpp"', '#include "headwise/attention.hpp"', "#include <span>"],
    "engine/cache/kv_cache.cpp": ['#include "engine/tensor/view_check.hpp"', '#include "headwise/kv_cache.hpp"', "#include <atomic>"],
    "engine/layers/multi_head_attention.cpp": ['#include "engine/attention/plan.hpp"', "// #include <tbb/task.h> is never needed here"],
    "tools/headwise/measure/thread_team.cpp": ["#include <tbb/info.h>", '#include "measure/thread_team.hpp"', '#include "headwise/cpu.hpp"'],
    "tools/headwise/measure/machine_probe.cpp": ['#include "engine/kernels/kernel_table.hpp"', '#include "buffers/memory_limit.hpp"'],
    "tools/headwise/profile/analyze/workers.hpp": ['#include "profile/record/recording.hpp"'],
    "tools/headwise/main.cpp": ["#include <CLI/CLI.hpp>", '#include "commands/commands.hpp"', '#include "text/usage_error.hpp"'],
}

FORBIDDEN = [  # path, line, a part of the message
    ("include/headwise/a.hpp", "#include <xsimd/xsimd.hpp>", "xsimd"),
    ("include/headwise/a.hpp", "#include <immintrin.h>", "intrinsics"),
    ("include/headwise/a.hpp", '#include "engine/runtime/parallel.hpp"', "nothing from engine/"),
    ("include/headwise/a.hpp", "#include <oneapi/tbb/task_arena.h>", "oneTBB"),
    ("include/headwise/a.hpp", "#include <fmt/format.h>", "standard library"),
    ("include/headwise/a.hpp", "#include <sched.h>", "standard library"),
    ("include/headwise/a.hpp", '#include "tensor.hpp"', "root"),
    ("engine/attention/a.cpp", "#include <tbb/parallel_for.h>", "oneTBB"),
    ("engine/attention/a.cpp", "  #  include <tbb/tbb.h>", "oneTBB"),
    ("engine/attention/a.cpp", "#include <xsimd/xsimd.hpp>", "xsimd"),
    ("engine/attention/a.cpp", '#include "engine/matmul/packing.hpp"', "calls go down only"),
    ("engine/attention/a.cpp", '#include "engine/layers/a.hpp"', "calls go down only"),
    ("engine/attention/a.cpp", '#include "engine/simd/avx2.hpp"', "calls go down only"),
    ("engine/attention/a.cpp", "#if defined(__AVX512F__)", "asks the compiler"),
    ("engine/cache/a.cpp", '#include "engine/attention/plan.hpp"', "calls go down only"),
    ("engine/runtime/a.cpp", '#include "engine/attention/plan.hpp"', "calls go down only"),
    ("engine/dispatch/a.cpp", '#include "engine/attention/plan.hpp"', "calls go down only"),
    ("engine/dispatch/a.cpp", "#include <smmintrin.h>", "intrinsics"),
    ("engine/kernels/a.hpp", '#include "engine/dispatch/features.hpp"', "calls go down only"),
    ("engine/kernels/a.hpp", '#include "headwise/tensor.hpp"', "public API"),
    ("engine/kernels/a.hpp", "#include <immintrin.h>", "intrinsics"),
    ("engine/kernels/a.hpp", "#include <vector>", "standard library"),
    ("engine/kernels/a.hpp", "#ifdef __AVX2__", "asks the compiler"),
    ("engine/simd/a.hpp", "#include <cmath>", "standard library"),
    ("engine/simd/a.hpp", '#include "engine/kernels/a.hpp"', "calls go down only"),
    ("engine/simd/a.hpp", '#include "headwise/tensor.hpp"', "public API"),
    ("engine/reference/a.cpp", '#include "engine/attention/plan.hpp"', "calls go down only"),
    ("engine/helpers/a.cpp", "#include <vector>", "not in one of engine's folders"),
    ("tools/headwise/cases/a.cpp", '#include "engine/attention/plan.hpp"', "public API"),
    ("tools/headwise/cases/a.cpp", '#include "workloads/workload.hpp"', "tools/headwise/cases/ may include from cases, text: calls go down only"),
    ("tools/headwise/variants/a.cpp", '#include "compare/comparison.hpp"', "calls go down only"),
    ("tools/headwise/profile/record/a.hpp", '#include "profile/analyze/metrics.hpp"', "calls go down only"),
    ("tools/headwise/main.cpp", '#include "cases/case.hpp"', "tools/headwise/main.cpp may include from commands, text: calls go down only"),
    ("tools/headwise/cases/a.cpp", '#include "suite.hpp"', "room/file.hpp"),
    ("tools/headwise/cases/a.cpp", '#include "../text/printable.hpp"', "room/file.hpp"),
    ("tools/headwise/cases/a.cpp", '#include "helpers/a.hpp"', "room/file.hpp"),
    ("tools/headwise/profile/write/a.cpp", '#include "profile/page.hpp"', "room/file.hpp"),
    ("tools/headwise/a.cpp", "#include <vector>", "not in one of the program's rooms"),
    ("tools/headwise/profile/a.cpp", "#include <vector>", "not in one of the program's rooms"),
    ("tools/headwise/helpers/a.cpp", "#include <vector>", "not in one of the program's rooms"),
]


def violations(files):
    with tempfile.TemporaryDirectory() as root:
        for path, lines in files.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")
        return include_rules.violations(root)[1]


class IncludeRules(unittest.TestCase):
    def test_what_is_allowed_passes(self):
        self.assertEqual(violations(ALLOWED), [])

    def test_each_breach_is_found_and_named(self):
        for path, line, message in FORBIDDEN:
            with self.subTest(path=path, line=line):
                problems = violations(ALLOWED | {path: ["// a comment", line]})
                self.assertEqual(len(problems), 1, problems)
                self.assertIn(path, problems[0])
                self.assertIn(message, problems[0])

    def test_the_tables_go_down_only(self):
        for table in (include_rules.LAYERS, include_rules.ROOMS):
            below = set()
            for name, allowed in table.items():
                with self.subTest(name=name):
                    self.assertLessEqual(allowed - {name}, below)
                below.add(name)

    def test_an_empty_project_is_a_failure(self):
        self.assertNotEqual(violations({}), [])


if __name__ == "__main__":
    unittest.main()
