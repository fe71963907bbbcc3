#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What becomes of the attention of each model: the table of docs/Attention.md.

    attention.py FOLDER [PATTERN...]

FOLDER is what tools/zoo/export.py wrote. Models are compiled by `lathe` (on PATH
or in build/bin); the table is read from the IR after the optimize stage. A
softmax that is left over, or a remark about an attention that was not taken, is
a line of its own.
"""

import collections
import glob
import os
import re
import subprocess
import sys
import tempfile

ATTENTION = re.compile(
    r"graph\.attention %\w+, %\w+, %\w+(?: mask %\w+)? score\((.*?)\) "
    r"select\((.*?)\).*? : \((.*?)\) -> ")


def find_lathe():
    root = os.path.dirname(os.path.dirname(os.path.dirname(
        os.path.abspath(__file__))))
    built = os.path.join(root, "build", "bin", "lathe")
    return built if os.path.exists(built) else "lathe"


def optimize(model, folder):
    """The IR after the optimize stage, and the remarks."""
    done = subprocess.run(
        [find_lathe(), "compile", model, "-o", os.path.join(folder, "m.lathe"),
         "--target", "x86:cpu=native", "--dump-ir", folder, "-v"],
        capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    with open(os.path.join(folder, "2-optimize.mlir")) as file:
        return file.read(), done.stderr


def describe(score, selection, types):
    """One attention: score, selection, mask, heads."""
    types = re.findall(r"tensor<([^>]*)>", types)
    dims = [t.split("x") for t in types]
    heads, kv_heads = dims[0][1], dims[1][1]
    grouped = f", {heads} heads on {kv_heads}" if heads != kv_heads else ""
    mask = ""
    if len(types) > 3:
        kind = "boolean" if types[3].endswith("i1") else "additive"
        mask = f", {kind} mask {'x'.join(dims[3][:-1])}"
    name = re.match(r"#graph\.(\w+)", score)[1]
    window = re.sub(r"#graph\.", "", selection)
    return f"{name}, {window}{mask}{grouped}"


def report(model):
    with tempfile.TemporaryDirectory() as folder:
        ir, remarks = optimize(model, folder)
    counts = collections.Counter(describe(*found)
                                 for found in ATTENTION.findall(ir))
    name = os.path.basename(model).removesuffix(".onnx")
    rows = [(name, count, form) for form, count in sorted(counts.items())]
    if left := len(re.findall(r"(?<!#)graph\.softmax ", ir)):
        rows.append((name, left, "softmax left over"))
    missed = re.findall(r"looks like an attention, but (.*)", remarks)
    rows += [(name, count, "not taken: " + why)
             for why, count in collections.Counter(missed).items()]
    rotary = len(re.findall(r"remark: .*graph-recognize-rotary: ", remarks))
    return [(*row, rotary if i == 0 else "") for i, row in enumerate(rows)]


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    patterns = sys.argv[2:]
    print("| model | layers | recognized as | rotary |\n|---|---|---|---|")
    for model in sorted(glob.glob(os.path.join(sys.argv[1], "*.onnx"))):
        if patterns and not any(p in model for p in patterns):
            continue
        for row in report(model):
            print("| " + " | ".join(map(str, row)) + " |")


if __name__ == "__main__":
    main()
