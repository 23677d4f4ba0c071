"""The headwise program in control groups made for the test: control_group_test.py PROGRAM DATA_DIRECTORY. Needs to be allowed to make some.

With version 1 (a mount for each controller) or version 2 (one mount), whichever the system has.
"""
import json
import math
import os
import struct
import subprocess
import sys
import unittest

from headwise_program import PROGRAM, Case

NAME = f"headwise_test_{os.getpid()}"
V2_MOUNTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


class Group:
    """One with this limit, in which a program can be run; `folder` is None, and `why` is said, where there cannot be one."""

    def __init__(self, controller, v1, v2):
        self.folder, self.why = None, ""
        for parent, settings in ((f"/sys/fs/cgroup/{controller}", v1), *((mount, v2) for mount in V2_MOUNTS)):
            folder = os.path.join(parent, NAME)
            try:
                os.mkdir(folder)
            except OSError as error:
                self.why += f"{error}; "
                continue
            try:
                for file, value in settings:
                    write(os.path.join(folder, file), value)
                self.folder = folder
                return
            except OSError as error:
                self.why += f"{error}; "
                os.rmdir(folder)

    def run(self, *arguments):
        def join():
            write(os.path.join(self.folder, "cgroup.procs"), str(os.getpid()))

        try:
            return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=300, check=False, preexec_fn=join)
        finally:
            os.rmdir(self.folder)


def write_zeros(path, tensors):
    """A safetensors file whose data takes no room on the disk. tensors: name -> shape or (shape, dtype); F32 unless said otherwise."""
    header, end = {}, 0
    for name, shape in tensors.items():
        shape, dtype = shape if isinstance(shape, tuple) else (shape, "F32")
        begin, end = end, end + math.prod(shape) * {"F32": 4, "I32": 4, "I64": 8, "U8": 1}[dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)


