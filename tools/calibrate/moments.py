#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Second moments of the inputs of a model's linear layers, over sample inputs:
what `lathe compile --weights int4 --calibration FILE` rounds by, or prunes.

    moments.py MODEL.onnx -o FILE.safetensors INPUTS.npz...

Each INPUTS.npz holds the model's inputs for one call, by name. A hundred typical
ones are plenty. FILE gets a [k, k] tensor E[x x^T] per MatMul or Gemm whose second
operand is a weight, named as the node. The model runs in ONNX Runtime.
"""

import argparse
import os
import zipfile

import numpy as np
import onnx
import onnxruntime
from safetensors import SafetensorError
from safetensors.numpy import save_file


def linear_layers(graph):
    """Node -> the name of its input, for products with a constant matrix."""
    derived = {w.name: list(w.dims) for w in graph.initializer}
    for node in graph.node:  # exporters transpose and cast weights
        if node.op_type == "Constant":
            derived |= {node.output[0]: list(a.t.dims) for a in node.attribute
                        if a.name == "value"}
        if node.op_type in ("Transpose", "Cast", "Identity", "DequantizeLinear"):
            if node.input[0] in derived:
                derived[node.output[0]] = derived[node.input[0]]
    return {node.name: node.input[0] for node in graph.node
            if node.op_type in ("MatMul", "Gemm") and node.name
            and len(derived.get(node.input[1], [])) == 2
            and not any(a.name == "transA" and a.i for a in node.attribute)}


class InputError(Exception):
    """What is wrong with a file, in one line that names it."""


def open_model(path):
    """The session of a model that also returns what its layers read, and the
    layers: node -> name of its input."""
    try:
        model = onnx.load(path)
        layers = linear_layers(model.graph)
        wanted = set(layers.values()) - {i.name for i in model.graph.input}
        wanted -= {o.name for o in model.graph.output}
        model.graph.output.extend(
            onnx.ValueInfoProto(name=name) for name in sorted(wanted))
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX and its runtime share no base class
        raise InputError(f"{path}: {first_line(error)}") from error
    if not layers:
        raise InputError(f"{path}: no linear layer with a name")
    return session, layers


def read_sample(path, names):
    """The arrays of `names` in an .npz; what else it holds is left alone."""
    try:
        arrays = np.load(path)
        if not isinstance(arrays, np.lib.npyio.NpzFile):
            raise InputError(f"{path}: no .npz file: it holds one array")
        with arrays:
            missing = sorted(set(names) - set(arrays.files))
            if missing:
                raise InputError(f"{path}: no array named '{missing[0]}'; it has "
                                 f"{', '.join(arrays.files) or 'none'}")
            return {name: arrays[name] for name in names}
    except (OSError, ValueError, AttributeError, TypeError,
            zipfile.BadZipFile) as error:
        raise InputError(f"{path}: no .npz file: {first_line(error)}") from error


def collect(session, layers, samples):
    """Node -> E[x x^T] of its input over the rows of all samples."""
    names = [i.name for i in session.get_inputs()]
    wanted = sorted(set(layers.values()))
    fetched = [name for name in wanted if name not in names]
    sums, counts = {}, dict.fromkeys(wanted, 0)
    for path in samples:
        feeds = read_sample(path, names)
        try:
            values = dict(zip(fetched, session.run(fetched, feeds))) | feeds
        except Exception as error:  # as above
            raise InputError(f"{path}: {first_line(error)}") from error
        for name in wanted:
            rows = values[name].reshape(-1, values[name].shape[-1])
            if not np.isfinite(rows).all():
                raise InputError(f"{path}: what '{name}' holds is not finite")
            rows = rows.astype(np.float64)
            sums[name] = sums.get(name, 0) + rows.T @ rows
            counts[name] += len(rows)
    for node, name in layers.items():
        if counts[name] == 0:
            raise InputError(f"'{node}' read no row in any sample")
    largest = np.finfo(np.float32).max
    for node, name in layers.items():
        if not np.abs(sums[name] / counts[name]).max() <= largest:
            raise InputError(f"what '{node}' reads is too large: its moments leave "
                             "the range of f32")
    return {node: (sums[name] / counts[name]).astype(np.float32)
            for node, name in layers.items()}


def first_line(error):
    return (str(error) or type(error).__name__).strip().splitlines()[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("samples", nargs="+", metavar="INPUTS.npz")
    parser.add_argument("-o", dest="output", required=True, metavar="FILE")
    options = parser.parse_args()
    try:
        session, layers = open_model(options.model)
        moments = collect(session, layers, options.samples)
        save_file(moments, options.output + ".part")
        os.replace(options.output + ".part", options.output)
    except (InputError, OSError, SafetensorError) as error:
        parser.exit(1, f"moments.py: {first_line(error)}\n")
    print(f"{options.output}: moments of {len(moments)} layers")


if __name__ == "__main__":
    main()
