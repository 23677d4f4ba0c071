"""Small inputs of `headwise run` and what it writes, for tests. Standard library only."""
import math
import random
import struct

from headwise_program import Case, headwise, read_safetensors, write_safetensors

BATCH, HEADS, KV_HEADS, QUERIES, KEYS, DIM, VALUE_DIM = 2, 4, 2, 5, 7, 8, 6
SCALE = 1 / math.sqrt(DIM)
OFFSET = KEYS - QUERIES  # between the index of a query and its position


def numbers(seed, *shape):
    """Normally distributed, exact in f32."""
    generator = random.Random(seed)
    return list(shape), [struct.unpack("<f", struct.pack("<f", generator.gauss(0, 1)))[0] for _ in range(math.prod(shape))]


def at(tensor, *index):
    """An element, or the row that begins there; dimensions of 1 are repeated."""
    shape, values = tensor[:2]
    position = 0
    for extent, i in zip(shape, index):
        position = position * extent + (0 if extent == 1 else i)
    size = math.prod(shape[len(index) :])
    return values[position * size :][:size] if len(index) < len(shape) else values[position]


class RunCase(Case):
    def setUp(self):
        super().setUp()
        self.input, self.output = self.path("in.safetensors"), self.path("out.safetensors")
        self.plain = {"q": numbers(1, BATCH, HEADS, QUERIES, DIM), "k": numbers(2, BATCH, KV_HEADS, KEYS, DIM),
                      "v": numbers(3, BATCH, KV_HEADS, KEYS, VALUE_DIM)}

    def run_on(self, tensors, *arguments):
        """What it writes: name -> (shape, values)."""
        write_safetensors(self.input, tensors)
        result = headwise("run", "--input", self.input, "--output", self.output, *arguments)
        self.assertEqual((result.returncode, result.stderr), (0, ""), arguments)
        return read_safetensors(self.output)

    def assert_close(self, found, expected):
        self.assertEqual(len(found), len(expected))
        for a, b in zip(found, expected):
            self.assertTrue(a == b or abs(a - b) < 3e-6, (a, b))

    def sequences(self):
        """Of other lengths, one without queries: a list of plain inputs."""
        return [{"q": numbers(10 + n, 1, HEADS, queries, DIM), "k": numbers(20 + n, 1, KV_HEADS, keys, DIM), "v": numbers(30 + n, 1, KV_HEADS, keys, VALUE_DIM)}
                for n, (queries, keys) in enumerate(((3, 5), (0, 2), (6, 6), (1, 70)))]

    def packed(self, sequences, dtype, layout):
        tensors = {}
        for name in "qkv":
            _, heads, _, dim = sequences[0][name][0]
            total = sum(s[name][0][2] for s in sequences)
            rows = {(h, t): row for h in range(heads) for t, row in enumerate(at(s[name], 0, h, i) for s in sequences for i in range(s[name][0][2]))}
            order = sorted(rows) if layout == "bhsd" else sorted(rows, key=lambda key: (key[1], key[0]))
            tensors[name] = [1, heads, total, dim] if layout == "bhsd" else [1, total, heads, dim], [x for key in order for x in rows[key]]
        for name, of in (("cu_seqlens_q", "q"), ("cu_seqlens_k", "k")):
            tensors[name] = [len(sequences) + 1], [sum(s[of][0][2] for s in sequences[:n]) for n in range(len(sequences) + 1)], dtype
        return tensors
