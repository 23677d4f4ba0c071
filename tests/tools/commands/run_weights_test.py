"""What `headwise run` tells of attention weights: run_weights_test.py PROGRAM DATA_DIRECTORY. Standard library only."""
import itertools
import math
import random
import sys
import unittest

from headwise_program import write_safetensors
from run_case import BATCH, HEADS, KEYS, KV_HEADS, QUERIES, VALUE_DIM, RunCase, at


class RunWeights(RunCase):
    def weights_cases(self):
        """(tensors, arguments), all with the shapes of the plain input."""
        generator = random.Random(8)
        mask = [BATCH, 1, QUERIES, KEYS], [generator.choice((0, 1)) for _ in range(BATCH * QUERIES * KEYS)], "BOOL"
        return [(self.plain, []), (self.plain, ["--causal", "bottom-right", "--rope", "--softcap", "1.5"]), ({**self.plain, "mask": mask}, ["--window", "4,1"]),
                ({**self.plain, "kv_lengths": ([BATCH], [3, 6], "I32"), "q_lengths": ([BATCH], [4, 2], "I32")}, [])]

    def test_weights_sum_to_one_and_give_out(self):
        for tensors, arguments in self.weights_cases():
            for extra in ([], ["--threads", "1"], ["--isa", "scalar"], ["--reference"]):
                with self.subTest(arguments=arguments, extra=extra):
                    found = self.run_on(tensors, "--weights", *arguments, *extra)
                    self.assertEqual(list(found), ["out", "weights"])
                    self.assertEqual(found["weights"][0], [BATCH, HEADS, QUERIES, KEYS])
                    for b, h, i in itertools.product(range(BATCH), range(HEADS), range(QUERIES)):
                        row, out = at(found["weights"], b, h, i), at(found["out"], b, h, i)
                        self.assertTrue(abs(sum(row) - 1) < 1e-5 or not any(row + out), row)
                        self.assert_close([sum(w * at(tensors["v"], b, h * KV_HEADS // HEADS, j, d) for j, w in enumerate(row)) for d in range(VALUE_DIM)], out)

    def test_weights_are_those_of_the_reference(self):
        choice = ["--heads", "1,3", "--queries", "0,3,4"]
        for tensors, arguments in self.weights_cases():
            for chosen in ([], choice):
                for layout in ("bhsd", "bshd"):
                    with self.subTest(arguments=arguments, chosen=chosen, layout=layout):
                        swapped = {name: self.swapped(t) if layout == "bshd" and name in "qkv" else t for name, t in tensors.items()}
                        found, expected = (self.run_on(swapped, "--weights", "--layout", layout, *arguments, *chosen, *extra)["weights"] for extra in ([], ["--reference"]))
                        self.assertEqual(found[0], [BATCH, 2, 3, KEYS] if chosen else [BATCH, HEADS, QUERIES, KEYS])
                        self.assertEqual(found[0], expected[0])
                        self.assert_close(found[1], expected[1])

    def swapped(self, tensor):
        """Heads and lengths exchanged."""
        batch, heads, length, dim = tensor[0]
        return [batch, length, heads, dim], [x for b in range(batch) for i in range(length) for h in range(heads) for x in at(tensor, b, h, i)]

    def test_largest_weights(self):
        for tensors, arguments in self.weights_cases():
            for k in (1, 3, KEYS, KEYS + 2):
                with self.subTest(arguments=arguments, k=k):
                    found = self.run_on(tensors, "--top-k", str(k), "--weights", "--lse", *arguments)
                    self.assertEqual(list(found), ["out", "log_sum_exp", "weights", "top_weights", "top_keys"])
                    self.assertEqual((found["top_weights"][0], found["top_keys"][0]), ([BATCH, HEADS, QUERIES, k],) * 2)
                    for place in itertools.product(range(BATCH), range(HEADS), range(QUERIES)):
                        best = sorted((-w, j) for j, w in enumerate(at(found["weights"], *place)) if w > 0)[:k]
                        missing = k - len(best)
                        self.assertEqual(at(found["top_weights"], *place), [-w for w, _ in best] + missing * [0])
                        self.assertEqual(at(found["top_keys"], *place), [j for _, j in best] + missing * [-1])

    def test_key_means(self):
        for tensors, arguments in self.weights_cases():
            for queries in (range(QUERIES), (1, 3)):
                with self.subTest(arguments=arguments, queries=queries):
                    found = self.run_on(tensors, "--key-means", "--weights", "--queries", ",".join(map(str, queries)), *arguments)
                    self.assertEqual((list(found), found["key_means"][0]), (["out", "weights", "key_means"], [BATCH, HEADS, KEYS]))
                    for b, h in itertools.product(range(BATCH), range(HEADS)):
                        there = [n for n, i in enumerate(queries) if i < tensors.get("q_lengths", (0, [QUERIES] * BATCH))[1][b]]
                        self.assert_close(at(found["key_means"], b, h), [sum(at(found["weights"], b, h, n, j) for n in there) / len(there) for j in range(KEYS)])

    def test_chosen_heads_and_queries(self):
        asked = ["--weights", "--top-k", "2"]
        for tensors, arguments in self.weights_cases():
            every = self.run_on(tensors, *asked, *arguments)
            for heads, queries in (([0, 3], None), (None, [1, 2, 4]), ([2], [0]), ([0, 1, 2, 3], [0, 1, 2, 3, 4])):
                chosen = (["--heads", ",".join(map(str, heads))] if heads else []) + (["--queries", ",".join(map(str, queries))] if queries else [])
                found = self.run_on(tensors, *asked, *arguments, *chosen)
                self.assertEqual(found["out"], every["out"])
                heads, queries = heads or range(HEADS), queries or range(QUERIES)
                for name in ("weights", "top_weights", "top_keys"):
                    self.assertEqual(found[name][0], [BATCH, len(heads), len(queries), every[name][0][3]])
                    self.assertEqual(found[name][1], [x for b in range(BATCH) for h in heads for i in queries for x in at(every[name], b, h, i)])
            means = self.run_on(tensors, "--key-means", *arguments)["key_means"]
            found = self.run_on(tensors, "--key-means", "--heads", "1,2", *arguments)
            self.assertEqual(list(found), ["out", "key_means"])
            self.assertEqual(found["key_means"], ([BATCH, 2, KEYS], [x for b in range(BATCH) for h in (1, 2) for x in at(means, b, h)]))

    def test_weights_of_packed_sequences(self):
        sequences = self.sequences()
        longest, keys = 6, 70
        for extra in ([], ["--reference"]):
            alone = [self.run_on(s, "--weights", "--causal", "bottom-right", *extra)["weights"] for s in sequences]
            found = self.run_on(self.packed(sequences, "I32", "bhsd"), "--weights", "--causal", "bottom-right", *extra)["weights"]
            self.assertEqual(found[0], [len(sequences), HEADS, longest, keys])
            for (b, one), h, i in itertools.product(enumerate(alone), range(HEADS), range(longest)):
                row = at(one, 0, h, i) if i < one[0][2] else []
                self.assert_close(at(found, b, h, i), row + [0.0] * (keys - len(row)))

    def test_weights_of_paged_keys(self):
        lengths = [BATCH], [KEYS, 2], "I32"
        alone = self.run_on({**self.plain, "kv_lengths": lengths}, "--weights", "--top-k", "2", "--key-means")
        pool = {name: ([BATCH + 1, *shape[1:]], [math.nan] * math.prod(shape[1:]) + values) for name, (shape, values) in self.plain.items() if name in "kv"}
        paged = {"q": self.plain["q"], **pool, "kv_lengths": lengths, "page_table": ([BATCH, 1], [1, 2], "I32")}
        self.assertEqual(self.run_on(paged, "--weights", "--top-k", "2", "--key-means"), alone)
        self.assert_close(self.run_on(paged, "--weights", "--reference")["weights"][1], alone["weights"][1])

    def test_weights_of_nothing(self):
        for shape, key_shape in (([2, 2, 0, 4], [2, 1, 3, 4]), ([0, 2, 3, 4], [0, 1, 5, 4]), ([1, 2, 3, 4], [1, 1, 0, 4])):
            tensors = {"q": (shape, [1.0] * math.prod(shape)), "k": (key_shape, [1.0] * math.prod(key_shape)), "v": (key_shape, [1.0] * math.prod(key_shape))}
            found = self.run_on(tensors, "--weights", "--top-k", "2", "--key-means")
            rows = math.prod(shape[:3])
            self.assertEqual(found["weights"], ([*shape[:3], key_shape[2]], []))
            self.assertEqual(found["top_weights"], ([*shape[:3], 2], [0.0] * rows * 2))
            self.assertEqual(found["top_keys"], ([*shape[:3], 2], [-1] * rows * 2))
            self.assertEqual(found["key_means"], ([*shape[:2], key_shape[2]], [0.0] * (shape[0] * shape[1] * key_shape[2])))
            self.assertEqual(self.run_on(tensors, "--weights", "--reference")["weights"], found["weights"])

    def test_bad_weights_options(self):
        write_safetensors(self.input, self.plain)
        cases = [["--top-k", k] for k in ("0", "-1", "1025", "x", "99999999999999999999")] + [["--heads", "0"], ["--queries", "0"], ["--heads", "0", "--lse"]]
        cases += [[option, text, "--weights"] for option in ("--heads", "--queries") for text in ("", "x", "-1", "0,", ",0", "0,,1", "0;1", "1,0", "1,1", "0,5", "5", "2147483648")]
        cases += [["--top-k", "2", "--reference"], ["--key-means", "--reference"]]
        for arguments in cases:
            with self.subTest(arguments=arguments):
                self.assert_fails(2, "run", "--input", self.input, "--output", self.output, *arguments, names=[arguments[0]])

    def test_weights_that_do_not_fit_into_memory(self):
        length = 2**21  # 2^42 weights
        write_safetensors(self.input, {name: ([1, 1, length, 1], [0.0] * length) for name in "qkv"})
        for extra in ([], ["--reference"]):
            self.assert_fails(2, "run", "--input", self.input, "--output", self.output, "--weights", *extra, names=["--weights", "GB", "--queries"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
