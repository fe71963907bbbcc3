# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the benchmarks share: fair timing of several peers in one process, the
limits of the machine, inputs, floating-point work of an ONNX model, tables.

The clock of one core varies by a factor of two over milliseconds, so a time by
itself means little. Peers take turns in short blocks, in shuffled order, and
the figure to read is the median over rounds of the ratio within a round.
"""

import collections
import ctypes
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
BUILD = os.environ.setdefault("LATHE_BUILD", os.path.join(ROOT, "build"))
WORK = os.path.join(BUILD, "benchmarks")

sys.path.insert(0, os.path.join(ROOT, "python"))
onnxruntime.set_default_logger_severity(4)


# Peers -----------------------------------------------------------------------

def run_tool(*arguments):
    """Runs the command line; its message is the exception's text if it fails."""
    done = subprocess.run([os.path.join(BUILD, "bin", "lathe"), *arguments],
                          capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return done.stdout


def work_file(model, ending):
    """Where something made of a model is kept between runs."""
    os.makedirs(WORK, exist_ok=True)
    return os.path.join(
        WORK, os.path.basename(model.rstrip("/")).removesuffix(".onnx") + ending)


def is_newer(path, *sources):
    return os.path.exists(path) and os.path.getmtime(path) >= max(
        os.path.getmtime(source) for source in sources)


def compile_model(model, *options):
    """Compiles into the work folder unless a newer bundle is there. Returns its path."""
    label = "".join(c if c.isalnum() else "_" for c in "".join(options))
    bundle = work_file(model, f"{label}.lathe")
    if not is_newer(bundle, model,
                    os.path.join(BUILD, "libexec", "lathe", "lathe-compile")):
        run_tool("compile", model, "-o", bundle, *options)
    return bundle


def lathe_model(bundle, threads):
    """A bundle in this process, through python/lathe."""
    import lathe as binding
    return binding.Model(bundle, threads=threads)


def ort_session(model, threads):
    """An ONNX Runtime session at its best settings. Its threads stop spinning when a
    run ends: they would otherwise take the core from the peer that comes next."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(model, options,
                                        providers=["CPUExecutionProvider"])


def bind_ort(session, feeds):
    """A function without arguments that runs the session, with all copies of inputs
    and outputs prepared outside the clock."""
    binding = session.io_binding()
    for name, array in feeds.items():
        binding.bind_cpu_input(name, array)
    for output in session.get_outputs():
        binding.bind_output(output.name)
    return lambda: session.run_with_iobinding(binding)


def quantize_dynamic(model):
    """ONNX Runtime's own int8 form of a model, in the work folder."""
    import logging
    from onnxruntime.quantization import QuantType, quantize_dynamic as quantize
    logging.getLogger().setLevel(logging.ERROR)  # it advises on preprocessing
    path = work_file(model, ".ort-int8.onnx")
    if not is_newer(path, model):
        quantize(model, path, weight_type=QuantType.QInt8)
    return path


# Timing ----------------------------------------------------------------------

class Timing:
    """Seconds per call of one peer: `calls` of all, `rounds` the median of each round."""

    def __init__(self):
        self.calls, self.rounds = [], []

    median = property(lambda self: statistics.median(self.calls))


def measure(peers, seconds=2.0, rounds=15, seed=0, clock=time.perf_counter):
    """Times functions without arguments by turns. `peers` maps names to them. On a
    busy machine time.thread_time tells more, but of one thread only."""
    timings = {name: Timing() for name in peers}
    slowest = 0
    for run in peers.values():
        run()
        start = clock()
        run()
        slowest = max(slowest, clock() - start)
    calls = max(1, min(200, int(seconds / rounds / max(slowest, 1e-6))))
    order = list(peers)
    shuffler = random.Random(seed)
    for _ in range(rounds):
        shuffler.shuffle(order)
        for name in order:
            run = peers[name]
            time.sleep(0.003)  # the other's threads come to rest
            run()
            samples = []
            for _ in range(calls):
                start = clock()
                run()
                samples.append(clock() - start)
            timings[name].calls += samples
            timings[name].rounds.append(statistics.median(samples))
    return timings


def ratio(timings, peer, ours):
    """How many times faster `ours` is: the median over rounds."""
    return statistics.median(
        p / o for p, o in zip(timings[peer].rounds, timings[ours].rounds))


# The machine -----------------------------------------------------------------

def _peak_library():
    os.makedirs(WORK, exist_ok=True)
    source, library = os.path.join(HERE, "peak.c"), os.path.join(WORK, "peak.so")
    if not os.path.exists(library) or os.path.getmtime(library) < os.path.getmtime(source):
        subprocess.run(["clang-22", "-O2", "-march=native", "-ffp-contract=fast",
                        "-shared", "-fPIC", source, "-o", library], check=True)
    dll = ctypes.CDLL(library)
    dll.peak_gflops.restype = dll.peak_read.restype = ctypes.c_double
    dll.peak_read.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return dll


def peak_gflops():
    """f32 FMA peak of one core, GFLOP/s."""
    return _peak_library().peak_gflops(300)


def peak_read():
    """GB/s that one core reads from memory."""
    data = np.ones(256 << 20, np.uint8)
    start = -data.ctypes.data % 512
    return _peak_library().peak_read(data.ctypes.data + start, data.size - 512, 5)


def describe_machine():
    with open("/proc/cpuinfo") as info:
        name = next(line.split(":")[1].strip() for line in info
                    if line.startswith("model name"))
    load = os.getloadavg()[0]
    return (f"{name}, {len(os.sched_getaffinity(0))} cores, load {load:.1f}; one core: "
            f"f32 FMA {peak_gflops():.0f} GFLOP/s, reads {peak_read():.1f} GB/s; "
            f"onnxruntime {onnxruntime.__version__}")


# Inputs and work of a model --------------------------------------------------

ELEMENTS = {
    "tensor(float)": np.float32, "tensor(double)": np.float64,
    "tensor(float16)": np.float16, "tensor(int64)": np.int64,
    "tensor(int32)": np.int32, "tensor(int8)": np.int8, "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}


def index_ranges(model):
    """Inputs that index a weight (token ids and the like) -> how many rows it has."""
    graph = onnx.load(model, load_external_data=False).graph
    rows = {w.name: w.dims[0] for w in graph.initializer if w.dims}
    # Exporters put casts between an input and the lookup.
    source = {}
    ranges = {}
    for node in graph.node:
        if node.op_type in ("Cast", "Identity"):
            source[node.output[0]] = source.get(node.input[0], node.input[0])
        if node.op_type == "Gather" and node.input[0] in rows:
            name = source.get(node.input[1], node.input[1])
            ranges[name] = rows[node.input[0]]
    return ranges


def make_inputs(model, session, sizes, seed=0):
    """Random inputs with the named dims at `sizes`. Ids are below the length of the
    table they index; other integers are 0 or 1; a two-dim mask is ones, then zeros, with
    a length of its own in each row."""
    generator = np.random.default_rng(seed)
    ranges = index_ranges(model)
    feeds = {}
    for info in session.get_inputs():
        shape = []
        for dim in info.shape:
            if isinstance(dim, str) and dim not in sizes:
                raise ValueError(f"the size of '{dim}' of '{info.name}' is open")
            shape.append(sizes[dim] if isinstance(dim, str) else dim)
        dtype = ELEMENTS[info.type]
        if np.issubdtype(dtype, np.floating):
            array = generator.standard_normal(shape).astype(dtype)
        elif "mask" in info.name and len(shape) == 2:
            lengths = generator.integers(min(1, shape[1]), shape[1] + 1, shape[0])
            lengths[:1] = shape[1]
            array = (np.arange(shape[1]) < lengths[:, None]).astype(dtype)
        else:
            array = generator.integers(0, ranges.get(info.name, 2), shape).astype(dtype)
        feeds[info.name] = array
    return feeds


def count_flops(model, feeds):
    """Floating-point operations of the matrix products and convolutions in a run, two
    for each multiply-add. Shapes come from a run that returns every operand."""
    proto = onnx.load(model)
    wanted = collections.OrderedDict()
    for node in proto.graph.node:
        if node.op_type in ("MatMul", "Gemm", "Conv"):
            for name in (*node.input[:2], node.output[0]):
                wanted[name] = None
    known = {o.name for o in proto.graph.output}
    weights = {w.name: tuple(w.dims) for w in proto.graph.initializer}
    for name in wanted:
        if name not in known and name not in weights and name not in feeds:
            proto.graph.output.append(onnx.ValueInfoProto(name=name))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    with tempfile.NamedTemporaryFile(suffix=".onnx", dir=WORK) as file:
        onnx.save(proto, file.name)
        session = onnxruntime.InferenceSession(file.name, options)
        names = [o.name for o in session.get_outputs()]
        shapes = dict(weights)
        shapes.update((k, v.shape) for k, v in feeds.items())
        shapes.update((n, v.shape) for n, v in zip(names, session.run(None, feeds)))
    flops = 0
    for node in proto.graph.node:
        if node.op_type == "MatMul":
            flops += 2 * np.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
        elif node.op_type == "Gemm":
            transposed = any(a.name == "transA" and a.i for a in node.attribute)
            flops += (2 * np.prod(shapes[node.output[0]])
                      * shapes[node.input[0]][0 if transposed else 1])
        elif node.op_type == "Conv":
            flops += 2 * np.prod(shapes[node.output[0]]) * np.prod(shapes[node.input[1]][1:])
    return float(flops)


def max_error(got, expected):
    """The largest difference over all outputs, relative to each one's largest value."""
    worst = 0.0
    for name, want in expected.items():
        if got[name].shape != want.shape:
            return float("inf")
        if want.size == 0:
            continue
        difference = np.abs(got[name].astype(np.float64) - want.astype(np.float64)).max()
        scale = max(np.abs(want.astype(np.float64)).max(), 1e-30)
        worst = max(worst, float("nan") if np.isnan(difference) else difference / scale)
    return worst


# Output ----------------------------------------------------------------------

def print_table(columns, rows):
    """A Markdown table with aligned columns."""
    rows = [[str(cell) for cell in row] for row in rows]  # may be a generator
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]

    def line(cells):
        print("| " + " | ".join(c.ljust(w) for c, w in zip(cells, widths)) + " |")

    line(columns)
    print("|" + "|".join("-" * (w + 2) for w in widths) + "|")
    for row in rows:
        line(row)
    sys.stdout.flush()


def ms(seconds):
    return f"{seconds * 1e3:.3g}" if seconds < 0.0995 else f"{seconds * 1e3:.0f}"
