# RUN: %python %s
# REQUIRES: avx2
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random graphs, compiled, run between guard pages at several sizes of their two
dynamic dims, and compared with ONNX Runtime (its optimizations off).

    random_graphs.py [FIRST [COUNT]]     graphs by number; a few by default

A graph follows from its number alone. Values stay of order one, and nothing that
jumps (comparisons, indices) depends on a rounded value, so that two right answers
differ by rounding alone: 1e-4 of the largest value, for chains of some 20 ops.
"""

import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

TOLERANCE = 1e-4
FEEDS = [{"n": 1, "m": 1}, {"n": 3, "m": 8}, {"n": 2, "m": 33}, {"n": 17, "m": 5}]
LEVEL = os.environ.get("LATHE_CPU_LEVEL", "native")


class Value:
    """A tensor and its shape under each of FEEDS."""

    def __init__(self, name, shapes):
        self.name, self.shapes = name, [tuple(shape) for shape in shapes]

    @property
    def rank(self):
        return len(self.shapes[0])

    def least(self, axis):
        return min(shape[axis] for shape in self.shapes)

    def fixed(self, axis):
        """The size of a dim that is the same under all feeds, or None."""
        sizes = {shape[axis] for shape in self.shapes}
        return sizes.pop() if len(sizes) == 1 else None

    def elements(self):
        return max(int(np.prod(shape)) for shape in self.shapes)


class Graph:
    """A model that grows by random nodes. The methods named op_... add one and
    return its values, or return None if no value fits."""

    def __init__(self, number):
        self.random = np.random.default_rng(number)
        self.nodes, self.constants, self.inputs, self.values = [], [], [], []
        self.used = set()
        for i, dims in enumerate([["n", 6], ["n", "m", 8], [2, "m"], [8]]):
            self.inputs.append(helper.make_tensor_value_info(
                f"x{i}", TensorProto.FLOAT, dims))
            self.values.append(Value(f"x{i}", [
                [feed.get(dim, dim) for dim in dims] for feed in FEEDS]))
        self.leaves = list(self.values)
        makers = [name for name in dir(self) if name.startswith("op_")]
        wanted = len(self.values) + int(self.random.integers(6, 16))
        while len(self.values) < wanted:
            made = getattr(self, str(self.random.choice(makers)))()
            self.values += [v for v in made or [] if v.elements() < 20000]

    # Parts ------------------------------------------------------------------

    def pick(self, accept=lambda value: True):
        """A value, recent ones more often; its name becomes used."""
        fitting = [v for v in self.values if accept(v)]
        if not fitting:
            return None
        at = min(int(self.random.exponential(4)), len(fitting) - 1)
        return fitting[-1 - at]

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def numbers(self, *values):
        return self.constant(np.array(values, np.int64))

    def weights(self, *shape):
        fan = shape[-2] if len(shape) > 1 else 1
        return self.constant((self.random.standard_normal(shape)
                              / np.sqrt(fan)).astype(np.float32))

    def node(self, op, inputs, count=1, **attributes):
        names = [f"v{len(self.nodes)}_{i}" for i in range(count)]
        inputs = [x.name if isinstance(x, Value) else x for x in inputs]
        self.used.update(inputs)
        self.nodes.append(helper.make_node(
            op, inputs, names, name=f"n{len(self.nodes)}", **attributes))
        return names

    def one(self, op, inputs, shapes, **attributes):
        return [Value(self.node(op, inputs, **attributes)[0], shapes)]

    def axis(self, value):
        """An axis of the value, as it is or counted from the end."""
        axis = int(self.random.integers(value.rank))
        return axis, axis - value.rank if self.random.random() < 0.5 else axis

    # Ops --------------------------------------------------------------------

    def op_unary(self):
        x = self.pick()
        op = str(self.random.choice(
            ["Relu", "Tanh", "Sigmoid", "Erf", "Abs", "Neg", "Softplus", "Cos",
             "HardSwish", "Gelu", "Elu", "LeakyRelu"]))
        return self.one(op, [x], x.shapes)

    def op_bounded(self):
        """exp, sqrt and log where they are harmless."""
        x = self.pick()
        tanh = self.node("Tanh", [x])[0]
        two = self.constant(np.float32(2))
        positive = self.node("Add", [tanh, two])[0]
        op = str(self.random.choice(["Exp", "Sqrt", "Log", "Reciprocal"]))
        source = tanh if op == "Exp" else positive
        return self.one(op, [source], x.shapes)

    def op_binary(self):
        x = self.pick()
        y = self.pick(lambda v: try_broadcast(x, v) is not None)
        op = str(self.random.choice(["Add", "Sub", "Max", "Min", "Mul"]))
        result = self.node(op, [x, y])[0]
        if op == "Mul":  # Powers would grow.
            result = self.node("Tanh", [result])[0]
        return [Value(result, try_broadcast(x, y))]

    def op_scalar(self):
        x = self.pick()
        op = str(self.random.choice(["Add", "Mul", "Sub"]))
        scalar = self.constant(np.float32(self.random.uniform(-1.5, 1.5)))
        return self.one(op, [scalar, x], x.shapes)

    def op_where(self):
        x = self.pick(lambda v: v in self.leaves)
        y = self.pick(lambda v: try_broadcast(x, v) is not None)
        limit = self.constant(np.float32(self.random.uniform(-1, 1)))
        truth = self.node("Greater", [x, limit])[0]
        return self.one("Where", [truth, y, limit], try_broadcast(x, y))

    def op_reduce(self):
        x = self.pick(lambda v: v.rank > 0)
        count = int(self.random.integers(1, x.rank + 1))
        axes = sorted(map(int, self.random.choice(x.rank, count, replace=False)))
        keep = int(self.random.integers(2))
        op = str(self.random.choice(["ReduceMean", "ReduceMax", "ReduceMin",
                                     "ReduceSum", "ReduceL2"]))
        shapes = [[1 if i in axes else d for i, d in enumerate(shape)
                   if keep or i not in axes] for shape in x.shapes]
        if op in ("ReduceSum", "ReduceL2"):
            x = self.node("Softmax", [x], axis=axes[0])[0]
        return self.one(op, [x, self.numbers(*axes)], shapes, keepdims=keep)

    def op_softmax(self):
        x = self.pick(lambda v: v.rank > 0)
        return self.one("Softmax", [x], x.shapes, axis=self.axis(x)[1])

    def op_layer_norm(self):
        x = self.pick(lambda v: v.rank > 1 and (v.fixed(v.rank - 1) or 0) > 2)
        if not x:
            return None
        size = x.fixed(x.rank - 1)
        return self.one("LayerNormalization",
                        [x, self.weights(size), self.weights(size)], x.shapes,
                        epsilon=0.1)

    def op_transpose(self):
        x = self.pick(lambda v: v.rank > 1)
        order = list(map(int, self.random.permutation(x.rank)))
        return self.one("Transpose", [x], [[s[i] for i in order] for s in x.shapes],
                        perm=order)

    def op_flatten(self):
        x = self.pick(lambda v: v.rank > 1)
        axis = int(self.random.integers(1, x.rank))
        shapes = [[int(np.prod(s[:axis])), int(np.prod(s[axis:]))]
                  for s in x.shapes]
        return self.one("Flatten", [x], shapes, axis=axis)

    def op_split_dim(self):
        x = self.pick(lambda v: any(v.fixed(i) in (6, 8, 12) for i in range(v.rank)))
        if not x:
            return None
        axis = next(i for i in range(x.rank) if x.fixed(i) in (6, 8, 12))
        size = x.fixed(axis)
        target = [0] * axis + [2, size // 2]
        shapes = [[*s[:axis], 2, size // 2, *s[axis + 1:]] for s in x.shapes]
        rest = x.rank - axis - 1
        if rest > 1:
            return None
        return self.one("Reshape", [x, self.numbers(*target, *[-1] * rest)], shapes)

    def op_unsqueeze(self):
        x = self.pick(lambda v: v.rank < 4)
        axis = int(self.random.integers(x.rank + 1))
        return self.one("Unsqueeze", [x, self.numbers(axis)],
                        [[*s[:axis], 1, *s[axis:]] for s in x.shapes])

    def op_slice(self):
        x = self.pick(lambda v: v.rank > 0)
        axis, named = self.axis(x)
        least = x.least(axis)
        begin = int(self.random.integers(-1, least))
        end = int(self.random.choice([2**62, -1, least]))
        step = int(self.random.choice([1, 1, 2, 3]))
        if self.random.random() < 0.25:
            begin, end, step = -1, -2**62, -step
        shapes = []
        for shape in x.shapes:
            size = len(range(shape[axis])[slice(
                begin, None if abs(end) > 2**61 else end, step)])
            if not size:
                return None
            shapes.append([*shape[:axis], size, *shape[axis + 1:]])
        return self.one("Slice", [x, *map(self.numbers, (begin, end, named, step))],
                        shapes)

    def op_concat(self):
        x = self.pick(lambda v: v.rank > 0)
        axis, named = self.axis(x)

        def fits(v):
            return v.rank == x.rank and all(
                a[:axis] + a[axis + 1:] == b[:axis] + b[axis + 1:]
                for a, b in zip(x.shapes, v.shapes))
        parts = [x] + [self.pick(fits) for _ in range(int(self.random.integers(1, 3)))]
        shapes = [[*s[:axis], sum(p.shapes[i][axis] for p in parts), *s[axis + 1:]]
                  for i, s in enumerate(x.shapes)]
        return self.one("Concat", parts, shapes, axis=named)

    def op_split(self):
        x = self.pick(lambda v: any((v.fixed(i) or 0) > 1 for i in range(v.rank)))
        axis = next(i for i in range(x.rank) if (x.fixed(i) or 0) > 1)
        size = x.fixed(axis)
        first = int(self.random.integers(1, size))
        names = self.node("Split", [x, self.numbers(first, size - first)], 2,
                          axis=axis)
        return [Value(name, [[*s[:axis], part, *s[axis + 1:]] for s in x.shapes])
                for name, part in zip(names, (first, size - first))]

    def op_pad(self):
        x = self.pick(lambda v: v.rank > 0)
        pads = self.random.integers(0, 3, 2 * x.rank)
        shapes = [[d + int(pads[i] + pads[i + x.rank]) for i, d in enumerate(s)]
                  for s in x.shapes]
        return self.one("Pad", [x, self.numbers(*pads), self.constant(
            np.float32(0.5))], shapes)

    def op_expand(self):
        x = self.pick(lambda v: v.rank < 3)
        return self.one("Expand", [x, self.numbers(3, *[1] * x.rank)],
                        [[3, *s] for s in x.shapes])

    def op_tile(self):
        x = self.pick(lambda v: v.rank > 0)
        repeats = self.random.integers(1, 3, x.rank)
        return self.one("Tile", [x, self.numbers(*repeats)],
                        [[d * int(r) for d, r in zip(s, repeats)] for s in x.shapes])

    def op_gather(self):
        x = self.pick(lambda v: v.rank > 0)
        axis, named = self.axis(x)
        least = x.least(axis)
        shape = [(), (1,), (5,), (2, 3)][int(self.random.integers(4))]
        indices = self.constant(self.random.integers(-least, least, shape))
        return self.one("Gather", [x, indices],
                        [[*s[:axis], *shape, *s[axis + 1:]] for s in x.shapes],
                        axis=named)

    def op_cumsum(self):
        x = self.pick(lambda v: v.rank > 0)
        axis, named = self.axis(x)
        soft = self.node("Softmax", [x], axis=axis)[0]
        flags = self.random.integers(0, 2, 2)
        return self.one("CumSum", [soft, self.constant(np.int64(named))], x.shapes,
                        exclusive=int(flags[0]), reverse=int(flags[1]))

    def op_linear(self):
        x = self.pick(lambda v: v.rank > 1 and v.fixed(v.rank - 1))
        if not x:
            return None
        size = int(self.random.choice([1, 6, 8, 37, 64]))
        w = self.weights(x.fixed(x.rank - 1), size)
        shapes = [[*s[:-1], size] for s in x.shapes]
        product = self.node("MatMul", [x, w])[0]
        return self.one("Add", [product, self.weights(size)], shapes)

    def op_product(self):
        """A matrix times its own transpose: attention's first half."""
        x = self.pick(lambda v: v.rank > 1)
        order = [*range(x.rank - 2), x.rank - 1, x.rank - 2]
        other = self.node("Transpose", [x], perm=order)[0]
        product = self.node("MatMul", [x, other])[0]
        return self.one("Tanh", [product], [[*s[:-1], s[-2]] for s in x.shapes])

    def op_weighted(self):
        """Attention's second half, over any two dims."""
        x = self.pick(lambda v: v.rank > 2)
        if not x:
            return None
        order = [*range(x.rank - 2), x.rank - 1, x.rank - 2]
        turned = self.node("Transpose", [x], perm=order)[0]
        scores = self.node("MatMul", [x, turned])[0]
        weights = self.node("Softmax", [scores], axis=-1)[0]
        return self.one("MatMul", [weights, x], x.shapes)

    def op_convolution(self):
        x = self.pick(lambda v: v.rank == 3 and v.fixed(1))
        if not x:
            return None
        channels = x.fixed(1)
        group = channels if self.random.random() < 0.3 else 1
        width = int(self.random.choice([1, 3]))
        stride = int(self.random.integers(1, 3))
        w = self.weights(5 * group if group == 1 else group, channels // group, width)
        pad = width // 2
        out = 5 if group == 1 else group
        shapes = [[s[0], out, (s[2] + 2 * pad - width) // stride + 1]
                  for s in x.shapes]
        return self.one("Conv", [x, w], shapes, group=group, pads=[pad, pad],
                        strides=[stride])

    # The whole --------------------------------------------------------------

    def build(self):
        ends = [v for v in self.values[len(self.leaves):] if v.name not in self.used]
        outputs = [helper.make_tensor_value_info(
            v.name, TensorProto.FLOAT, [None] * v.rank) for v in ends]
        graph = helper.make_graph(self.nodes, "random", self.inputs, outputs,
                                  self.constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        onnx.checker.check_model(model, full_check=True)
        return model


def try_broadcast(x, y):
    """The shapes of an elementwise op on both, or None. A dynamic dim is never
    stretched in one feed and not in another."""
    rank = max(x.rank, y.rank)
    shapes = [[] for _ in FEEDS]
    for axis in range(-rank, 0):
        a = [s[axis] if -axis <= x.rank else 1 for s in x.shapes]
        b = [s[axis] if -axis <= y.rank else 1 for s in y.shapes]
        if a != b and set(a) != {1} and set(b) != {1}:
            return None
        for shape, p, q in zip(shapes, a, b):
            shape.append(q if set(a) == {1} else p)
    return shapes


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (
        f"{' '.join(command)}\nexit {done.returncode}\n{done.stderr[-3000:]}")


def check(number, folder):
    model = Graph(number).build()
    path = os.path.join(folder, f"random-{number}")
    onnx.save(model, path + ".onnx")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = (
        onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    run("lathe", "compile", path + ".onnx", "-o", path + ".lathe", "--target",
        "x86:cpu=" + LEVEL)
    random = np.random.default_rng(number)
    for sizes in FEEDS:
        feed = {i.name: random.standard_normal(
            [sizes.get(d.dim_param, d.dim_value) for d in i.type.tensor_type.shape.dim]
        ).astype(np.float32) for i in model.graph.input}
        np.savez(path + ".in.npz", **feed)
        run("lathe", "run", path + ".lathe", "--inputs", path + ".in.npz",
            "--outputs", path + ".out.npz", "--guard")
        wanted = dict(zip([o.name for o in session.get_outputs()],
                          session.run(None, feed)))
        with np.load(path + ".out.npz") as got:
            for name, want in wanted.items():
                compare(f"graph {number}, {sizes}, {name}", got[name], want)


def compare(what, got, want):
    assert got.shape == want.shape, f"{what}: {got.shape}, expected {want.shape}"
    limit = TOLERANCE * max(1.0, abs(want).max())
    wrong = ~(abs(got - want) <= limit)
    if wrong.any():
        at = tuple(np.argwhere(wrong)[0])
        raise AssertionError(f"{what}: {wrong.sum()} of {wrong.size} differ, first "
                             f"at {at}: {got[at]}, expected {want[at]}")


def main(first=0, count=10):
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(int(first), int(first) + int(count)):
            try:
                check(number, folder)
            except AssertionError as error:
                failures += 1
                print(f"graph {number}: {error}", flush=True)
    assert not failures, f"{failures} graphs fail"


if __name__ == "__main__":
    main(*sys.argv[1:])
