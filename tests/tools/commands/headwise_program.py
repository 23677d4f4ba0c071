"""The headwise program and its files, for tests: the command line is PROGRAM DATA_DIRECTORY. Standard library only."""
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest

PROGRAM, DATA = sys.argv[1], sys.argv[2]


def headwise(*arguments, **environment):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=300, env={**os.environ, **environment}, check=False)


def headwise_losing_a_file(path, *arguments):
    """Removes the file once its content has been checked: when the peaks of the machine are printed. (exit code, stderr)"""
    with subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if "FMA peak" in line:
                break
        os.unlink(path)
        _, errors = process.communicate(timeout=300)
    return process.returncode, errors


FORMATS = {"F32": "f", "I32": "i", "I64": "q", "U8": "B", "BOOL": "?"}


def write_safetensors(path, tensors):
    """tensors: name -> (shape, flat values) or (shape, flat values, dtype); F32 unless said otherwise."""
    header, data = {}, b""
    for name, (shape, values, *dtype) in tensors.items():
        dtype = dtype[0] if dtype else "F32"
        raw = struct.pack(f"<{len(values)}{FORMATS[dtype]}", *values)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def read_safetensors(path):
    with open(path, "rb") as file:
        content = file.read()
    length = struct.unpack("<Q", content[:8])[0]
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    result = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            count = (end - begin) // struct.calcsize("<" + FORMATS[entry["dtype"]])
            result[name] = (entry["shape"], list(struct.unpack(f"<{count}{FORMATS[entry['dtype']]}", data[begin:end])))
    return result


class Case(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def path(self, name):
        return os.path.join(self.directory, name)

    def assert_fails(self, code, *arguments, names=(), **environment):
        """One line on stderr that has all of `names`, nothing on stdout, and no new file."""
        before = set(os.listdir(self.directory))
        result = headwise(*arguments, **environment)
        self.assertEqual(result.returncode, code, (arguments, result.stderr))
        self.assertEqual(result.stdout, "")
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertTrue(result.stderr.startswith("headwise: "), result.stderr)
        for name in names:
            self.assertIn(name, result.stderr)
        self.assertEqual(set(os.listdir(self.directory)), before)
        return result
