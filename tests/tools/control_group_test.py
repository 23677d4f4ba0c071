"""The headwise program in control groups made for the test: control_group_test.py PROGRAM DATA_DIRECTORY. Needs to be allowed to make some.

With version 1 (a mount for each controller) or version 2 (one mount), whichever the system has.
"""
import json
import os
import subprocess
import sys
import unittest

from headwise_program import PROGRAM

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


class ControlGroups(unittest.TestCase):
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

    def test_the_suite_is_refused_as_a_whole(self):
        result = self.run_in_memory(256, "compare", "--threads", "1")
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn("that are free", result.stderr)

    def test_a_case_that_is_not_refused_ends_well(self):
        for command in ("compare", "profile"):
            result = self.run_in_memory(700, command, "--threads", "1", "--case", "attention:hq=2,sq=1,skv=100000,d=64")
            self.assertEqual(result.returncode, 0, result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
