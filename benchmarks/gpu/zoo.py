#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every ONNX file of a folder (what tools/zoo/export.py wrote) on a GPU, beside
ONNX Runtime on the CPU, at two sets of sizes. The bound is an error of 1e-4 of the
largest value of an output.

    python3 benchmarks/gpu/zoo.py --prepare FOLDER MODELS    compiles; needs onnxruntime
    python3 benchmarks/gpu/zoo.py FOLDER                     runs; needs the GPU

Large weights become ones that pack into little (harness.random_weights), so that
the folder can be carried; --keep-weights leaves them."""

import argparse
import glob
import importlib.util
import os
import subprocess
import sys

import numpy as np

from harness import HERE, ROOT, print_table, random_weights

BOUND = 1e-4
LARGE = 1 << 14


def load(name):
    """A module of the folder above, whose harness has this one's name."""
    spec = importlib.util.spec_from_file_location(
        name, os.path.join(os.path.dirname(HERE), name + ".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def replace_weights(path, to):
    import onnx
    from onnx import numpy_helper
    model = onnx.load(path)
    for i, weight in enumerate(model.graph.initializer):
        array = numpy_helper.to_array(weight)
        if array.dtype != np.float32 or array.size < LARGE or array.ndim < 2:
            continue
        fan = array.size / array.shape[0] if array.ndim > 2 else array.shape[0]
        weight.CopyFrom(numpy_helper.from_array(
            random_weights(array.shape, i, fan**-.5), weight.name))
    onnx.save(model, to)


def prepare(models, folder, keeps):
    cpu = load("harness")
    lathe = os.path.join(os.environ.get("LATHE_BUILD", os.path.join(ROOT, "build")),
                         "bin", "lathe")
    os.makedirs(folder, exist_ok=True)
    bad = 0
    for path in sorted(glob.glob(os.path.join(models, "*.onnx"))):
        name = os.path.basename(path).removesuffix(".onnx")
        base = os.path.join(folder, name)
        if not keeps:
            replace_weights(path, base + ".onnx")
            path = base + ".onnx"
        done = subprocess.run([lathe, "compile", path, "-o", base + ".lathe",
                               "--target", "cuda"], capture_output=True, text=True)
        print(name + ":", done.stderr.strip() or "compiled", flush=True)
        bad += done.returncode != 0
        session = cpu.ort_session(path, 1)
        names = [output.name for output in session.get_outputs()]
        dims = {dim for info in session.get_inputs() for dim in info.shape
                if isinstance(dim, str)}
        for i, (batch, other) in enumerate(((2, 11), (1, 7))):
            feeds = cpu.make_inputs(path, session, {
                dim: batch if dim == "batch" else other for dim in dims})
            outputs = dict(zip(names, session.run(None, feeds)))
            np.savez_compressed(f"{base}.{i}.npz", **{
                "in " + key: value for key, value in feeds.items()}, **{
                    "out " + key: value for key, value in outputs.items()})
            if not dims:
                break
        if not keeps:
            os.remove(path)
    return bad


def check(base):
    """The largest error over the sizes."""
    import lathe
    model, worst = lathe.Model(base + ".lathe", device="cuda"), 0.0
    for path in sorted(glob.glob(glob.escape(base) + ".?.npz")):
        with np.load(path) as arrays:
            feeds = {key[3:]: arrays[key] for key in arrays if key.startswith("in ")}
            want = {key[4:]: arrays[key] for key in arrays if key.startswith("out ")}
        got = model.run(feeds)
        for key, value in want.items():
            assert got[key].shape == value.shape, (key, got[key].shape, value.shape)
            far = np.abs(got[key].astype("f8") - value.astype("f8"))
            largest = np.abs(value.astype("f8")).max(initial=1e-30)
            error = far.max(initial=0.0) / largest
            worst = error if not error <= worst else worst
    return worst


def run(folder):
    rows, bad = [], 0
    for path in sorted(glob.glob(os.path.join(folder, "*.lathe"))):
        base = path.removesuffix(".lathe")
        try:
            error = check(base)
            state, text = "ok" if error <= BOUND else "wrong", f"{error:.1e}"
        except Exception as failure:  # pylint: disable=broad-except
            state, text = "not run", str(failure).splitlines()[0][:100]
        bad += state != "ok"
        rows.append([os.path.basename(base), state, text])
    print_table(["model", "", "error"], rows)
    print(f"{len(rows) - bad} of {len(rows)}")
    return bad


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("models", nargs="?", help="with --prepare: a folder")
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--keep-weights", action="store_true")
    given = parser.parse_args()
    if given.prepare:
        sys.exit(prepare(given.models, given.folder, given.keep_weights))
    sys.exit(min(run(given.folder), 100))


if __name__ == "__main__":
    main()
