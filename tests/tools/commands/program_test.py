"""The headwise program as its users call it: program_test.py PROGRAM DATA_DIRECTORY. Standard library only."""
import csv
import json
import math
import os
import random
import shlex
import shutil
import struct
import subprocess
import sys
import unittest

from headwise_program import DATA, PROGRAM, Case, headwise, headwise_losing_a_file, read_safetensors, write_safetensors


def naive(q, k, v, q_shape, k_shape, v_shape, allowed, scale):
    """[B, H, S, D] by the textbook, in f64."""
    batch, heads, queries, dim = q_shape
    kv_heads, keys, value_dim = k_shape[1], k_shape[2], v_shape[3]
    out = []
    for b in range(batch):
        for h in range(heads):
            g = b * kv_heads + h // (heads // kv_heads)
            for i in range(queries):
                row = q[((b * heads + h) * queries + i) * dim :][:dim]
                logits = [scale * sum(x * y for x, y in zip(row, k[(g * keys + j) * dim :][:dim])) for j in range(allowed(i))]
                top = max(logits, default=0)
                weights = [math.exp(x - top) for x in logits]
                total = sum(weights) or 1
                out += [sum(w * v[(g * keys + j) * value_dim + d] for j, w in enumerate(weights)) / total for d in range(value_dim)]
    return out


def swap_heads_and_length(values, shape):
    """[B, X, Y, D] -> [B, Y, X, D]."""
    b, x, y, d = shape
    return [values[((i * x + j) * y + l) * d + m] for i in range(b) for l in range(y) for j in range(x) for m in range(d)]


