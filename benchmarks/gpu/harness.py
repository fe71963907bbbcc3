# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the benchmarks on a GPU share: fair timing of several peers in one process
on resident inputs, the limits of the device, weights, tables.

A benchmark is a list of cases, made in two steps, since the compiler and PyTorch
need not be on the same machine:

    python3 benchmarks/gpu/gemm.py --prepare FOLDER    writes ONNX, compiles bundles
    python3 benchmarks/gpu/gemm.py FOLDER              runs them, beside the peers

What is timed is device time: `repeats` runs of a peer between two events, as one
CUDA graph where it can be captured, so that no launch waits for the host. Peers
take turns in shuffled order; the figure to read is the median over rounds of the
ratio within a round.
"""

import argparse
import collections
import os
import random
import re
import statistics
import subprocess
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "python"))


# More than twice the second-level cache of an H100.
COLD_BYTES = 128 << 20


class Case:
    """A computation of one size.

    name       of the case and of its files
    write      writes its ONNX model to a path (needs onnx, not torch)
    inputs     makes its inputs by name, as torch tensors on the GPU
    peers      maps these to functions without arguments, by name; the first one's
               (first) result is the reference of the error
    flops      floating-point operations, or 0
    bytes      that must be read or written at least once
    options    for `lathe compile`
    bundle     its file's name, where several sizes share one; else `name`
    is_cold    runs take turns on copies of the inputs, the results and the bundle's
               weights that together exceed the second-level cache; peers that give
               a result memory of its own see to it themselves
    has_weights  which the bundle has, so that copies load it again
    """

    def __init__(self, name, write, inputs, peers, flops=0, bytes=0, options=(),
                 bundle="", is_cold=False, has_weights=False):
        self.name, self.write, self.inputs, self.peers = name, write, inputs, peers
        self.flops, self.bytes, self.options = flops, bytes, options
        self.bundle, self.is_cold = bundle or name, is_cold
        self.has_weights = has_weights

    def count_copies(self):
        return max(1, -(-COLD_BYTES // self.bytes)) if self.is_cold else 1


# Weights ---------------------------------------------------------------------

def random_weights(shape, seed, scale):
    """N(0, scale²), the same everywhere. Each row of the first dim is the one before
    it, moved by one: it multiplies as any other matrix does, and a bundle of
    hundreds of megabytes packs into a few, whichever way weights are stored."""
    rows, size = shape[0], int(np.prod(shape[1:], initial=1))
    pool = np.random.default_rng(seed).standard_normal(1 << 16, np.float32) * scale
    pool = np.resize(pool, len(pool) + size)
    result = np.empty((rows, size), np.float32)
    for i, row in enumerate(result):
        start = i % (1 << 16)
        row[:] = pool[start:start + size]
    return result.reshape(shape)


# Preparing -------------------------------------------------------------------

def find_lathe():
    """The program of $LATHE_BUILD or of the checkout, which may be an archive of
    `make dist`."""
    build = os.environ.get("LATHE_BUILD", os.path.join(ROOT, "build"))
    lathe = os.path.join(build, "bin", "lathe")
    if not os.path.exists(lathe):
        sys.exit(f"{lathe} is not there; 'make build' makes it, and $LATHE_BUILD "
                 "names another folder")
    return lathe


def prepare(cases, folder):
    """Writes and compiles all cases; says what fails, and goes on."""
    lathe = find_lathe()
    os.makedirs(folder, exist_ok=True)
    failed = 0
    for case in {case.bundle: case for case in cases}.values():
        model = os.path.join(folder, case.bundle + ".onnx")
        case.write(model)
        done = subprocess.run(
            [lathe, "compile", model, "-o", model.replace(".onnx", ".lathe"),
             "--target", "cuda", *case.options], capture_output=True, text=True)
        for path in (model, model + ".data"):
            if os.path.exists(path):
                os.remove(path)
        print(case.bundle + ":", done.stderr.strip() or "compiled")
        failed += done.returncode != 0
    return failed


# Timing ----------------------------------------------------------------------

def capture(run, repeats):
    """A function that replays `repeats` runs as one CUDA graph, or None."""
    import torch
    graph = torch.cuda.CUDAGraph()
    side = torch.cuda.Stream()
    try:
        with torch.cuda.stream(side):
            for _ in range(3):
                run()
            torch.cuda.synchronize()
            with torch.cuda.graph(graph, stream=side,
                                  capture_error_mode="thread_local"):
                for _ in range(repeats):
                    run()
    except Exception as error:  # pylint: disable=broad-except
        torch.cuda.synchronize()
        print(f"  (not captured: {str(error).splitlines()[0][:100]})")
        return None
    return graph.replay


def time_of(replay):
    """Milliseconds on the device."""
    import torch
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    replay()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end)


class Turns:
    """Runs one of several functions at each call, in turn."""

    def __init__(self, runs):
        self.runs, self.next = runs, 0

    def __call__(self):
        self.next += 1
        self.runs[self.next % len(self.runs)]()


class Timing:
    """Milliseconds of a run: the median of each round's, by peer."""

    def __init__(self, peers, rounds=11, budget_ms=400.0):
        self.rounds = collections.defaultdict(list)
        replays, self.how = {}, {}
        for name, run in peers.items():
            for _ in range(3):
                run()
            once = max(time_of(run), 1e-3)
            repeats = max(3, min(200, int(budget_ms / rounds / len(peers) / once)))
            if isinstance(run, Turns):  # All as often as each other.
                repeats = -(-repeats // len(run.runs)) * len(run.runs)
            replay = capture(run, repeats)
            self.how[name] = "" if replay else " (launched)"
            if not replay:
                replay = lambda run=run, n=repeats: [run() for _ in range(n)]
            replays[name] = (replay, repeats)
        order, shuffler = list(peers), random.Random(0)
        for turn in range(rounds + 1):
            shuffler.shuffle(order)
            for name in order:
                replay, repeats = replays[name]
                ms = time_of(replay) / repeats
                if turn:  # The first is to warm up.
                    self.rounds[name].append(ms)

    def median(self, peer):
        return statistics.median(self.rounds[peer])

    def ratio(self, peer, ours="lathe"):
        """How many times faster `ours` is."""
        return statistics.median(
            p / o for p, o in zip(self.rounds[peer], self.rounds[ours]))


# The device ------------------------------------------------------------------

def measure_limits():
    """TFLOP/s of cuBLAS's f16 product and GB/s of the faster of a copy and an
    elementwise kernel, measured now: what this device gives, clocks and power as
    they are."""
    import torch
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.float16)
            for _ in range(2))
    product = Timing({"product": lambda: torch.mm(a, b)}, rounds=5)
    x = torch.zeros(1 << 27, device="cuda")
    y = torch.empty_like(x)
    streams = {"copy": lambda: y.copy_(x), "neg": lambda: torch.neg(x, out=y)}
    stream = Timing(streams, rounds=5)
    return (2 * 8192**3 / product.median("product") / 1e9,
            8 * x.numel() / min(map(stream.median, streams)) / 1e6)


