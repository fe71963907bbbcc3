# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The operator tests of the package onnx, the user's way: each model is
compiled into a bundle, run, and compared with the expected outputs.

    onnx_operators.py REFUSED [--match REGEX] [--update] [--jobs N] [-v]

Fails if an answer is wrong, if anything crashes, or if the set of models that
the compiler refuses is not the one that the file REFUSED lists with reasons
(`--update` writes it anew).

Many cases pass axes, pads or sizes as graph inputs, which exporters never do. A
case that is refused so is tried again with its integer inputs of at most one
dim, and Resize's scales, as constants; REFUSED has what neither way compiles.
"""

import argparse
import collections
import math
import multiprocessing
import os
import re
import signal
import sys
import tempfile
import warnings
from multiprocessing import connection

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

sys.path.insert(0, os.path.join(os.environ["LATHE_SOURCE"], "python"))

TIMEOUT = 600  # seconds for one case; machines may be busy
# How far a result may be from the reference, in units of the last place of its
# largest magnitude: both add up some tens of terms, in orders of their own.
ULPS = 16
# Of Resize and OneHot; constants in every export.
FLOAT_INPUTS = ("scales", "roi", "depth")
# Expected outputs that were typed by hand, with four decimals.
ROUNDED = {"test_averagepool_2d_ceil_last_window_starts_on_pad": 2e-4,
           "test_gridsample_bicubic": 2e-5, "test_roialign_aligned_true": 1e-4,
           "test_roialign_aligned_false": 1e-4}
# Their answers are random: type and shape are compared.
RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike",
          "RandomUniform", "RandomUniformLike")
Result = collections.namedtuple("Result", "kind text")


def to_array(value):
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return np.asarray(value) if isinstance(value, np.generic) else value


def freeze(model, inputs):
    """`model` with small integer inputs as initializers, and the others."""
    frozen = onnx.ModelProto()
    frozen.CopyFrom(model)
    del frozen.graph.input[:]
    for info in model.graph.input:
        value = inputs.get(info.name)
        if (isinstance(value, np.ndarray) and value.ndim <= 1
                and value.size <= 16
                and (value.dtype.kind == "i" or info.name in FLOAT_INPUTS)):
            frozen.graph.initializer.append(
                numpy_helper.from_array(value, info.name))
        else:
            frozen.graph.input.append(info)
    return frozen


def difference(got, want, tolerance=None):
    """What is wrong with `got`; nothing if it is close to `want`: relative to
    the largest magnitude, by `tolerance` or what the dtype gives."""
    if got.shape != want.shape or got.dtype != want.dtype:
        return (f"is {got.dtype}{list(got.shape)}, expected "
                f"{want.dtype}{list(want.shape)}")
    if want.dtype.kind in "iub":
        wrong = int((got != want).sum())
        return f"differs in {wrong} of {want.size} elements" if wrong else ""
    eps = float(onnx.numpy_helper.ml_dtypes.finfo(want.dtype).eps)
    got, want = got.astype(np.float64), want.astype(np.float64)
    finite = np.isfinite(want)
    if not np.array_equal(got[~finite], want[~finite], equal_nan=True):
        return "differs in infinities or NaN"
    if not finite.any():
        return ""
    largest = np.abs(want[finite]).max()
    error = np.abs(got[finite] - want[finite]).max() / max(largest, 1e-30)
    close = error <= (tolerance or ULPS * eps)
    return "" if close else f"is off by {error:.1e}"


def compile_and_run(lathe, model, inputs, folder):
    """The outputs by name; an error's text if the compiler refuses."""
    path, bundle = (os.path.join(folder, name) for name in ("m.onnx", "m.lathe"))
    with open(path, "wb") as file:
        file.write(model.SerializeToString())
    try:
        lathe.compile(path, bundle, targets=["x86:cpu=native"], jobs=1)
    except lathe.LatheError as error:
        return None, str(error)
    loaded = lathe.Model(bundle, threads=1)
    names = [info.name for info in model.graph.input]
    return loaded.run({name: inputs[name] for name in names}), ""


def run_case(lathe, case, folder):
    given, expected = ([to_array(v) for v in values]
                       for values in case.data_sets[0])
    inputs = dict(zip((i.name for i in case.model.graph.input), given))
    outputs, reason = compile_and_run(lathe, case.model, inputs, folder)
    kind = "passes"
    if outputs is None:
        model = freeze(case.model, inputs)
        if len(model.graph.input) != len(case.model.graph.input):
            outputs, reason = compile_and_run(lathe, model, inputs, folder)
            kind = "passes with constants"
    if outputs is None:
        return Result("refused", reason)
    is_random = any(n.op_type in RANDOM for n in case.model.graph.node)
    for info, want in zip(case.model.graph.output, expected):
        tolerance = math.inf if is_random else ROUNDED.get(case.name)
        if wrong := difference(outputs[info.name], want, tolerance):
            return Result("wrong", f"{info.name} {wrong}")
    return Result(kind, "")