class ControlGroups(Case):
    def group(self, *arguments):
        group = Group(*arguments)
        if group.folder is None:
            self.skipTest(f"no control group can be made: {group.why}")
        return group

    def info_with_quota(self, quota):
        result = self.group("cpu", [("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", str(quota))],
                            [("cpu.max", f"{quota} 100000")]).run("info", "--json")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return json.loads(result.stdout)

    def test_a_quota_bounds_the_threads(self):
        info = self.info_with_quota(50000)
        self.assertEqual((info["cpu_quota"], info["usable_cores"]), (0.5, 1))
        self.assertEqual(list(info["fma_peak_gflops"]), ["1"])
        info = self.info_with_quota(150000)
        self.assertEqual((info["cpu_quota"], info["usable_cores"]), (1.5, min(2, info["logical_cores"])))

    def test_more_threads_than_the_quota_feeds_are_refused(self):
        result = self.group("cpu", [("cpu.cfs_quota_us", "50000")], [("cpu.max", "50000 100000")]).run("compare", "--threads", "2")
        self.assertEqual(result.returncode, 2)
        self.assertIn("--threads is 2: a control group grants the time of 0.5 processors", result.stderr)

    def run_in_memory(self, mebibytes, *arguments):
        limit = str(mebibytes << 20)
        return self.group("memory", [("memory.limit_in_bytes", limit)], [("memory.max", limit)]).run(*arguments)

    def test_a_case_beyond_the_memory_limit_is_refused_not_killed(self):
        for case in ("matmul:m=4096,n=4096,k=4096", "attention:hq=1,sq=1,skv=400000,d=64", "layer:s=64,model=2048,heads=16"):
            result = self.run_in_memory(256, "compare", "--threads", "1", "--case", case)
            self.assertEqual(result.returncode, 2, (case, result.stderr))
            self.assertIn("that are free", result.stderr)

    def test_a_suite_is_refused_as_a_whole(self):
        self.assert_refused(256, "compare", "--threads", "1")
        for suite, mebibytes in (("variants", 512), ("values", 64)):
            error = self.assert_refused(mebibytes, "compare", "--threads", "1", "--suite", suite)
            self.assertTrue(error.startswith(f"headwise: --suite {suite}: '"), error)

    def assert_refused(self, mebibytes, *arguments):
        result = self.run_in_memory(mebibytes, *arguments)
        self.assertEqual((result.returncode, result.stdout), (2, ""), (arguments, result.stderr))
        self.assertIn("that are free", result.stderr)
        return result.stderr

    def test_a_file_beyond_the_memory_limit_is_refused_not_killed(self):
        path, output = self.path("in.safetensors"), self.path("out.safetensors")
        long = {name: [1, 32, 2048, 16] for name in "qkv"}
        short = {name: [1, 1, 16, 16] for name in "qkv"}
        for name, tensors in {
            "bias": {**long, "bias": [1, 32, 2048, 2048]},
            "mask": {**long, "mask": ([1, 32, 2048, 2048 * 4], "U8")},
            "mask and bias": {**long, "mask": ([1, 32, 2048, 2048], "U8"), "bias": [1, 10, 2048, 2048]},
            "k_positions": {**short, "k_positions": ([4, 16 << 20], "I32")},
            "cu_seqlens_q": {**short, "cu_seqlens_q": ([24 << 20], "I32")},  # 96 MiB, which become 192
            "q and k": {"q": [1, 1, 16, 512], "k": [1, 1, 60000, 512], "v": [1, 1, 60000, 512]},
        }.items():
            write_zeros(path, tensors)
            for arguments in (["run", "--output", output], ["profile"]):
                with self.subTest(name=name, arguments=arguments):
                    self.assertIn(f"'{path}' takes", self.assert_refused(256, *arguments, "--threads", "1", "--input", path))
        write_zeros(path, {**short, "expected": [1, 1, 1, 16], "expected_rows": ([80 << 20], "I32")})
        self.assertIn(f"'{path}' takes", self.assert_refused(256, "compare", "--threads", "1", "--input", path))
        self.assertEqual(os.listdir(self.directory), ["in.safetensors"])

    def test_results_count_as_memory_of_a_file(self):
        path, output = self.path("in.safetensors"), self.path("out.safetensors")
        write_zeros(path, {"q": [1, 1, 2200000, 1], "k": [1, 1, 16, 1], "v": [1, 1, 16, 24]})
        self.assertIn(f"'{path}' takes", self.assert_refused(256, "run", "--threads", "1", "--input", path, "--output", output))

    def assert_refused_or_well(self, least, most, *arguments):
        """Under no limit from one that is too low to one that is high enough is the program killed."""
        results = [self.run_in_memory(mebibytes, *arguments) for mebibytes in range(least, most + 1, (most - least) // 4)]
        codes = [result.returncode for result in results]
        self.assertEqual(codes, sorted(codes, reverse=True), arguments)
        self.assertEqual((codes[0], codes[-1]), (2, 0), arguments)
        return "".join(result.stderr for result in results)

    def test_tables_of_rope_count_as_memory(self):
        path, output = self.path("in.safetensors"), self.path("out.safetensors")
        run = ["run", "--threads", "1", "--input", path, "--output", output, "--rope"]
        write_zeros(path, {"q": [1, 1, 16, 128], "k": [1, 1, 66000, 128], "v": [1, 1, 66000, 128]})
        self.assertIn("--rope", self.assert_refused_or_well(88, 168, *run))
        self.assertIn("--reference", self.assert_refused(300, *run, "--reference"))
        write_zeros(path, {"q": [1, 1, 1, 512], "k": [1, 1, 1, 512], "v": [1, 1, 1, 512], "k_positions": ([1, 1], "I32")})
        with open(path, "r+b") as file:
            file.seek(-4, os.SEEK_END)
            file.write(struct.pack("<i", 2**31 - 1))
        self.assertIn("--rope", self.assert_refused(64, *run))

    def test_scratch_of_weights_counts_as_memory(self):
        path, output = self.path("in.safetensors"), self.path("out.safetensors")
        run = ["run", "--threads", "1", "--input", path, "--output", output]
        write_zeros(path, {"q": [1, 32, 1, 8], "k": [1, 1, 500000, 8], "v": [1, 1, 500000, 8]})
        self.assertIn("--key-means", self.assert_refused_or_well(110, 270, *run, "--key-means"))
        write_zeros(path, {"q": [64, 1, 1, 8], "k": [64, 1, 1, 8], "v": [64, 1, 1, 8]})
        most = [*run, "--top-k", "1024"]
        most[2] = "64"
        self.assertIn("--top-k", self.assert_refused(200, *most))

    def test_weights_in_f64_count_beside_tensors_in_f64(self):
        path, output = self.path("in.safetensors"), self.path("out.safetensors")
        pool = [60000, 1, 16, 8]  # of which few pages are in use
        write_zeros(path, {"q": [1, 1, 2000, 8], "k": pool, "v": pool, "page_table": ([1, 320], "I32"), "kv_lengths": ([1], "I32")})
        with open(path, "r+b") as file:
            file.seek(-4, os.SEEK_END)
            file.write(struct.pack("<i", 5000))
        error = self.assert_refused(276, "run", "--reference", "--weights", "--threads", "1", "--input", path, "--output", output)
        self.assertIn("--reference: ", error)

    def test_a_file_that_is_not_refused_ends_well(self):
        path, output = self.path("in.safetensors"), self.path("out.safetensors")
        write_zeros(path, {**{name: [1, 16, 1024, 16] for name in "qkv"}, "bias": [1, 16, 1024, 1024], "mask": ([1, 16, 1024, 1024], "U8"),
                           "hidden": [64, 1024, 1024]})  # which nothing reads
        for arguments in (["run", "--output", output], ["profile", "--repeat", "1"]):
            result = self.run_in_memory(256, *arguments, "--threads", "1", "--input", path)
            self.assertEqual(result.returncode, 0, (arguments, result.stderr))

    def test_a_case_that_is_not_refused_ends_well(self):
        for command in ("compare", "profile"):
            result = self.run_in_memory(700, command, "--threads", "1", "--case", "attention:hq=2,sq=1,skv=100000,d=64")
            self.assertEqual(result.returncode, 0, result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