def bind(bundle, inputs, model=None):
    """A bundle's run from these inputs to outputs of its own, all on the device.
    Returns a function and the outputs. `model` is the bundle's, if it is
    loaded."""
    import lathe
    import torch
    model = model or lathe.Model(bundle, device="cuda")
    first = model.run(inputs, on_device=True)
    outputs = {name: torch.from_dlpack(array).clone()
               for name, array in first.items()}
    binding = model.bind(inputs, outputs=outputs)
    return (lambda: binding.enqueue(torch.cuda.current_stream().cuda_stream or None),
            outputs)


# Tables ----------------------------------------------------------------------

def print_table(header, rows):
    widths = [max(len(str(row[i])) for row in [header, *rows])
              for i in range(len(header))]
    for row in [header, ["-" * width for width in widths], *rows]:
        print("| " + " | ".join(str(cell).ljust(width)
                                for cell, width in zip(row, widths)) + " |")
    sys.stdout.flush()


def measure(case, folder, limits):
    """Rows of the table: one of Lathe, one of each peer."""
    import lathe
    import torch
    bundle = os.path.join(folder, case.bundle + ".lathe")
    model, runs = lathe.Model(bundle, device="cuda"), collections.defaultdict(list)
    for copy in range(case.count_copies()):
        inputs = case.inputs()
        if copy and case.has_weights:
            model = lathe.Model(bundle, device="cuda")
        run, outputs = bind(bundle, inputs, model)
        peers = case.peers(inputs)
        runs["lathe"].append(run)
        for name, peer in peers.items():
            runs[name].append(peer)
        if copy:
            continue
        run()
        torch.cuda.synchronize()
        mine = next(iter(outputs.values())).double()
        reference = next(iter(peers.values()))()
        if isinstance(reference, tuple):
            reference = reference[0]
        reference = reference.double()
        error = ((mine - reference.reshape(mine.shape)).abs().max() /
                 reference.abs().max()).item()
    timing = Timing({name: Turns(its) if len(its) > 1 else its[0]
                     for name, its in runs.items()})
    floor = max(case.flops / limits[0] / 1e9, case.bytes / limits[1] / 1e6)
    rows = []
    for name in ("lathe", *peers):
        ms = timing.median(name)
        rows.append([
            case.name if name == "lathe" else "", name + timing.how[name],
            f"{ms * 1e3:.1f}",
            "" if name == "lathe" else f"{timing.ratio(name):.2f}",
            f"{case.flops / ms / 1e9:.0f}" if case.flops else "",
            f"{case.bytes / ms / 1e6:.0f}" if case.bytes else "",
            f"{floor / ms:.2f}", f"{error:.1e}" if name == "lathe" else ""])
    return rows