def serve(cases, pipe, folder):
    """One worker: case numbers in, results out."""
    import lathe
    while (index := pipe.recv()) is not None:
        try:
            pipe.send(run_case(lathe, cases[index], folder))
        except Exception as error:  # pylint: disable=broad-except
            pipe.send(Result("wrong", f"{type(error).__name__}: {error}"))


class Worker:
    """A process that a crash of the compiler or of a kernel may end."""

    def __init__(self, cases, folder):
        self.cases, self.folder = cases, folder
        self.start()

    def start(self):
        context = multiprocessing.get_context("fork")
        self.pipe, other = context.Pipe()
        self.process = context.Process(
            target=serve, args=(self.cases, other, self.folder), daemon=True)
        self.process.start()
        other.close()

    def send(self, index):
        self.index = index
        self.pipe.send(index)

    def receive(self, ready):
        """The answer; a fresh process if this one died or hangs."""
        if ready:
            try:
                return self.pipe.recv()
            except EOFError:
                self.process.join()
                code = -(self.process.exitcode or 0)
                text = signal.Signals(code).name if code > 0 else "exit"
        else:
            self.process.kill()
            text = f"no answer in {TIMEOUT} s"
        self.start()
        return Result("crashes", text)


def run_all(cases, jobs):
    """The result of each case, by name."""
    results, todo = {}, list(range(len(cases)))[::-1]
    with tempfile.TemporaryDirectory() as folder:
        workers = []
        for i in range(jobs):
            os.mkdir(os.path.join(folder, str(i)))
            workers.append(Worker(cases, os.path.join(folder, str(i))))
        busy = []
        while todo or busy:
            for worker in workers:
                if worker not in busy and todo:
                    worker.send(todo.pop())
                    busy.append(worker)
            ready = connection.wait([w.pipe for w in busy], TIMEOUT)
            done = [w for w in busy if w.pipe in ready] or list(busy)
            for worker in done:
                results[cases[worker.index].name] = worker.receive(bool(ready))
                busy.remove(worker)
        for worker in workers:
            worker.pipe.send(None)
    return results


def summarize(text):
    """The reason of a refusal without names, numbers and opsets."""
    text = re.sub(r"^  (graph input|tensor|model) '.*?': ", r"  node '' (\1): ",
                  text, flags=re.MULTILINE)
    found = re.findall(r"^  node '.*?' \((.*?)(?:, opset \d+)?\): (.*)$", text,
                       re.MULTILINE)
    if not found:
        found = [("compiler", text.split("\n")[0].split(": ", 1)[-1])]
    reasons = {f"{op}: {reason}" for op, reason in found}
    return "; ".join(sorted(re.sub(r"'\w*_\w*'", "'...'", r) for r in reasons))


def read_refused(path):
    """Reason by case; a line that is not indented holds for those after it."""
    refused, reason = {}, ""
    with open(path) as file:
        for line in file:
            if line.startswith("  "):
                refused[line.strip()] = reason
            elif not line.startswith("#"):
                reason = line.strip()
    return refused


def write_refused(path, refused):
    by_reason = collections.defaultdict(list)
    for name, reason in refused.items():
        by_reason[reason].append(name)
    with open(path, "w") as file:
        file.write("# What onnx_operators.py found refused, by reason "
                   "(--update writes this file).\n")
        for reason, names in sorted(by_reason.items()):
            file.write("".join([f"\n{reason}\n"]
                               + [f"  {name}\n" for name in sorted(names)]))


def compare_refused(listed, found):
    """Prints where the list and the compiler differ; the number of them."""
    names = sorted(set(listed) | set(found))
    wrong = [n for n in names if listed.get(n) != found.get(n)]
    for name in wrong:
        print(f"{name}: listed as refused: {listed.get(name, 'not')!r}, "
              f"found: {found.get(name, 'not')!r}")
    return len(wrong)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("refused")
    parser.add_argument("--match", default="")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("-v", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    cases = [case for case in collect_testcases(None)
             if re.search(options.match, case.name)]
    results = run_all(cases, options.jobs)
    for name, result in sorted(results.items()):
        if result.kind in ("wrong", "crashes") or options.v:
            print(f"{name}: {result.kind} {result.text}")
    counts = collections.Counter(result.kind for result in results.values())
    refused = {name: summarize(result.text)
               for name, result in results.items() if result.kind == "refused"}
    if options.v:
        reasons = collections.Counter(refused.values())
        for reason, count in reasons.most_common():
            print(f"{count:5} refused, {reason}")
    print(f"{len(cases)} cases:",
          ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())))
    if options.update:
        write_refused(options.refused, refused)
    listed = {name: reason
              for name, reason in read_refused(options.refused).items()
              if name in results}
    wrong = compare_refused(listed, refused)
    return 1 if wrong or counts["wrong"] or counts["crashes"] else 0


if __name__ == "__main__":
    sys.exit(main())
