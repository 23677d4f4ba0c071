"""What the headwise program does where what it prints or writes is lost: streams_test.py PROGRAM DATA_DIRECTORY. Standard library only."""
import json
import math
import os
import resource
import struct
import subprocess
import sys
import unittest

from headwise_program import PROGRAM, Case, write_safetensors


class Streams(Case):
    """Standard streams that are closed or full, for every command."""

    def setUp(self):
        super().setUp()
        self.input, self.output = self.path("in.safetensors"), self.path("out.safetensors")
        write_safetensors(self.input, {name: ([1, 2, 9, 16], [math.sin(i) for i in range(288)]) for name in "qkv"})
        small = ["--threads", "1", "--isa", "scalar"]
        self.commands = (["--version"], ["--help"], ["run", "--help"], ["info"], ["info", "--json"], ["run", "--input", self.input, "--output", self.output],
                         ["compare", *small, "--case", "matmul:m=8,n=8,k=8"], ["compare", *small, "--input", self.input, "--json", self.output],
                         ["profile", *small, "--repeat", "1", "--input", self.input], ["verify", *small, "--count", "1"])

    def shell(self, redirections, arguments):
        return subprocess.run(["sh", "-c", f'exec "$0" "$@" {redirections}', PROGRAM, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=300, check=False)

    def test_a_standard_output_that_is_full_or_closed(self):
        for redirection in (">/dev/full", ">&-", "<&- >&-"):
            for arguments in self.commands:
                with self.subTest(redirection=redirection, arguments=arguments):
                    result = self.shell(redirection, arguments)
                    self.assertEqual((result.returncode, result.stderr), (2, "headwise: cannot write to the standard output\n"))
                    self.assert_output_is_clean()

    def assert_output_is_clean(self):
        """Nothing that was printed has got into a file."""
        self.assertLessEqual(set(os.listdir(self.directory)), {"in.safetensors", "out.safetensors"})
        if os.path.exists(self.output):
            with open(self.output, "rb") as file:
                content = file.read()
            os.unlink(self.output)
            if content.startswith(b"{"):
                json.loads(content)
            else:
                self.assertEqual(struct.unpack("<Q", content[:8])[0] + 8 + 4 * 288, len(content))

    def test_a_standard_error_that_is_full_or_closed(self):
        write_safetensors(self.input, {**{name: ([1, 1, 1, 1], [0.0]) for name in "qkv"}, "more": ([1], [0.0])})
        for redirection in ("2>/dev/full", "2>&-", "<&- 2>&-"):
            self.assertEqual(self.shell(redirection, ["fly"]).returncode, 2)
            self.assertEqual(self.shell(redirection, ["run", "--input", "/nowhere", "--output", self.output]).returncode, 2)
            result = self.shell(redirection, ["run", "--input", self.input, "--output", self.output])
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertIn("out [1, 1, 1, 1]", result.stdout)
        self.assertEqual(self.shell(">&- 2>&-", ["info"]).returncode, 2)
        self.assertEqual(self.shell(">/dev/full 2>/dev/full", ["--help"]).returncode, 2)

    def test_an_output_that_is_full(self):
        case = ["--case", "matmul:m=8,n=8,k=8"]
        for arguments in (["run", "--input", self.input, "--output"], *(["compare", *case, option] for option in ("--json", "--csv")),
                          *(["profile", *case, option] for option in ("--json", "--csv", "--trace", "--html"))):
            self.assert_fails(2, *arguments, "/dev/full", names=["/dev/full", "regular file"])
        for arguments in (["run", "--input", self.input, "--output", self.output], ["compare", "--threads", "1", *case, "--json", self.output],
                          ["profile", "--threads", "1", "--repeat", "1", *case, "--html", self.output]):
            # A limit to the size of files, whose signal ends a program that does not ignore it.
            result = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=300, check=False,
                                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)))
            self.assertEqual((result.returncode, result.stderr), (2, f"headwise: cannot write '{self.output}': File too large\n"))
            self.assertEqual(os.listdir(self.directory), ["in.safetensors"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
