# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Evaluates imported graph IR with NumPy: what the ops mean, not how they are
compiled. Tests compare it with other implementations of the model."""

import itertools
import math

import numpy as np

from graph_ir import Module


class HostOp(Exception):
    """A host built-in, which belongs to the runtime."""


def wide(x):
    """Narrow floats are computed in f32."""
    narrow = x.dtype.kind in "fV" and x.dtype.itemsize < 4
    return x.astype(np.float32) if narrow else x


erf = np.vectorize(math.erf, otypes=[np.float64])

UNARY = {
    "neg": np.negative, "abs": np.abs, "exp": np.exp, "log": np.log,
    "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x), "sin": np.sin,
    "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "asinh": np.arcsinh,
    "acosh": np.arccosh, "atanh": np.arctanh, "tanh": np.tanh, "erf": erf,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: x / 2 * (1 + erf(x / np.sqrt(2))),
    "gelu_tanh": lambda x: x / 2 * (1 + np.tanh(
        np.sqrt(2 / np.pi) * (x + 0.044715 * x ** 3))),
    "floor": np.floor, "ceil": np.ceil, "round": np.rint, "sign": np.sign,
    "not": np.invert, "is_nan": np.isnan, "is_inf": np.isinf,
}


def divide(x, y):
    if x.dtype.kind == "f":
        return x / y
    return np.trunc(x.astype(object) / y).astype(x.dtype) if x.size else x


BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "pow": np.power,
    "mod": np.mod, "rem": np.fmod, "max": np.maximum, "min": np.minimum,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
    "shl": np.left_shift, "shr": np.right_shift,
}

COMPARE = {"eq": np.equal, "ne": np.not_equal, "lt": np.less,
           "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal}
REDUCE = {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min,
          "prod": np.prod}
SCATTER = {"set": lambda a, b: b, "add": lambda a, b: a + b,
           "mul": lambda a, b: a * b, "max": max, "min": min}


def softmax(x, axis):
    top = np.max(x, axis=axis, keepdims=True)
    power = np.exp(x - np.where(np.isinf(top), 0, top))
    return power / np.sum(power, axis=axis, keepdims=True)


def windows(x, kernel, strides, dilations):
    """[N, C, positions..., kernel...] of a padded input."""
    n = len(kernel)
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
    view = np.lib.stride_tricks.sliding_window_view(
        x, extent, axis=tuple(range(2, 2 + n)))
    steps = tuple(slice(None, None, s) for s in strides)
    taps = tuple(slice(None, None, d) for d in dilations)
    return view[(slice(None), slice(None)) + steps + taps]


def pad(x, low, high, value):
    for axis, (a, b) in enumerate(zip(low, high)):
        cut = [slice(None)] * x.ndim
        cut[axis] = slice(max(-a, 0), x.shape[axis] - max(-b, 0))
        x = x[tuple(cut)]
    widths = [(max(a, 0), max(b, 0)) for a, b in zip(low, high)]
    return np.pad(x, widths, constant_values=value)


class Evaluator:
    def __init__(self, text):
        if "graph.given" in text:
            raise HostOp("control flow")  # Functions that run functions.
        self.module = Module(text)

    def run(self, inputs):
        self.symbols, self.values = {}, {}
        for name, attrs in zip(self.module.names, self.module.arguments):
            value = np.asarray(inputs[attrs["graph.name"]])
            self.values[name] = value
            for expr, size in zip(attrs["graph.dims"].results, value.shape):
                if expr.startswith("s") and expr[1:].isdigit():
                    self.symbols[int(expr[1:])] = size
        with np.errstate(all="ignore"):
            for op, operands, attrs, results, types in self.module.ops:
                self.run_op(op, operands, attrs, results, types)
        return {name: self.values[value] for name, value in
                zip(self.module.outputs, self.module.results)}

    def run_op(self, op, operands, attrs, results, types):
        args = [self.values[name] for name in operands]
        if op == "builtin":
            raise HostOp(attrs["callee"])
        value = np.asarray(self.evaluate(op, args, attrs, types[0]))
        if value.dtype != types[0].dtype:
            value = value.astype(types[0].dtype)
        for found, declared in zip(value.shape, types[0].shape):
            assert declared in (None, found), (op, value.shape, types[0].shape)
        assert value.ndim == len(types[0].shape), (op, value.shape)
        self.values[results[0]] = value
        for symbol, size in zip(attrs.get("binds", []), value.shape):
            self.symbols[symbol] = size

    def sizes(self, a_map):
        count = max(self.symbols, default=-1) + 1
        return a_map([self.symbols.get(i, 0) for i in range(count)])

    def evaluate(self, op, args, attrs, result):
        if op in UNARY:
            return UNARY[op](wide(args[0]))
        if op in BINARY:
            return BINARY[op](wide(args[0]), wide(args[1]))
        return getattr(self, "op_" + op)(args, attrs, result)

    def op_constant(self, args, attrs, result):
        return attrs["value"]

    def op_div(self, args, attrs, result):
        return divide(wide(args[0]), wide(args[1]))

    def op_compare(self, args, attrs, result):
        return COMPARE[attrs["kind"]](*args)

    def op_select(self, args, attrs, result):
        return np.where(*args)

    def op_cast(self, args, attrs, result):
        x, kind = args[0], result.dtype
        if kind.kind in "iu" and x.dtype.kind in "fV":
            info, x = np.iinfo(kind), np.trunc(x.astype(np.float64))
            return np.array([min(max(int(v), info.min), info.max)
                             if v == v and abs(v) != np.inf else
                             (info.max if v > 0 else info.min if v < 0 else 0)
                             for v in x.ravel()], kind).reshape(x.shape)
        return x.astype(kind)

    def op_dim(self, args, attrs, result):
        return np.int64(args[0].shape[attrs["axis"]])

    def op_reshape(self, args, attrs, result):
        return args[0].reshape(self.sizes(attrs["shape"]))

    def op_dynamic_reshape(self, args, attrs, result):
        shape = list(args[1])
        if not attrs.get("allow_zero"):
            shape = [args[0].shape[i] if d == 0 else d
                     for i, d in enumerate(shape)]
        return args[0].reshape(shape)

    def op_broadcast(self, args, attrs, result):
        return np.broadcast_to(args[0], self.sizes(attrs["shape"]))

    def op_dynamic_broadcast(self, args, attrs, result):
        shape = np.broadcast_shapes(args[0].shape, tuple(args[1]))
        return np.broadcast_to(args[0], shape)

    def op_transpose(self, args, attrs, result):
        return args[0].transpose(attrs["permutation"])

    def op_slice(self, args, attrs, result):
        starts, sizes = self.sizes(attrs["starts"]), self.sizes(attrs["sizes"])
        index = [start + step * np.arange(size) for start, size, step in
                 zip(starts, sizes, attrs["steps"])]
        return args[0][np.ix_(*index)] if index else args[0]

    def op_dynamic_slice(self, args, attrs, result):
        x, starts, ends, *rest = args
        counts = attrs.get("operandSegmentSizes", [1, 1, 1, 1, 1])
        axes = rest.pop(0) if counts[3] else range(len(starts))
        steps = rest.pop(0) if counts[4] else [1] * len(starts)
        cut = [slice(None)] * x.ndim
        for start, end, axis, step in zip(starts, ends, axes, steps):
            if step < 0 and end < -x.shape[axis]:
                end = None
            cut[axis] = slice(start, end, step)
        return x[tuple(cut)]

    def op_concat(self, args, attrs, result):
        return np.concatenate(args, attrs["axis"])

    def op_pad(self, args, attrs, result):
        if attrs["mode"] == "constant":
            return pad(args[0], attrs["low"], attrs["high"], args[1])
        return np.pad(args[0], list(zip(attrs["low"], attrs["high"])),
                      mode=attrs["mode"])

    def op_iota(self, args, attrs, result):
        return attrs["start"] + np.arange(self.sizes(attrs["size"])[0])

    def op_dynamic_iota(self, args, attrs, result):
        return np.arange(args[0], args[1], args[2])

    def op_gather(self, args, attrs, result):
        return np.take(args[0], args[1], attrs["axis"])

    def op_gather_elements(self, args, attrs, result):
        data, indices = args
        part = [slice(size) for size in indices.shape]
        part[attrs["axis"]] = slice(None)
        return np.take_along_axis(data[tuple(part)], indices, attrs["axis"])

    def op_gather_nd(self, args, attrs, result):
        data, indices = args
        batch = attrs["batch_dims"]
        tail = data.shape[batch + indices.shape[-1]:]
        out = np.empty(indices.shape[:-1] + tail, data.dtype)
        for place in np.ndindex(indices.shape[:-1]):
            out[place] = data[place[:batch] + tuple(indices[place])]
        return out

    def op_scatter_elements(self, args, attrs, result):
        data, indices, updates = args
        out, axis = data.copy(), attrs["axis"]
        for place in np.ndindex(indices.shape):
            to = list(place)
            to[axis] = indices[place]
            to = tuple(to)
            out[to] = SCATTER[attrs["mode"]](out[to], updates[place])
        return out

    def op_scatter_nd(self, args, attrs, result):
        data, indices, updates = args
        out = data.copy()
        for place in np.ndindex(indices.shape[:-1]):
            for tail in np.ndindex(data.shape[indices.shape[-1]:]):
                to = tuple(indices[place]) + tail
                out[to] = SCATTER[attrs["mode"]](out[to], updates[place + tail])
        return out

    def op_reduce(self, args, attrs, result):
        x, kind, start = wide(args[0]), attrs["kind"], {}
        if kind in ("max", "min"):  # Of no elements: the least or the greatest.
            floats = x.dtype.kind == "f"
            info = None if floats else np.iinfo(x.dtype)
            start["initial"] = {
                "max": -np.inf if floats else info.min,
                "min": np.inf if floats else info.max}[kind]
        return REDUCE[kind](x, axis=tuple(attrs["axes"]),
                            keepdims=bool(attrs.get("keep_dims")), **start)

    def op_arg_reduce(self, args, attrs, result):
        x, axis = args[0], attrs["axis"]
        arg = {"max": np.argmax, "min": np.argmin}[attrs["kind"]]
        keep = bool(attrs.get("keep_dims"))
        if attrs.get("last_index"):
            return x.shape[axis] - 1 - arg(np.flip(x, axis), axis, keepdims=keep)
        return arg(x, axis, keepdims=keep)

    def op_softmax(self, args, attrs, result):
        x = wide(args[0])
        if not attrs.get("log"):
            return softmax(x, attrs["axis"])
        shifted = x - np.max(x, axis=attrs["axis"], keepdims=True)
        return shifted - np.log(
            np.sum(np.exp(shifted), axis=attrs["axis"], keepdims=True))

    def op_layer_norm(self, args, attrs, result):
        x, axes = wide(args[0]), tuple(range(attrs["axis"], args[0].ndim))
        counts = attrs.get("operandSegmentSizes", [1] * len(args))
        centered = x - x.mean(axis=axes, keepdims=True)
        y = centered / np.sqrt((centered ** 2).mean(axis=axes, keepdims=True)
                               + attrs["epsilon"])
        rest = args[1:]
        y = y * wide(rest.pop(0)) if counts[1] else y
        return y + wide(rest.pop(0)) if rest else y

    def op_rms_norm(self, args, attrs, result):
        x, axes = wide(args[0]), tuple(range(attrs["axis"], args[0].ndim))
        y = x / np.sqrt((x ** 2).mean(axis=axes, keepdims=True)
                        + attrs["epsilon"])
        return y * wide(args[1]) if len(args) > 1 else y

    def op_cumulate(self, args, attrs, result):
        axis, x = attrs["axis"], args[0]
        x = np.flip(x, axis) if attrs.get("reverse") else x
        y = np.cumsum(x, axis)
        y = y - x if attrs.get("exclusive") else y
        return np.flip(y, axis) if attrs.get("reverse") else y

    def op_matmul(self, args, attrs, result):
        return np.matmul(wide(args[0]), wide(args[1]))

    def op_conv(self, args, attrs, result):
        x, weight = wide(args[0]), wide(args[1])
        groups, pads, n = attrs["groups"], attrs["pads"], x.ndim - 2
        x = pad(x, [0, 0] + pads[:n], [0, 0] + pads[n:], 0)
        view = windows(x, weight.shape[2:], attrs["strides"],
                       attrs["dilations"])
        inputs, outputs = weight.shape[1], weight.shape[0] // groups
        taps = list(range(2 + n, 2 + 2 * n))
        parts = [np.tensordot(
            view[:, g * inputs:(g + 1) * inputs],
            weight[g * outputs:(g + 1) * outputs],
            ([1] + taps, [1] + list(range(2, 2 + n))))
            for g in range(groups)]
        return np.moveaxis(np.concatenate(parts, -1), -1, 1)

    def op_pool(self, args, attrs, result):
        x, pads, n = wide(args[0]), attrs["pads"], args[0].ndim - 2
        low, high = list(pads[:n]), list(pads[n:])
        extra = [0] * n
        for i in range(n):
            extent = (attrs["kernel"][i] - 1) * attrs["dilations"][i] + 1
            over = x.shape[2 + i] + low[i] + high[i] - extent
            if attrs.get("ceil"):
                stride = attrs["strides"][i]
                steps = -(-over // stride)
                # The last window must start inside the input or its low pad.
                if steps * stride >= x.shape[2 + i] + low[i]:
                    steps -= 1
                extra[i] = max(steps * stride - over, 0)
        def view(value, fill, inner):
            value = pad(value, [0, 0] + low, [0, 0] + high, inner)
            value = pad(value, [0] * value.ndim, [0, 0] + extra, fill)
            return windows(value, attrs["kernel"], attrs["strides"],
                           attrs["dilations"])
        taps = tuple(range(-n, 0))
        if attrs["kind"] == "max":
            lowest = (-np.inf if x.dtype.kind == "f"
                      else np.iinfo(x.dtype).min)
            return view(x, lowest, lowest).max(axis=taps)
        ones = view(np.ones_like(x), 0, 1 if attrs.get("include_pad") else 0)
        return view(x, 0, 0).sum(axis=taps) / ones.sum(axis=taps)

    def op_attention(self, args, attrs, result):
        query, key, value = (wide(x) for x in args[:3])
        times = query.shape[1] // key.shape[1]
        key, value = np.repeat(key, times, 1), np.repeat(value, times, 1)
        kind, score = attrs["score"]
        logits = np.matmul(query, key.swapaxes(-1, -2)) * score["scale"]
        if score.get("cap"):
            logits = score["cap"] * np.tanh(logits / score["cap"])
        if kind == "sigmoid":
            logits = logits + score.get("bias", 0)
        if len(args) > 3:
            mask = args[3]
            logits = (np.where(mask, logits, -np.inf) if mask.dtype == bool
                      else logits + wide(mask))
        selection, window = attrs["selection"]
        if selection == "window":
            n, m = logits.shape[-2:]
            distance = np.arange(m) - (np.arange(n)[:, None] + m - n)
            if window["left"] >= 0:
                logits = np.where(-distance <= window["left"], logits, -np.inf)
            if window["right"] >= 0:
                logits = np.where(distance <= window["right"], logits, -np.inf)
        if kind == "sigmoid":
            weights = 1 / (1 + np.exp(-logits))
        else:
            weights = np.nan_to_num(softmax(logits, -1))
        return np.matmul(weights, value)
