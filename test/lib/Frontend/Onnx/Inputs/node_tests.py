# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The node tests of the package onnx: imported by lathe-translate, evaluated
by graph_eval, compared with the expected outputs.

    node_tests.py [--every N] [--match REGEX] [--freeze] [-v]

Prints how many cases import, how many of those agree, and every one that does
not. Exit code 1 if a case crashes the importer or disagrees.

Many cases pass axes, pads or sizes as graph inputs, which exporters never do;
`--freeze` makes integer inputs of one dim, and Resize's scales, constants.
"""

import argparse
import collections
import os
import re
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import onnx
from onnx import numpy_helper

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from graph_eval import Evaluator, HostOp  # noqa: E402

warnings.filterwarnings("ignore")
FLOATS = ("scales", "roi")  # of Resize


def to_array(value):
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return value


def freeze(model, inputs):
    """Makes small 1-D (or scalar) integer inputs initializers."""
    frozen = onnx.ModelProto()
    frozen.CopyFrom(model)
    kept = []
    for info in model.graph.input:
        value = inputs.get(info.name)
        small = (isinstance(value, np.ndarray) and value.ndim <= 1
                 and value.size <= 16
                 and (value.dtype.kind == "i" or info.name in FLOATS))
        if small:
            frozen.graph.initializer.append(
                numpy_helper.from_array(value, info.name))
        else:
            kept.append(info)
    del frozen.graph.input[:]
    frozen.graph.input.extend(kept)
    return frozen


def translate(model, path):
    with open(path, "wb") as file:
        file.write(model.SerializeToString())
    return subprocess.run(
        ["lathe-translate", "--import-onnx", path, "--mlir-print-op-generic"],
        capture_output=True, text=True, timeout=60)


def check(case, text, inputs, expected):
    try:
        found = Evaluator(text).run(inputs)
    except HostOp:
        return "host"
    for info, want in zip(case.model.graph.output, expected):
        got, want = found[info.name], np.asarray(want)
        if got.shape != want.shape or got.dtype != want.dtype:
            return f"{info.name}: {got.dtype}{got.shape}, " \
                   f"expected {want.dtype}{want.shape}"
        if want.dtype.kind in "iub":
            close = np.array_equal(got, want)
        else:
            got, want = got.astype(np.float64), want.astype(np.float64)
            narrow = expected[0].dtype.itemsize < 4
            close = np.allclose(got, want, rtol=max(case.rtol, 1e-2 * narrow),
                                atol=max(case.atol, 1e-6, 1e-3 * narrow),
                                equal_nan=True)
        if not close:
            return f"{info.name} differs"
    return "agrees"


def run_case(case, options, path):
    given, expected = ([to_array(v) for v in values]
                       for values in case.data_sets[0])
    inputs = dict(zip((i.name for i in case.model.graph.input), given))
    model = freeze(case.model, inputs) if options.freeze else case.model
    done = translate(model, path)
    if done.returncode not in (0, 1):
        return f"importer ended with {done.returncode}"
    if done.returncode:
        reason = done.stderr.split(".onnx: ", 1)[-1].strip()
        return "refused: " + reason.replace("\n", " ")
    try:
        return check(case, done.stdout, inputs, expected)
    except Exception as error:  # pylint: disable=broad-except
        return f"evaluator: {type(error).__name__} {error}"[:200]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--match", default="")
    parser.add_argument("--freeze", action="store_true")
    parser.add_argument("-v", action="store_true")
    options = parser.parse_args()
    from onnx.backend.test.case.node import collect_testcases
    cases = [c for c in collect_testcases(None) if re.search(options.match,
                                                             c.name)]
    cases = sorted(cases, key=lambda c: c.name)[::options.every]
    counts, wrong = collections.Counter(), 0
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            answer = run_case(case, options, os.path.join(folder, "m.onnx"))
            kind = answer if answer in ("agrees", "host") else (
                "refused" if answer.startswith("refused") else "wrong")
            counts[kind] += 1
            wrong += kind == "wrong"
            if kind == "wrong" or (options.v and kind == "refused"):
                print(f"{case.name}: {answer}")
    imported = len(cases) - counts["refused"]
    print(f"{len(cases)} cases, {imported} imported, {counts['agrees']} agree, "
          f"{counts['host']} need the runtime's host ops, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