HEADER = ["case", "peer", "us", "Lathe is faster by", "TFLOP/s", "GB/s",
          "of floor", "error"]


def print_means(rows, pattern=""):
    """The geometric mean of Lathe's ratio to each peer, in cases that match."""
    ratios, case = collections.defaultdict(list), ""
    for name, peer, _, ratio, *_ in rows:
        case = name or case
        if ratio and re.search(pattern, case):
            ratios[peer.removesuffix(" (launched)")].append(float(ratio))
    for peer, values in ratios.items():
        print(f"beside {peer}: {statistics.geometric_mean(values):.2f} times as "
              f"fast, {min(values):.2f} to {max(values):.2f}, in {len(values)} cases")


def require_gpu():
    try:
        import torch
    except ImportError:
        sys.exit("this needs PyTorch; --prepare does not")
    if not torch.cuda.is_available():
        sys.exit("PyTorch finds no GPU here")


def make_parser(doc, folder="of the bundles"):
    """What every script here takes: a folder, to be written or read."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help=folder)
    parser.add_argument("--prepare", action="store_true",
                        help="write the bundles instead of running them")
    return parser


def main(cases, doc, groups=None):
    """`groups` maps names to patterns of cases that have means of their own."""
    parser = make_parser(doc)
    parser.add_argument("--only", default="", help="cases that match this regex")
    arguments = parser.parse_args()
    cases = [case for case in cases if re.search(arguments.only, case.name)]
    if not cases:
        sys.exit(f"no case matches '{arguments.only}'")
    if arguments.prepare:
        sys.exit(prepare(cases, arguments.folder))
    require_gpu()
    import torch
    limits = measure_limits()
    print(f"{torch.cuda.get_device_name()}; floor: {limits[0]:.0f} TFLOP/s "
          f"(cuBLAS, f16, 8192^3), {limits[1]:.0f} GB/s (copy or neg); torch "
          f"{torch.__version__}")
    rows, failed = [], 0
    for case in cases:
        try:
            rows += measure(case, arguments.folder, limits)
        except Exception as error:  # pylint: disable=broad-except
            print(f"{case.name}: {type(error).__name__}: {error}")
            failed += 1
    print_table(HEADER, rows)
    for name, pattern in (groups or {"": ""}).items():
        if name:
            print(name + ", ", end="")
        print_means(rows, pattern)
    sys.exit(failed != 0)
