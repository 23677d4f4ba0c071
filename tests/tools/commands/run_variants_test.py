"""What `headwise run` does beyond plain attention: run_variants_test.py PROGRAM DATA_DIRECTORY. Standard library only."""
import math
import os
import random
import struct
import sys
import unittest

from headwise_program import headwise, read_safetensors, write_safetensors
from run_case import BATCH, DIM, HEADS, KEYS, KV_HEADS, OFFSET, QUERIES, SCALE, VALUE_DIM, RunCase, at, numbers


def dot(x, y):
    return sum(a * b for a, b in zip(x, y))


def turned(row, position, dims=DIM, base=10000.0, interleaved=False):
    """RoPE by the formula."""
    result = list(row)
    for i in range(dims // 2):
        a, b = (2 * i, 2 * i + 1) if interleaved else (i, i + dims // 2)
        angle = position * base ** (-2 * i / dims)
        result[a] = row[a] * math.cos(angle) - row[b] * math.sin(angle)
        result[b] = row[b] * math.cos(angle) + row[a] * math.sin(angle)
    return result


def textbook(tensors, logit, sink=lambda h: -math.inf):
    """(out, log_sum_exp) in f64. logit(b, h, i, j, query row, key row) is None where the key is not seen."""
    q, k, v = tensors["q"], tensors["k"], tensors["v"]
    (batch, heads, queries, _), (_, kv_heads, keys, value_dim) = q[0], v[0]
    out, log_sum_exp = [], []
    for b in range(batch):
        for h in range(heads):
            g = h // (heads // kv_heads)
            for i in range(queries):
                logits = {j: logit(b, h, i, j, at(q, b, h, i), at(k, b, g, j)) for j in range(keys)}
                weights = {j: math.exp(x) for j, x in logits.items() if x is not None}
                total = sum(weights.values()) + math.exp(sink(h))
                out += [sum(w * at(v, b, g, j, d) for j, w in weights.items()) / (total or 1) for d in range(value_dim)]
                log_sum_exp.append(math.log(total) if total > 0 else -math.inf)
    return out, log_sum_exp


class RunVariants(RunCase):
    def assert_computes(self, expected, tensors, *arguments):
        out, log_sum_exp = expected
        for extra in ([], ["--threads", "1"], ["--isa", "scalar"], ["--reference"]):
            with self.subTest(arguments=arguments, extra=extra):
                found = self.run_on({**self.plain, **tensors}, "--lse", *arguments, *extra)
                self.assertEqual(list(found), ["out", "log_sum_exp"])
                self.assertEqual(found["out"][0], [BATCH, HEADS, QUERIES, VALUE_DIM])
                self.assertEqual(found["log_sum_exp"][0], [BATCH, HEADS, QUERIES])
                self.assert_close(found["out"][1], out)
                self.assert_close(found["log_sum_exp"][1], log_sum_exp)

    def assert_logits(self, logit, tensors, *arguments, **more):
        self.assert_computes(textbook(self.plain, logit, **more), tensors, *arguments)

    # ---- Options

    def test_log_sum_exp(self):
        self.assert_logits(lambda b, h, i, j, q, k: SCALE * dot(q, k), {})
        self.assertNotIn("log_sum_exp", self.run_on(self.plain))

    def test_window_and_alignment(self):
        for window, left, right in (("1,0", 1, 0), ("-1,1", 99, 1), ("2,-1", 2, 99), ("0,0", 0, 0)):
            for alignment, offset in ((["--alignment", "top-left"], 0), (["--alignment", "bottom-right"], OFFSET), ([], OFFSET), (["--causal", "top-left"], 0)):
                def logit(b, h, i, j, q, k, p=offset, causal="--causal" in alignment):
                    seen = i + p - left <= j <= i + p + right and (not causal or j <= i + p)
                    return SCALE * dot(q, k) if seen else None
                self.assert_logits(logit, {}, "--window", window, *alignment)

    def test_softcap(self):
        self.assert_logits(lambda b, h, i, j, q, k: 1.5 * math.tanh(SCALE * dot(q, k) / 1.5), {}, "--softcap", "1.5")

    def test_rope(self):
        for text, how in (("dims=8", {}), ("", {}), ("dims=4,base=100,pairs=interleaved", {"dims": 4, "base": 100, "interleaved": True})):
            def logit(b, h, i, j, q, k, how=how):
                return SCALE * dot(turned(q, i + OFFSET, **how), turned(k, j, **how))
            self.assert_logits(logit, {}, *(["--rope", text] if text else ["--rope"]))

    def test_positions(self):
        q_positions, k_positions = ([1, QUERIES], [3, 1, 4, -1, 5], "I32"), ([BATCH, KEYS], [9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 40], "I32")
        def logit(b, h, i, j, q, k):
            return SCALE * dot(turned(q, at(q_positions, b, i)), turned(k, at(k_positions, b, j)))
        self.assert_logits(logit, {"q_positions": q_positions, "k_positions": k_positions}, "--rope", "pairs=half-split")

    def test_positions_that_are_too_far(self):
        for name, length in (("q_positions", QUERIES), ("k_positions", KEYS)):
            for values, code in (([-(2**31)] * length, 2), ([1 - 2**31, 2**31 - 1] + [0] * (length - 2), 0)):
                write_safetensors(self.input, {**self.plain, name: ([1, length], values, "I32")})
                result = headwise("run", "--input", self.input, "--output", self.output, "--rope")
                expected = f"headwise: '{self.input}': tensor '{name}' has the number -2147483648: expected -2147483647 to 2147483647\n"
                self.assertEqual((result.returncode, result.stderr), (code, expected if code else ""))

    def test_explain(self):
        write_safetensors(self.input, {**self.plain, "sinks": ([HEADS], [0.0] * HEADS)})
        result = headwise("run", "--input", self.input, "--output", self.output, "--explain", "--isa", "scalar", "--window", "2,2")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        for part in ("out [2, 4, 5, 6]", "kernel", "scalar", "fused: ", "window", "workspace"):
            self.assertIn(part, result.stdout)

    def test_bad_options(self):
        write_safetensors(self.input, self.plain)
        for arguments in (["--alignment", "left"], ["--alignment", "top-left", "--causal", "bottom-right"], ["--window", "1"], ["--window", "1,2,3"],
                          ["--window", "-2,0"], ["--window", "x,1"], ["--softcap", "-1"], ["--softcap", "nan"], ["--softcap", "1e39"],
                          ["--rope", "dims=3"], ["--rope", "dims=10"], ["--rope", "base=0"], ["--rope", "base=-1"], ["--rope", "pairs=all"],
                          ["--rope", "turns=2"], ["--rope", "dims"], ["--explain", "--reference"]):
            with self.subTest(arguments=arguments):
                self.assert_fails(2, "run", "--input", self.input, "--output", self.output, *arguments, names=[arguments[0]])

    # ---- Tensors of the file

    def test_mask(self):
        generator = random.Random(4)
        for dtype, shape in (("BOOL", [BATCH, HEADS, QUERIES, KEYS]), ("U8", [1, 1, QUERIES, KEYS]), ("BOOL", [BATCH, 1, 1, KEYS]), ("U8", [1, HEADS, QUERIES, KEYS])):
            mask = shape, [generator.choice((0, 1, 1) if dtype == "BOOL" else (0, 1, 2, 128)) for _ in range(math.prod(shape))], dtype
            self.assert_logits(lambda b, h, i, j, q, k, m=mask: SCALE * dot(q, k) if at(m, b, h, i, j) else None, {"mask": mask})

    def test_a_mask_of_a_triangle_is_causal(self):
        triangle = [1, 1, QUERIES, KEYS], [j <= i + OFFSET for i in range(QUERIES) for j in range(KEYS)], "BOOL"
        masked = self.run_on({**self.plain, "mask": triangle}, "--lse")
        causal = self.run_on(self.plain, "--lse", "--causal", "bottom-right")
        for name, (_, values) in causal.items():
            self.assert_close(masked[name][1], values)

    def test_bias(self):
        for shape in ([BATCH, HEADS, QUERIES, KEYS], [1, HEADS, 1, KEYS], [BATCH, 1, QUERIES, KEYS]):
            bias = numbers(5, *shape)
            bias[1][3] = -math.inf
            self.assert_logits(lambda b, h, i, j, q, k, m=bias: None if at(m, b, h, i, j) < -9e9 else SCALE * dot(q, k) + at(m, b, h, i, j), {"bias": bias})

    def test_numbers_of_heads(self):
        slopes, scales, sinks = ([HEADS], [0.5, 0.25, -0.125, 0.0]), ([HEADS], [0.5, -0.25, 1.0, 0.0]), ([HEADS], [0.5, -1.0, 2.0, -math.inf])
        self.assert_logits(lambda b, h, i, j, q, k: SCALE * dot(q, k) + slopes[1][h] * (j - i - OFFSET), {"alibi_slopes": slopes})
        self.assert_logits(lambda b, h, i, j, q, k: scales[1][h] * dot(q, k), {"scales": scales})
        self.assert_logits(lambda b, h, i, j, q, k: SCALE * dot(q, k), {"sinks": sinks}, sink=lambda h: sinks[1][h])

    def test_lengths(self):
        queries, keys = ([BATCH], [4, 0], "I32"), ([BATCH], [3, 6], "I32")
        def logit(b, h, i, j, q, k):
            return SCALE * dot(q, k) if i < queries[1][b] and j < keys[1][b] else None
        self.assert_logits(logit, {"q_lengths": queries, "kv_lengths": keys})

    def test_prefixes(self):
        prefixes = [BATCH], [0, 5], "I32"
        def logit(b, h, i, j, q, k):
            return SCALE * dot(q, k) if j <= i + OFFSET or j < prefixes[1][b] else None
        self.assert_logits(logit, {"prefix_lengths": prefixes}, "--causal", "bottom-right")

    def test_tree(self):
        parents = [-1, 0, 0, 1, -1]
        ancestors = {0: [0], 1: [0, 1], 2: [0, 2], 3: [0, 1, 3], 4: [4]}
        def logit(b, h, i, j, q, k):
            return SCALE * dot(q, k) if j < OFFSET or j - OFFSET in ancestors[i] else None
        self.assert_logits(logit, {"tree_parents": ([1, QUERIES], parents, "I32")})
        self.assert_logits(logit, {"tree_parents": ([BATCH, QUERIES], 2 * parents, "I32")})

    # ---- Sequences that lie in other ways

    def test_packed_sequences_are_as_if_alone(self):
        sequences = self.sequences()
        alone = [self.run_on(s, "--lse", "--causal", "bottom-right") for s in sequences]
        for dtype, layout, extra in (("I32", "bhsd", []), ("I64", "bhsd", []), ("I32", "bshd", []), ("I64", "bhsd", ["--reference"])):
            with self.subTest(dtype=dtype, layout=layout, extra=extra):
                together = self.run_on(self.packed(sequences, dtype, layout), "--lse", "--causal", "bottom-right", "--layout", layout, *extra)
                self.assertEqual(together["out"][0], [1, HEADS, 10, VALUE_DIM] if layout == "bhsd" else [1, 10, HEADS, VALUE_DIM])
                self.assertEqual(together["log_sum_exp"][0], [1, HEADS, 10])
                for h in range(HEADS):
                    tokens = [(result, i) for s, result in zip(sequences, alone) for i in range(s["q"][0][2])]
                    for t, (result, i) in enumerate(tokens):
                        self.assert_close(at(together["out"], *((0, h, t) if layout == "bhsd" else (0, t, h))), at(result["out"], 0, h, i))
                        self.assert_close([at(together["log_sum_exp"], 0, h, t)], [at(result["log_sum_exp"], 0, h, i)])

    def test_paged_keys_are_as_if_in_one_piece(self):
        page_size, table, lengths = 3, [4, 1, 0, 2, -7, 99], ([BATCH], [7, 2], "I32")  # the second sequence has one page
        expected = {extra: self.run_on({**self.plain, "kv_lengths": lengths}, "--lse", "--rope", *extra) for extra in ((), ("--reference",))}
        tensors = {"q": self.plain["q"], "kv_lengths": lengths, "page_table": ([BATCH, 3], table, "I32")}
        for name in "kv":
            dim = self.plain[name][0][3]
            pool = [math.nan] * (5 * KV_HEADS * page_size * dim)
            for b in range(BATCH):
                for h in range(KV_HEADS):
                    for j in range(lengths[1][b]):
                        begin = ((table[b * 3 + j // page_size] * KV_HEADS + h) * page_size + j % page_size) * dim
                        pool[begin : begin + dim] = at(self.plain[name], b, h, j)
            tensors[name] = [5, KV_HEADS, page_size, dim], pool
        for extra, results in expected.items():
            found = self.run_on(tensors, "--lse", "--rope", *extra)
            for name, (shape, values) in results.items():
                self.assertEqual(found[name][0], shape)
                self.assert_close(found[name][1], values)
        result = headwise("run", "--input", self.input, "--output", self.output, "--explain")
        self.assertIn("paged", result.stdout)

    def test_shared_keys_are_as_if_each_sequence_had_its_own(self):
        pages = {"k": numbers(6, 4, KV_HEADS, 3, DIM), "v": numbers(7, 4, KV_HEADS, 3, VALUE_DIM), "kv_lengths": ([BATCH], [8, 9], "I32")}
        tensors = {"q": self.plain["q"], **pages, "page_table": ([BATCH, 3], [2, 0, 1, 2, 0, 3], "I32")}
        for more in ([], ["--rope", "--softcap", "2"], ["--causal", "bottom-right"]):
            expected = self.run_on(tensors, "--lse", *more)
            for extra in (["--shared-keys", "3"], ["--shared-keys", "6"], ["--shared-keys", "6", "--reference"]):
                found = self.run_on(tensors, "--lse", *more, *extra)
                for name in ("out", "log_sum_exp"):
                    self.assert_close(found[name][1], expected[name][1])
        result = headwise("run", "--input", self.input, "--output", self.output, "--shared-keys", "3", "--explain")
        self.assertIn("shared prefix", result.stdout)
        for wrong in ("4", "9", "-3"):
            self.assert_fails(2, "run", "--input", self.input, "--output", self.output, "--shared-keys", wrong, names=["in.safetensors", "shared_keys"])

    # ---- What is refused

    def test_bad_tensors(self):
        cases = []
        for name, good in (("mask", ([1, 1, 1, KEYS], "U8")), ("bias", ([1, 1, QUERIES, KEYS], "F32")), ("alibi_slopes", ([HEADS], "F32")),
                           ("sinks", ([HEADS], "F32")), ("scales", ([HEADS], "F32")), ("kv_lengths", ([BATCH], "I32")), ("q_lengths", ([BATCH], "I32")),
                           ("prefix_lengths", ([BATCH], "I32")), ("tree_parents", ([1, QUERIES], "I32")), ("page_table", ([BATCH, 1], "I32")),
                           ("q_positions", ([1, QUERIES], "I32")), ("k_positions", ([1, KEYS], "I32"))):
            shape, dtype = good
            cases += [{name: (shape, "I64")}, {name: (shape, "F32" if dtype != "F32" else "I32")}, {name: ([1, *shape], dtype)}, {name: ([], dtype)},
                      {name: ([*shape[:-1], shape[-1] - 1], dtype)}, {name: ([3, *shape[1:]], dtype)}, {name: ([0] * len(shape), dtype)}]
            cases.append({name: ([2**40] * (len(shape) - 1) + [0], dtype)})
        for case in cases:
            name, (shape, dtype) = next(iter(case.items()))
            with self.subTest(name=name, shape=shape, dtype=dtype):
                if 2**40 in shape and len(shape) == 4:
                    shape = [2**20, 2**20, 2**21, 0]  # 2^61: within the header's limits
                tensors = {**self.plain, "kv_lengths": ([BATCH], [1] * BATCH, "I32")} if name == "page_table" else dict(self.plain)
                write_safetensors(self.input, {**tensors, name: (shape, [0] * math.prod(shape), dtype)})
                rope = ["--rope", "dims=4"] if name.endswith("positions") else []
                self.assert_fails(2, "run", "--input", self.input, "--output", self.output, *rope, names=["in.safetensors", name])

    def test_bad_values(self):
        pages = {"k": numbers(6, 3, KV_HEADS, 2, DIM), "v": numbers(7, 3, KV_HEADS, 2, VALUE_DIM), "kv_lengths": ([BATCH], [2, 4], "I32")}
        packed = {name: ([1, *self.plain[name][0][1:]], self.plain[name][1][: math.prod(self.plain[name][0][1:])]) for name in "qkv"}
        sums = {**packed, "cu_seqlens_q": ([3], [0, 2, QUERIES], "I64"), "cu_seqlens_k": ([3], [0, 3, KEYS], "I64")}
        bad_sums = [[0, 2, QUERIES + 1], [1, 2, QUERIES], [0, QUERIES + 1, QUERIES], [-(2**63), 2**63 - 1, QUERIES], [0, -1, QUERIES]]
        cases = [("kv_lengths", {"kv_lengths": ([BATCH], [1, KEYS + 1], "I32")}), ("kv_lengths", {"kv_lengths": ([BATCH], [1, -1], "I32")}),
                 ("q_lengths", {"q_lengths": ([BATCH], [QUERIES + 1, 0], "I32")}), ("prefix_lengths", {"prefix_lengths": ([BATCH], [-1, 0], "I32")}),
                 ("scales", {"scales": ([HEADS], [1, 1, math.nan, 1])}), ("tree_parents", {"tree_parents": ([1, QUERIES], [0, -1, -1, -1, -1], "I32")}),
                 ("page_table", {"page_table": ([BATCH, 2], [0] * 4, "I32")}), ("page_table", {**pages, "page_table": ([BATCH, 2], [0, 1, 2, 3], "I32")}),
                 ("page_table", {**pages, "page_table": ([BATCH, 2], [-1, 1, 2, 3], "I32")}), ("kv_lengths", {**pages, "page_table": ([BATCH, 1], [0, 1], "I32")}),
                 ("kv_lengths", {**pages, "page_table": ([BATCH, 2], [0] * 4, "I32"), "kv_lengths": ([BATCH], [4, 2**31 - 1], "I32")}),
                 ("cu_seqlens_q", {**packed, "cu_seqlens_q": sums["cu_seqlens_q"]}), ("cu_seqlens_q", {**packed, "cu_seqlens_k": sums["cu_seqlens_k"]}),
                 ("q_lengths", {**sums, "q_lengths": ([2], [1, 1], "I32")}), ("kv_lengths", {**sums, "kv_lengths": ([2], [1, 1], "I32")}),
                 ("cu_seqlens_k", {**sums, "cu_seqlens_k": ([4], [0, 1, 2, KEYS], "I32")}), ("cu_seqlens_q", {**sums, "cu_seqlens_q": ([0], [], "I32")}),
                 ("cu_seqlens_q", {**self.plain, "cu_seqlens_q": sums["cu_seqlens_q"], "cu_seqlens_k": sums["cu_seqlens_k"]}),
                 ("q_positions", {"q_positions": ([1, QUERIES], [0] * QUERIES, "I32")}), ("k_positions", {"k_positions": ([1, KEYS], [0] * KEYS, "I32")})]
        cases += [("cu_seqlens_q", {**sums, "cu_seqlens_q": ([3], values, "I64")}) for values in bad_sums]
        for name, change in cases:
            for extra in ([], ["--reference"]):
                with self.subTest(name=name, change=change, extra=extra):
                    write_safetensors(self.input, {**self.plain, **change})
                    self.assert_fails(2, "run", "--input", self.input, "--output", self.output, *extra, names=["in.safetensors", name])

    def test_scale_and_scales(self):
        write_safetensors(self.input, {**self.plain, "scales": ([HEADS], [1.0] * HEADS)})
        self.assert_fails(2, "run", "--input", self.input, "--output", self.output, "--scale", "1", names=["in.safetensors", "'scales'", "--scale"])

    def test_no_sequences(self):
        tensors = {"q": ([1, 2, 0, 4], []), "k": ([1, 1, 0, 4], []), "v": ([1, 1, 0, 4], []), "cu_seqlens_q": ([1], [0], "I32"), "cu_seqlens_k": ([1], [0], "I64")}
        found = self.run_on(tensors, "--lse", "--rope", "--explain")
        self.assertEqual(found, {"out": ([1, 2, 0, 4], []), "log_sum_exp": ([1, 2, 0], [])})

    # ---- Tensors that are not known

    def commands(self):
        return (["run", "--input", self.input, "--output", self.output], ["compare", "--threads", "1", "--isa", "scalar", "--input", self.input],
                ["profile", "--threads", "1", "--repeat", "1", "--isa", "scalar", "--input", self.input])

    def test_tensors_of_no_use_are_named(self):
        expected = self.run_on(self.plain)
        more = {"hidden": ([2], [1.0, 2.0]), "layer\x1b[31m\n\u009bA": ([1], [1], "I64"), "out": ([1], [0.0])}
        write_safetensors(self.input, {**self.plain, **more})
        for arguments in self.commands():
            with self.subTest(arguments=arguments):
                result = headwise(*arguments)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual(result.stderr, f"headwise: '{self.input}': not used: hidden, layer\\x1b[31m\\x0a\\x9bA, out\n")
        headwise(*self.commands()[0])
        self.assertEqual(read_safetensors(self.output), expected)
        shape = [BATCH, HEADS, QUERIES, VALUE_DIM]
        write_safetensors(self.input, {**self.plain, "expected": (shape, [0.0] * math.prod(shape)), "expected_rows": ([QUERIES], range(QUERIES), "I32")})
        for arguments in self.commands():
            note = "" if arguments[0] == "compare" else f"headwise: '{self.input}': not used: expected, expected_rows\n"
            self.assertEqual(headwise(*arguments).stderr, note)
        write_safetensors(self.input, {**self.plain, **{f"layer{n}": ([1], [0.0]) for n in range(40)}})
        self.assertIn("and 24 more\n", headwise(*self.commands()[0]).stderr)

    def test_a_tensor_of_no_use_may_have_any_dtype(self):
        self.plain = {name: ([1, 2, 3, 4], [1.0] * 24) for name in "qkv"}
        for dtype in ("F4", "F6_E2M3", "F8_E8M0", "C64", "F99", "\\u001b[31m"):
            for name in ("more", "mask"):
                write_safetensors(self.input, {**self.plain, name: ([8, 1], [0] * 8, "U8")})
                with open(self.input, "rb") as file:
                    content = file.read()
                length = struct.unpack("<Q", content[:8])[0]
                header = content[8 : 8 + length].replace(b'"U8"', f'"{dtype}"'.encode()).replace(b"[8, 1]", b"[1, 1]" if dtype == "C64" else b"[8, 1]")
                with open(self.input, "wb") as file:
                    file.write(struct.pack("<Q", len(header)) + header + content[8 + length :])
                for arguments in self.commands()[: 3 if dtype == "F4" else 1]:
                    with self.subTest(name=name, dtype=dtype, arguments=arguments):
                        if name == "more":
                            result = headwise(*arguments)
                            self.assertEqual((result.returncode, result.stderr), (0, f"headwise: '{self.input}': not used: more\n"))
                        else:
                            result = self.assert_fails(2, *arguments, names=["'mask'"])
                            self.assertNotIn("\x1b", result.stderr)
                            self.assertIn(dtype.replace("\\u001b", "\\x1b") if arguments[0] != "compare" else "only headwise run and profile do that", result.stderr)
                if os.path.exists(self.output):
                    os.unlink(self.output)

    def test_a_name_that_is_nearly_a_known_one_is_refused(self):
        for name, known in (("attn_mask", "mask"), ("Mask", "mask"), ("attention.mask", "mask"), ("key_padding_mask", "mask"), ("msak", "mask"), ("maks", "mask"), ("mas", ""), ("_", ""), ("", ""),
                            ("masks", "mask"), ("position_bias", "bias"), ("slopes", "alibi_slopes"), ("alibi", "alibi_slopes"), ("alibi_slope", "alibi_slopes"),
                            ("scale", "scales"), ("sink", "sinks"), ("attention_sinks", "sinks"), ("query_lengths", "q_lengths"), ("key_lengths", "kv_lengths"),
                            ("kv_length", "kv_lengths"), ("cu_seqlen_k", "cu_seqlens_k"), ("cu-seqlens-q", "cu_seqlens_q"), ("pagetable", "page_table"),
                            ("tree_parent", "tree_parents"), ("prefix_length", "prefix_lengths"), ("query_positions", "q_positions"), ("K", "k"), ("expcted", "expected"),
                            ("mask" + 100 * "_x", "mask"), ("value", ""), ("weights", ""), ("log_sum_exp", ""), ("w", ""), ("unmasked", ""), ("task", "mask"), ("parents", "tree_parents"),
                            # Words that a capital begins, or nothing.
                            ("attnMask", "mask"), ("attentionMask", "mask"), ("AttnMASK", "mask"), ("attnmask", "mask"), ("attentionmask", "mask"), ("attn_masks", "mask"),
                            ("keyPaddingMask", "mask"), ("model.attnmask.0", "mask"), ("maskAttn", "mask"), ("maskattn", "mask"), ("relPosBias", "bias"), ("attnbias", "bias"),
                            ("headScales", "scales"), ("attnsinks", "sinks"), ("ALiBi", "alibi_slopes"), ("ALiBiSlopes", "alibi_slopes"), ("alibislopes", "alibi_slopes"),
                            ("KVLengths", "kv_lengths"), ("keyLengths", "kv_lengths"), ("keylengths", "kv_lengths"), ("queryPositions", "q_positions"), ("cuSeqlensQ", "cu_seqlens_q"),
                            ("cumulativeKeyLengths", "cu_seqlens_k"), ("kvPageTable", "page_table"), ("kvpagetable", "page_table"), ("prefixLengths", "prefix_lengths"),
                            ("treeParents", "tree_parents"),
                            # Singular and plural.
                            ("biases", "bias"), ("Biases", "bias"), ("attn_biases", "bias"), ("attnbiases", "bias"), ("positionBiases", "bias"), ("key_padding_masks", "mask"), ("attn_scale", "scales"),
                            ("attention_sink", "sinks"), ("alibiSlope", "alibi_slopes"), ("q_length", "q_lengths"), ("decode_kv_length", "kv_lengths"), ("cu_seqlen_q", "cu_seqlens_q"),
                            ("page_tables", "page_table"), ("kv_page_tables", "page_table"), ("my_prefix_length", "prefix_lengths"), ("draft_tree_parent", "tree_parents"),
                            ("q_position", "q_positions"), ("my_k_position", "k_positions"),
                            ("basis", ""), ("status", ""), ("attn_mass", ""),
                            # Of other libraries.
                            ("block_table", "page_table"), ("block_tables", "page_table"), ("blockTables", "page_table"), ("blocktables", "page_table"), ("decode.block_tables", "page_table"),
                            ("seq_lens", "kv_lengths"), ("seqLens", "kv_lengths"), ("context_lens", "kv_lengths"), ("context_len", "kv_lengths"), ("position_ids", "q_positions"),
                            ("positionIds", "q_positions"), ("s_aux", "sinks"), ("layer0.s_aux", "sinks"),
                            # Abbreviations, letters left out or in another order.
                            ("kv_len", "kv_lengths"), ("kv_lens", "kv_lengths"), ("kvLen", "kv_lengths"), ("kvlens", "kv_lengths"), ("k_len", "kv_lengths"), ("k_lens", "kv_lengths"),
                            ("key_len", "kv_lengths"), ("q_len", "q_lengths"), ("q_lens", "q_lengths"), ("query_len", "q_lengths"), ("prefix_len", "prefix_lengths"),
                            ("prefixlen", "prefix_lengths"), ("prefixLens", "prefix_lengths"), ("my_prefix_len", "prefix_lengths"), ("cu_seqlen", "cu_seqlens_q"), ("cu_seqlengths_k", "cu_seqlens_k"),
                            ("q_pos", "q_positions"), ("qpos", "q_positions"), ("k_pos", "k_positions"), ("key_pos", "k_positions"), ("pos_ids", "q_positions"), ("position_idx", "q_positions"),
                            ("alibis", "alibi_slopes"), ("alib", "alibi_slopes"), ("slop", "alibi_slopes"), ("head_slopes", "alibi_slopes"), ("alibi_bias", "bias"), ("scal", "scales"),
                            ("basi", "bias"), ("bsai", "bias"), ("scael", "scales"), ("block_tabel", "page_table"),
                            ("sin", ""), ("sine", ""), ("cos", ""), ("bia", ""), ("link", ""), ("scalar", ""), ("max_length", ""), ("max_len", ""), ("rel_pos", ""), ("pos_embed", ""), ("hidden_states", ""),
                            ("expect", ""), ("bases", ""), ("abis", ""),
                            # What the library calls q.
                            ("query", ""), ("Query", ""), ("queries", ""), ("key", ""),
                            ("model.layers.0.mlp.weight", ""), ("model.layers.0.selfAttn.qProj.weight", ""), ("masked", ""), ("maskedScores", ""), ("maskrcnn.weight", ""),
                            ("biased", ""), ("sinkhorn", ""), ("rescaled", ""), ("kvCache", ""), ("chunkpositions", ""), ("timescale", ""), ("hiddenStates", ""),
                            ("logSumExp", ""), ("inputIds", ""), ("embedTokens", ""), ("lmHead", "")):
            write_safetensors(self.input, {**self.plain, name: ([1], [1.0])})
            for arguments in self.commands()[: 3 if name == "attn_mask" else 1]:
                with self.subTest(name=name, arguments=arguments):
                    if known:
                        self.assert_fails(2, *arguments, names=["in.safetensors", f"'{name[:20]}", f"'{known}'"])
                    else:
                        result = headwise(*arguments)
                        self.assertEqual((result.returncode, result.stderr), (0, f"headwise: '{self.input}': not used: {name}\n"))
                        os.unlink(self.output)

    def test_every_known_name_stands_in_the_help(self):
        names = [line.split()[0] for line in headwise("run", "--help").stdout.partition("Tensors that the input may have")[2].splitlines()[1:] if line.startswith("  ")]
        self.assertEqual(len(names), 14)
        for name in names:
            write_safetensors(self.input, {**self.plain, name: ([1, 1, 1, 1, 1], [0.0])})
            self.assertNotIn("not be used", self.assert_fails(2, *self.commands()[0], names=[f"'{name}'"]).stderr)

    def test_compare_takes_plain_files_alone(self):
        write_safetensors(self.input, {**self.plain, "sinks": ([HEADS], [0.0] * HEADS)})
        self.assert_fails(2, "compare", "--input", self.input, names=["in.safetensors", "'sinks'", "only headwise run and profile do that"])
        write_safetensors(self.input, {**self.plain, "q_positions": ([1, QUERIES], range(QUERIES), "I32")})
        self.assert_fails(2, "compare", "--input", self.input, names=["in.safetensors", "'q_positions'", "only headwise run does that"])
        self.assertEqual(os.listdir(self.directory), ["in.safetensors"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