class CommandLine(Case):
    def test_help_and_version(self):
        for arguments in (["--help"], ["--version"], ["info", "--help"], ["run", "--help"], ["compare", "--help"],
                          ["verify", "--help"]):
            result = headwise(*arguments)
            self.assertEqual(result.returncode, 0)
            self.assertIn("headwise", result.stdout.lower() + "headwise" * (len(arguments) > 1))

    def test_bad_usage(self):
        for arguments, name in (([], "subcommand"), (["fly"], "fly"), (["run"], "--input"), (["run", "--input", "x"], "--output"),
                                (["info", "--fast"], "--fast"), (["compare", "--threads", "two"], "--threads"),
                                (["compare", "--threads", "0"], "--threads"), (["compare", "--threads", "1,1"], "--threads"),
                                (["compare", "--threads", "1,,2"], "--threads is '1,,2'"), (["compare", "--threads", "1,"], "--threads is '1,'"), (["compare", "--threads", ""], "--threads is ''"),
                                (["compare", "--threads", str(2**32 + 1)], "--threads"), (["profile", "--case", "matmul:m=8,n=8,k=8", "--threads", ",1"], "--threads is ',1'"),
                                (["compare", "--isa", "mmx"], "--isa"), (["compare", "--suite", "all"], "--suite"),
                                (["compare", "--case", "matmul:m=1"], "'n'"), (["compare", "--case", "matmul:m=x,n=1,k=1"], "m is 'x'"),
                                (["compare", "--case", "matmul:m=2000000000,n=2000000000,k=1"], "GB"),
                                (["compare", "--input", "/nowhere"], "/nowhere"), (["compare", "--causal", "top-left"], "--causal"),
                                (["compare", "--data", "/nowhere"], "--data"), (["compare", "--json", "/nowhere/x"], "/nowhere/x"),
                                (["compare", "--csv", "/nowhere/x"], "/nowhere/x"), (["compare", "--plot", "x.pdf"], "--plot"),
                                (["compare", "--suite", "variants", "--plot", "x.png"], "--plot"),
                                (["compare", "--suite", "values", "--plot", "x.png"], "--plot"), (["compare", "--suite", "values", "--json", "/nowhere/x"], "/nowhere/x"),
                                (["compare", "--suite", "variants", "--causal", "top-left"], "--causal"),
                                (["compare", "--suite", "variants", "--json", "/nowhere/x"], "/nowhere/x"),
                                (["verify", "--count", "0"], "--count"), (["verify", "--count", "-3"], "--count"),
                                (["verify", "--count", "many"], "--count"), (["verify", "--seed", "x"], "--seed"),
                                (["verify", "--seed", "-1"], "--seed"), (["verify", "--isa", "mmx"], "--isa"),
                                (["verify", "--seed", str(2**64)], str(2**64)), (["verify", "--seed", "+" + str(2**64)], "--seed"), (["verify", "--count", "9" * 20], "9" * 20),
                                (["verify", "--count", str(2**63)], "--count"),
                                (["verify", "--threads", "0"], "--threads"), (["verify", "--threads", "1,2"], "--threads")):
            with self.subTest(arguments=arguments):
                self.assert_fails(2, *arguments, names=[name])

    def test_isa_that_the_machine_lacks(self):
        missing = "neon" if os.uname().machine == "x86_64" else "avx2"
        self.assert_fails(2, "info", "--isa", missing, names=[f"headwise: --isa is {missing}: "])
        self.assert_fails(2, "info", "--isa", "mmx", names=['headwise: --isa is "mmx": '])
        self.assert_fails(2, "info", HEADWISE_ISA=missing, names=["HEADWISE_ISA", missing])

    def test_a_bad_isa_of_the_environment_is_no_fault_of_a_file(self):
        path = self.path("in.safetensors")
        write_safetensors(path, {name: ([1, 1, 1, 1], [1.0]) for name in "qkv"})
        run = ["run", "--input", path, "--output", self.path("out")]
        for arguments in (run, ["compare", "--input", path], ["profile", "--input", path]):
            self.assert_fails(2, *arguments, HEADWISE_ISA="mmx", names=['headwise: HEADWISE_ISA is "mmx": '])
        self.assertEqual(headwise(*run, "--reference", HEADWISE_ISA="mmx").returncode, 0)
        # Which --isa makes irrelevant.
        for arguments in (["info"], run, ["compare", "--case", "matmul:m=8,n=8,k=8"], ["profile", "--case", "matmul:m=8,n=8,k=8", "--repeat", "1"], ["verify", "--count", "1"]):
            with self.subTest(arguments=arguments):
                result = headwise(*arguments, "--isa", "scalar", HEADWISE_ISA="mmx")
                self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_options_that_contradict_each_other(self):
        case = ["--case", "matmul:m=8,n=8,k=8"]
        for suite in ("default", "variants", "all"):
            self.assert_fails(2, "compare", *case, "--suite", suite, names=["--suite", "--case"])
        self.assert_fails(2, "compare", "--input", "/nowhere", "--suite", "real", names=["--suite", "--input"])
        for option, value in (("--isa", "scalar"), ("--threads", "2")):
            self.assert_fails(2, "run", "--input", "/nowhere", "--output", "/nowhere", "--reference", option, value, names=[option, "--reference"])


class Info(Case):
    def test_json(self):
        info = json.loads(headwise("info", "--json").stdout)
        self.assertEqual(info["schema"], "headwise.info/1")
        self.assertIn(info["isa"], info["available_isas"])
        for peaks in (info["fma_peak_gflops"], info["read_bandwidth_gbs"]):
            self.assertEqual(set(peaks), {"1", str(info["logical_cores"])})
            self.assertTrue(all(value > 0 for value in peaks.values()))
        self.assertGreaterEqual(info["caches"]["l1d_bytes"], 4096)

    def test_isa(self):
        info = json.loads(headwise("info", "--json", "--isa", "scalar").stdout)
        self.assertEqual(info["isa"], "scalar")
        self.assertIn("scalar", headwise("info", HEADWISE_ISA="scalar").stdout)


