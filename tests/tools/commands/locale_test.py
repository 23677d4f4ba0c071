"""The headwise program in a German locale, where others write 1.5 as "1,5": locale_test.py PROGRAM DATA_DIRECTORY. Needs LOCPATH."""
import os
import sys
import unittest

from headwise_program import headwise, read_safetensors
from run_case import RunCase

GERMAN = {"LC_ALL": "de_DE.UTF-8"}


class Locale(RunCase):
    def test_numbers_are_read_and_written_with_a_point(self):
        self.run_on(self.plain)
        arguments = ("run", "--input", self.input, "--output", self.output, "--scale", "0.25", "--softcap", "1.5", "--rope", "dims=4,base=100.5",
                     "--causal", "bottom-right", "--explain")
        said, written = [], []
        for environment in ({"LC_ALL": "C"}, GERMAN):
            result = headwise(*arguments, **environment)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertRegex(result.stdout, r"[0-9]\.[0-9]+ ms\)\n")
            said.append(result.stdout.split("\n", 1)[1])  # the first line has the time
            written.append(read_safetensors(self.output))
        self.assertRegex(said[0], r"[0-9]\.[0-9]+ GFLOP")
        self.assertEqual(said[0], said[1])
        self.assertEqual(written[0], written[1])

    def test_a_comma_is_no_point(self):
        self.run_on(self.plain)
        for option in ("--scale", "--softcap"):
            self.assert_fails(2, "run", "--input", self.input, "--output", self.output, option, "1,5", names=(option,), **GERMAN)

    def test_errors_name_the_number(self):
        self.run_on(self.plain)
        self.assert_fails(2, "run", "--input", self.input, "--output", self.output, "--softcap", "-1.5", names=("-1.5",), **GERMAN)


if __name__ == "__main__":
    if not os.path.exists(os.path.join(os.environ["LOCPATH"], "de_DE.UTF-8", "LC_NUMERIC")):
        print("skipped: the system has no locale de_DE.UTF-8")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1])
