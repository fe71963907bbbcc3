#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles every ONNX file of a folder and compares its outputs with ONNX Runtime.

    zoo.py FOLDER [PATTERN...]

FOLDER is what tools/zoo/export.py wrote. Each model is compiled and run by the
command line in processes of their own, at two sets of sizes. The bound is an error
of 1e-4 of the largest value of an output.
"""

import argparse
import glob
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

import harness

BOUND = 1e-4


def choose_sizes(session):
    """Two sets of sizes for the named dims."""
    names = {dim for info in session.get_inputs() for dim in info.shape
             if isinstance(dim, str)}
    return [{name: 2 if name == "batch" else 11 for name in names},
            {name: 1 if name == "batch" else 7 for name in names}]


def run_model(bundle, feeds, folder):
    inputs, outputs = (os.path.join(folder, name) for name in ("in.npz", "out.npz"))
    np.savez(inputs, **feeds)
    harness.run_tool("run", bundle, "--inputs", inputs, "--outputs", outputs)
    with np.load(outputs) as arrays:
        return dict(arrays)


def check(model, folder):
    """Returns (state, compile seconds, error, message)."""
    start = time.perf_counter()
    bundle = os.path.join(folder, "model.lathe")
    try:
        harness.run_tool("compile", model, "-o", bundle)
    except RuntimeError as error:
        return "not compiled", None, None, str(error)
    seconds = time.perf_counter() - start
    session = harness.ort_session(model, 1)
    names = [output.name for output in session.get_outputs()]
    worst = 0.0
    for sizes in choose_sizes(session):
        feeds = harness.make_inputs(model, session, sizes)
        expected = dict(zip(names, session.run(None, feeds)))
        try:
            got = run_model(bundle, feeds, folder)
        except RuntimeError as error:
            return "not run", seconds, None, f"{sizes}: {error}"
        error = harness.max_error(got, expected)
        worst = error if not error <= worst else worst
    return "ok" if worst <= BOUND else "wrong", seconds, worst, ""


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("patterns", nargs="*", metavar="PATTERN")
    options = parser.parse_args()
    models = sorted(glob.glob(os.path.join(options.folder, "*.onnx")))
    models = [model for model in models if not options.patterns
              or any(p in os.path.basename(model) for p in options.patterns)]
    rows, reasons, good = [], [], 0
    for model in models:
        name = os.path.basename(model).removesuffix(".onnx")
        with tempfile.TemporaryDirectory() as folder:
            try:
                state, seconds, error, message = check(model, folder)
            except (subprocess.SubprocessError, ValueError, RuntimeError) as problem:
                state, seconds, error, message = "peer failed", None, None, str(problem)
        good += state == "ok"
        rows.append([name, state, "-" if seconds is None else f"{seconds:.2f}",
                     "-" if error is None else f"{error:.1e}"])
        if message:
            reasons.append(f"- {name}: {message.splitlines()[0]}")
        print(f"{name}: {state}", file=sys.stderr, flush=True)
    harness.print_table(["model", "state", "compile s", "error"], rows)
    print(f"\n{good} of {len(rows)} agree within {BOUND:g} of the largest value")
    print("\n".join(reasons))
    return 0 if good == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