class Run(Case):
    def setUp(self):
        super().setUp()
        numbers = random.Random(1)
        self.shapes = {"q": [2, 4, 5, 8], "k": [2, 2, 7, 8], "v": [2, 2, 7, 6]}
        self.values = {name: [struct.unpack("<f", struct.pack("<f", numbers.gauss(0, 1)))[0] for _ in range(math.prod(shape))]
                       for name, shape in self.shapes.items()}
        self.input, self.output = self.path("in.safetensors"), self.path("out.safetensors")
        write_safetensors(self.input, {name: (self.shapes[name], self.values[name]) for name in self.shapes})

    def expected(self, allowed, scale=1 / math.sqrt(8)):
        return naive(self.values["q"], self.values["k"], self.values["v"], self.shapes["q"], self.shapes["k"], self.shapes["v"], allowed, scale)

    def run_and_compare(self, expected, *arguments, input_file=None, shape=(2, 4, 5, 6)):
        for extra in ([], ["--reference"], ["--threads", "1"], ["--threads", "3"], ["--isa", "scalar"]):
            with self.subTest(extra=extra):
                result = headwise("run", "--input", input_file or self.input, "--output", self.output, *arguments, *extra)
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                tensors = read_safetensors(self.output)
                self.assertEqual(list(tensors), ["out"])
                self.assertEqual(tensors["out"][0], list(shape))
                self.assertEqual(len(tensors["out"][1]), len(expected))
                self.assertLess(max((abs(a - b) for a, b in zip(tensors["out"][1], expected)), default=0), 2e-6)
                self.assertEqual(sorted(os.listdir(self.directory)), sorted({"in.safetensors", "out.safetensors", *self.more_files}))

    more_files = ()

    def test_attention(self):
        self.run_and_compare(self.expected(lambda i: 7))

    def test_causal(self):
        self.run_and_compare(self.expected(lambda i: i + 1), "--causal", "top-left")
        self.run_and_compare(self.expected(lambda i: i + 3), "--causal", "bottom-right")

    def test_scale(self):
        self.run_and_compare(self.expected(lambda i: 7, 0.75), "--scale", "0.75")

    def test_layout(self):
        swapped, self.more_files = self.path("swapped.safetensors"), ("swapped.safetensors",)
        write_safetensors(swapped, {name: ([s[0], s[2], s[1], s[3]], swap_heads_and_length(self.values[name], s)) for name, s in self.shapes.items()})
        expected = swap_heads_and_length(self.expected(lambda i: 7), [2, 4, 5, 6])
        self.run_and_compare(expected, "--layout", "bshd", input_file=swapped, shape=(2, 5, 4, 6))

    def test_empty(self):
        for q, k, out in (([2, 4, 0, 8], [2, 2, 7, 8], [2, 4, 0, 6]), ([2, 4, 5, 8], [2, 2, 0, 8], [2, 4, 5, 6]), ([0, 4, 5, 8], [0, 2, 7, 8], [0, 4, 5, 6])):
            shapes = {"q": q, "k": k, "v": k[:3] + [6]}
            write_safetensors(self.input, {name: (shape, [1.0] * math.prod(shape)) for name, shape in shapes.items()})
            self.run_and_compare([0.0] * math.prod(out), shape=out)

    def test_outputs_do_not_replace_inputs_or_each_other(self):
        content = self.content(self.input)
        symlink, hard_link = self.path("symlink"), self.path("hard-link")
        os.symlink("in.safetensors", symlink)
        os.link(self.input, hard_link)
        for name in (self.input, symlink, hard_link, os.path.join(self.directory, ".", "in.safetensors")):
            self.assert_fails(2, "run", "--input", self.input, "--output", name, names=["--output", "--input", "same file"])
            self.assert_fails(2, "run", "--input", name, "--output", self.input, names=["--output", "--input", "same file"])
            for command, option in (("compare", "--json"), ("compare", "--csv"), ("profile", "--json"), ("profile", "--csv"), ("profile", "--trace"), ("profile", "--html")):
                self.assert_fails(2, command, "--input", self.input, option, name, names=[option, "--input", "same file"])
        for command in ("compare", "profile"):
            self.assert_fails(2, command, "--input", self.input, "--json", self.path("a"), "--csv", os.path.join(self.directory, ".", "a"), names=["--json", "--csv", "same file"])
        os.symlink("not-yet", self.path("dangling"))
        self.assert_fails(2, "profile", "--input", self.input, "--json", self.path("dangling"), "--csv", self.path("not-yet"), names=["--json", "--csv", "same file"])
        self.assertEqual(self.content(self.input), content)

    def test_outputs_do_not_replace_the_files_of_a_suite(self):
        data = self.path("data")
        shutil.copytree(DATA, data)
        os.symlink(os.path.join(data, "smollm2.safetensors"), self.path("link"))
        before = {name: self.content(os.path.join(data, name)) for name in os.listdir(data)}
        for suite in (["--suite", "real"], ["--suite", "default"], []):
            for option in ("--json", "--csv", "--plot"):
                for name in (os.path.join(data, "minilm.safetensors"), os.path.join(data, ".", "smollm2.safetensors"), self.path("link")):
                    self.assert_fails(2, "compare", *suite, "--data", data, option, name, names=[option, "the suite's", "same file"])
        self.assertEqual({name: self.content(os.path.join(data, name)) for name in os.listdir(data)}, before)

    def test_outputs_that_are_not_there_yet_are_one_file_by_any_spelling(self):
        os.mkdir(self.path("c"))
        os.symlink(self.path("a"), self.path("la"))
        os.symlink("c", self.path("lc"))
        spellings = ["a", "./a", "c/../a", "lc/../a", "la", self.path("a"), self.path("c/../a")]
        case, before = ["--case", "matmul:m=8,n=8,k=8"], sorted(os.listdir(self.directory))
        for command, option in (("compare", "--csv"), ("profile", "--html")):
            for first, second in ((x, y) for x in spellings for y in spellings):
                with self.subTest(command=command, first=first, second=second):
                    result = subprocess.run([os.path.abspath(PROGRAM), command, *case, "--json", first, option, second], capture_output=True, text=True, timeout=300,
                                            cwd=self.directory, check=False)
                    self.assertEqual((result.returncode, result.stderr), (2, f"headwise: --json and {option} are the same file: '{second}'\n"))
        self.assertEqual(sorted(os.listdir(self.directory)), before)

    def content(self, path):
        with open(path, "rb") as file:
            return file.read()

    def write_output(self, path):
        result = headwise("run", "--input", self.input, "--output", path)
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_an_output_that_is_a_link_is_followed(self):
        os.mkdir(self.path("folder"))
        os.symlink("folder/second", self.path("first"))
        os.symlink("../real", self.path("folder/second"))
        for _ in ("the target is new", "the target is there"):
            self.write_output(self.path("first"))
            self.assertEqual((os.readlink(self.path("first")), os.readlink(self.path("folder/second"))), ("folder/second", "../real"))
            self.assertFalse(os.path.islink(self.path("real")))
            self.assertEqual(list(read_safetensors(self.path("real"))), ["out"])
        self.assertEqual(sorted(os.listdir(self.directory)), ["first", "folder", "in.safetensors", "real"])
        os.symlink("loop", self.path("loop"))
        self.assert_fails(2, "run", "--input", self.input, "--output", self.path("loop"), names=["loop"])

    def test_an_output_keeps_its_mode(self):
        for mode in (0o600, 0o664, 0o755):
            with open(self.output, "wb"):
                os.chmod(self.output, mode)
            self.write_output(self.output)
            self.assertEqual(os.stat(self.output).st_mode & 0o7777, mode)

    def test_what_a_killed_program_left_behind_does_not_block(self):
        script = 'touch "$2.partial-$$" "$2.partial-$$-0"; exec "$0" run --input "$1" --output "$2"'
        result = subprocess.run(["sh", "-c", script, PROGRAM, self.input, self.output], capture_output=True, text=True, timeout=300, check=False)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(list(read_safetensors(self.output)), ["out"])
        self.assertEqual(len([name for name in os.listdir(self.directory) if ".partial-" in name]), 2)

    def test_the_longest_name_that_a_file_may_have(self):
        self.write_output(self.path("x" * 255))
        self.assert_fails(2, "run", "--input", self.input, "--output", "", names=["cannot write"])

    def test_real_input_agrees_with_the_model(self):
        result = headwise("run", "--input", os.path.join(DATA, "minilm.safetensors"), "--output", self.output)
        self.assertEqual(result.returncode, 0, result.stderr)
        expected = read_safetensors(os.path.join(DATA, "minilm.safetensors"))["expected"]
        out = read_safetensors(self.output)["out"]
        self.assertEqual(out[0], expected[0])
        self.assertLess(max(abs(a - b) for a, b in zip(out[1], expected[1])), 1e-5)

    def assert_refused(self, *names):
        self.assert_fails(2, "run", "--input", self.input, "--output", self.output, names=["in.safetensors", *names])

    def test_shapes_that_do_not_fit(self):
        for change, names in (({"q": [2, 4, 5, 9]}, ["dims"]), ({"k": [2, 3, 7, 8]}, ["heads"]), ({"v": [2, 2, 6, 6]}, ["lengths"]),
                              ({"q": [1, 4, 5, 8]}, ["batches"]), ({"q": [4, 5, 8]}, ["'q'", "4 dimensions"]), ({"v": [2, 2, 7, 577]}, ["'v'", "577"]),
                              ({"q": [2, 0, 5, 8]}, ["heads"]), ({"q": [2, 4, 5, 0], "k": [2, 2, 7, 0]}, ["'q'", "dim 0"])):
            with self.subTest(change=change):
                shapes = {**self.shapes, **change}
                write_safetensors(self.input, {name: (shape, [0.0] * math.prod(shape)) for name, shape in shapes.items()})
                self.assert_refused(*names)

    def test_missing_tensor(self):
        write_safetensors(self.input, {"q": ([1, 1, 1, 1], [0.0]), "k": ([1, 1, 1, 1], [0.0]), "value": ([1, 1, 1, 1], [0.0])})
        self.assert_refused("'v'", "value")

    def test_huge_and_empty_tensors(self):
        """Dimensions whose products overflow, made possible by a zero among them."""
        big = 2**31
        for q, k in (([0, big, big, 1], [0, big, big, 1]), ([1, 2**45, 0, 1], [1, 2**45, 0, 1]), ([big, 1, 0, 512], [big, 1, big, 0])):
            write_safetensors(self.input, {"q": (q, []), "k": (k, []), "v": ([*k[:3], 512 if 0 in k[:3] else 0], [])})
            before = set(os.listdir(self.directory))
            result = headwise("run", "--input", self.input, "--output", self.output)
            self.assertIn(result.returncode, (0, 2), result.stderr)
            if result.returncode == 2:
                self.assertEqual(set(os.listdir(self.directory)), before)
            else:
                os.unlink(self.output)

    def test_damaged_files(self):
        with open(self.input, "rb") as file:
            good = file.read()
        length = struct.unpack("<Q", good[:8])[0]
        damaged = [b"", good[:7], good[:8], good[: 8 + length // 2], good[:-1], good + b"x", b"\xff" * 8 + good[8:], b"PK\x03\x04" * 10,
                   struct.pack("<Q", 2**63) + good[8:], struct.pack("<Q", length - 1) + good[8:], good.replace(b"F32", b"F16", 1),
                   good.replace(b"F32", b"BF16", 1)[:-1], good.replace(b'"k"', b'"q"', 1), good.replace(b"[2, 4, 5, 8]", b"[2, 4, 5,-8]"),
                   struct.pack("<Q", 10**6) + b"[" * 10**6]
        numbers = random.Random(2)
        for _ in range(40):
            at = numbers.randrange(8 + length)
            damaged.append(good[:at] + bytes([numbers.randrange(256)]) + good[at + 1 :])
        for content in damaged:
            with open(self.input, "wb") as file:
                file.write(content)
            if content in damaged[:15]:
                self.assert_refused()
                continue
            result = headwise("run", "--input", self.input, "--output", self.output)
            self.assertIn(result.returncode, (0, 2), result.stderr)
            self.assertEqual(os.path.exists(self.output), result.returncode == 0)
            if result.returncode == 0:
                os.unlink(self.output)

    def test_unwritable_output(self):
        self.assert_fails(2, "run", "--input", self.input, "--output", self.path("no/such/out"), names=["no/such/out"])
        self.assert_fails(2, "run", "--input", self.input, "--output", self.directory, names=["regular file"])

    def test_a_failure_leaves_the_old_output(self):
        with open(self.output, "w", encoding="utf-8") as file:
            file.write("precious")
        self.assert_fails(2, "run", "--input", self.input, "--output", self.output, "--scale", "nan", names=["--scale"])
        self.assert_fails(2, "run", "--input", self.input, "--output", self.output, "--causal", "maybe", names=["--causal", "maybe"])
        self.assert_fails(2, "run", "--input", self.input, "--output", self.output, "--layout", "hbsd", names=["--layout", "hbsd"])
        self.assert_fails(2, "run", "--input", self.input, "--output", self.output, "--threads", "0", names=["--threads"])
        with open(self.output, encoding="utf-8") as file:
            self.assertEqual(file.read(), "precious")


class Compare(Case):
    FIELDS = ("case", "op", "shape", "threads", "seconds", "gflops", "peak_fraction", "bandwidth_fraction", "naive_gflops", "speedup", "max_abs_error",
              "naive_max_abs_error")

    def test_cases(self):
        json_file, csv_file = self.path("figures.json"), self.path("figures.csv")
        result = headwise("compare", "--threads", "1,2", "--json", json_file, "--csv", csv_file, "--case", "attention:hq=4,hkv=2,sq=40,d=32,causal=bottom-right",
                          "--case", "matmul:m=48,n=48,k=48", "--case", "layer:s=16,model=64,heads=4")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        with open(json_file, encoding="utf-8") as file:
            comparison = json.load(file)
        self.assertEqual(comparison["schema"], "headwise.compare/1")
        self.assertEqual(set(comparison["machine"]["fma_peak_gflops"]), {"1", "2"})
        self.assertEqual([(r["op"], r["threads"]) for r in comparison["results"]],
                         [(op, threads) for op in ("attention", "matmul", "layer") for threads in (1, 2)])
        for figures in comparison["results"]:
            self.assertTrue(set(self.FIELDS) <= set(figures))
            self.assertGreater(figures["peak_fraction"], 0)
            self.assertAlmostEqual(figures["gflops"], figures["flops"] / figures["seconds"] / 1e9, delta=1e-6 * figures["gflops"])
            self.assertIn(figures["arguments"].removeprefix("--case ").split(":")[1], result.stdout)
        with open(csv_file, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([row["op"] for row in rows], [r["op"] for r in comparison["results"]])
        self.assertEqual(list(rows[0]), list(self.FIELDS))
        self.assertEqual(sorted(os.listdir(self.directory)), ["figures.csv", "figures.json"])

    def test_more_threads_than_cores_after_fewer(self):
        if json.loads(headwise("info", "--json").stdout)["cpu_quota"]:
            self.skipTest("a control group grants no more threads than cores")
        counts = ["1", "2", str((os.cpu_count() or 1) + 2)]
        for listed in (counts, counts[::-1]):
            table = self.path("figures.csv")
            result = headwise("compare", "--threads", ",".join(listed), "--case", "matmul:m=8,n=8,k=8", "--csv", table)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            with open(table, encoding="utf-8") as file:
                self.assertEqual([row["threads"] for row in csv.DictReader(file)], listed)

    def test_input(self):
        path, json_file = self.path("mine.safetensors"), self.path("figures.json")
        write_safetensors(path, {name: ([1, 2, 9, 16], [math.sin(i) for i in range(288)]) for name in "qkv"})
        result = headwise("compare", "--threads", "1", "--isa", "scalar", "--input", path, "--causal", "bottom-right", "--json", json_file)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        with open(json_file, encoding="utf-8") as file:
            comparison = json.load(file)
        self.assertEqual(comparison["machine"]["isa"], "scalar")
        self.assertEqual(comparison["results"][0]["shape"]["causal"], "bottom-right")
        self.assertEqual(comparison["results"][0]["flops"], 4 * 16 * 2 * 45)
        write_safetensors(path, {name: ([1, 2, 0, 16], []) for name in "qkv"})
        self.assert_fails(2, "compare", "--input", path, names=["mine.safetensors", "empty"])

    def test_bad_content_of_any_file_is_reported_before_anything_is_measured(self):
        good, bad = self.path("good.safetensors"), self.path("bad.safetensors")
        tensors = {name: ([1, 2, 3, 4], [1.0] * 24) for name in "qkv"}
        write_safetensors(good, tensors)
        for change, name in (({"expected": ([1, 2, 2, 4], [1.0] * 16)}, "'expected'"), ({"expected": ([1, 2, 1, 4], [1.0] * 8), "expected_rows": ([1], [3], "I32")}, "'expected_rows'"),
                             ({"mask": ([1, 1, 3, 3], [1] * 9, "U8")}, "'mask'"), ({"v": ([1, 2, 2, 4], [1.0] * 16)}, "lengths")):
            with self.subTest(change=change):
                write_safetensors(bad, {**tensors, **change})
                self.assert_fails(2, "compare", "--input", good, "--input", bad, names=["bad.safetensors", name])
        write_safetensors(self.path("smollm2.safetensors"), tensors)
        write_safetensors(self.path("minilm.safetensors"), {**tensors, "expected": ([1, 2, 2, 4], [1.0] * 16)})
        self.assert_fails(2, "compare", "--data", self.directory, names=["minilm.safetensors", "'expected'"])

    def test_what_was_measured_before_a_failure_is_written(self):
        paths = [self.path("first.safetensors"), self.path("second.safetensors")]
        for path in paths:
            write_safetensors(path, {name: ([1, 2, 3, 4], [1.0] * 24) for name in "qkv"})
        output, table = self.path("figures.json"), self.path("figures.csv")
        code, errors = headwise_losing_a_file(paths[1], "compare", "--threads", "1", "--input", paths[0], "--input", paths[1], "--json", output, "--csv", table)
        self.assertEqual((code, errors.count("\n")), (2, 1))
        self.assertIn("second.safetensors", errors)
        with open(output, encoding="utf-8") as file:
            self.assertEqual([result["case"] for result in json.load(file)["results"]], ["first.safetensors"])
        with open(table, encoding="utf-8") as file:
            self.assertEqual(file.read().count("\n"), 2)

    def test_paths_cannot_steer_the_terminal(self):
        """One name in all that people read: escape, a new line, the direction of writing, a byte that is no UTF-8."""
        name, shown = os.fsdecode(b"odd\x1b[31m\nheadwise: forged\xe2\x80\xae\xff.safetensors"), "odd\\x1b[31m\\x0aheadwise: forged\\u202e\\xff.safetensors"
        path = self.path(name)
        tensors = {name: ([1, 2, 3, 4], [1.0] * 24) for name in "qkv"}
        write_safetensors(path, tensors)
        for arguments in (["run", "--input", path, "--output", path + "2"], ["compare", "--input", path, "--threads", "1"], ["profile", "--input", path, "--threads", "1", "--repeat", "1"]):
            result = headwise(*arguments)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertIn(shown, result.stdout)
            self.assertNotRegex(result.stdout, "[\x1b\u202e]|\nheadwise: forged")
        table = self.path("figures.csv")
        for arguments in (["compare"], ["profile", "--repeat", "1"]):
            self.assertEqual(headwise(*arguments, "--threads", "1", "--input", path, "--csv", table).returncode, 0)
            with open(table, encoding="utf-8", newline="") as file:
                text = file.read()
            self.assertNotRegex(text, "[\x1b\u202e]|\nheadwise: forged")
            self.assertIn(shown, text)
        write_safetensors(path, {**tensors, "surplus": ([1], [1.0]), "v": ([1, 2, 2, 4], [1.0] * 16)})
        for arguments in (["run", "--input", path, "--output", path + "2"], ["compare", "--input", path], ["profile", "--input", path], ["run", "--input", path + "3", "--output", path],
                          ["compare", "--case", path], ["compare", "--suite", path], ["profile", "--case", "matmul:m=8,n=8,k=8", "--schedule", path], ["compare", "--plot", path],
                          ["compare", "--data", path], ["compare", "--isa", path], ["profile", "--case", "matmul:m=8,n=8,k=8", "--json", path + "/x"]):
            with self.subTest(arguments=arguments[:2]):
                result = headwise(*arguments)
                self.assertEqual((result.returncode, result.stderr.count("\n")), (2, 1))
                self.assertIn(shown.removesuffix(".safetensors"), result.stderr)
                self.assertNotRegex(result.stderr, "[\x1b\u202e]")

    def test_real_suite(self):
        result = headwise("compare", "--suite", "real", "--threads", "1", "--data", DATA)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(result.stdout.count("differs from the model's own output by at most"), 2)

    def test_a_python_that_the_system_manages_gets_no_pip(self):
        system = "/usr/bin/python3"
        managed = "import os, sysconfig; print(os.path.exists(os.path.join(sysconfig.get_path('stdlib'), 'EXTERNALLY-MANAGED')))"
        if not os.path.exists(system) or "True" not in subprocess.run([system, "-c", managed], capture_output=True, text=True, check=False).stdout:
            self.skipTest(f"{system} takes what pip installs")
        with open(self.path("matplotlib.py"), "w", encoding="utf-8") as file:
            file.write("raise ImportError('none here')")
        os.mkdir(self.path("linked"))
        os.symlink(system, self.path("linked/python3"))
        subprocess.run([system, "-m", "venv", "--without-pip", self.path("own")], check=True)
        for directory in ("/usr/bin", "/bin", self.path("linked"), self.path("own/bin")):
            with self.subTest(directory=directory):
                error = self.assert_fails(2, "compare", "--case", "matmul:m=8,n=8,k=8", "--plot", self.path("x.png"), PATH=directory, PYTHONPATH=self.directory,
                                          PYTHONDONTWRITEBYTECODE="1").stderr
                expected = f"{directory}/python3 -m pip install matplotlib" if directory.endswith("own/bin") else "apt-get install python3-matplotlib"
                self.assertEqual(error.split('"')[1::2], [expected])

    def test_plot_without_python_or_matplotlib(self):
        plot = self.path("figures.png")
        self.assert_fails(2, "compare", "--plot", plot, names=["python3"], PATH=self.directory)
        python = self.path("python3")
        with open(python, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nexit 1\n")
        os.chmod(python, 0o755)
        for command in ("compare", "profile"):
            arguments = [command, "--case", "matmul:m=8,n=8,k=8", "--plot", plot]
            self.assert_fails(2, *arguments, names=[f"which {python} does not have", f'"{python} -m pip install matplotlib"'], PATH="/nowhere:" + self.directory + ":/usr/bin")
        strange = self.path("it's a folder")
        os.mkdir(strange)
        os.rename(python, os.path.join(strange, "python3"))
        command = self.assert_fails(2, "compare", "--plot", plot, names=["matplotlib"], PATH=strange).stderr.split('"')[1]
        self.assertEqual(shlex.split(command), [os.path.join(strange, "python3"), "-m", "pip", "install", "matplotlib"])

    def test_plot(self):
        if subprocess.run(["python3", "-c", "import matplotlib"], capture_output=True, check=False).returncode != 0:
            self.skipTest("matplotlib is not installed")
        for name, magic in (("figures.png", b"\x89PNG"), ("figures.svg", b"<?xml")):
            result = headwise("compare", "--threads", "1", "--case", "matmul:m=8,n=8,k=8", "--plot", self.path(name))
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            with open(self.path(name), "rb") as file:
                self.assertTrue(file.read().startswith(magic))
        self.assertEqual(sorted(os.listdir(self.directory)), ["figures.png", "figures.svg"])


class Verify(Case):
    CHECKS = ["exp", "exp2", "matmul", "attention", "same", "same"]

    def rows(self, *arguments, **environment):
        """[ISA, check] of each row of the table."""
        result = headwise("verify", *arguments, **environment)
        self.assertEqual((result.returncode, result.stderr), (0, ""), result.stdout)
        return [line.split()[:2] for line in result.stdout.splitlines() if line.endswith("  ok")], result.stdout

    def test_every_isa(self):
        isas = json.loads(headwise("info", "--json").stdout)["available_isas"]
        rows, table = self.rows("--count", "20", "--seed", "3")
        self.assertEqual(rows, [[isa, check] for isa in isas for check in self.CHECKS])
        self.assertEqual(table.count(" 20 random calls"), 2 * len(isas))
        self.assertNotIn("FAILED", table)

    def test_one_isa(self):
        rows, table = self.rows("--count", "1", "--seed", str(2**64 - 1), "--isa", "scalar", "--threads", "3")
        self.assertEqual(rows, [["scalar", check] for check in self.CHECKS])
        self.assertIn("1 and 3 threads", table)
        rows, _ = self.rows("--count", "1", "--isa", "scalar", "--threads", "1")
        self.assertEqual(rows, [["scalar", check] for check in self.CHECKS])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
