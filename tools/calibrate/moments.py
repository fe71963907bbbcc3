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

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import save_file


def linear_layers(graph):
    """Node -> the name of its input, for products with a constant matrix."""
    constants = {w.name: list(w.dims) for w in graph.initializer}
    derived = dict(constants)
    for node in graph.node:  # exporters transpose and cast weights
        if node.op_type in ("Transpose", "Cast", "Identity", "DequantizeLinear"):
            if node.input[0] in derived:
                derived[node.output[0]] = derived[node.input[0]]
    return {node.name: node.input[0] for node in graph.node
            if node.op_type in ("MatMul", "Gemm") and node.name
            and len(derived.get(node.input[1], [])) == 2
            and not any(a.name == "transA" and a.i for a in node.attribute)}


def collect(path, samples):
    model = onnx.load(path)
    layers = linear_layers(model.graph)
    wanted = sorted(set(layers.values()) - {i.name for i in model.graph.input})
    outputs = {o.name for o in model.graph.output}
    model.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in wanted if name not in outputs)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"])
    sums, counts = {}, {}
    for sample in samples:
        feeds = dict(np.load(sample))
        values = dict(zip(wanted, session.run(wanted, feeds))) | feeds
        for name in set(layers.values()):
            rows = values[name].reshape(-1, values[name].shape[-1]).astype(np.float64)
            sums[name] = sums.get(name, 0) + rows.T @ rows
            counts[name] = counts.get(name, 0) + len(rows)
    return {node: (sums[name] / max(counts[name], 1)).astype(np.float32)
            for node, name in layers.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("samples", nargs="+", metavar="INPUTS.npz")
    parser.add_argument("-o", dest="output", required=True, metavar="FILE")
    options = parser.parse_args()
    moments = collect(options.model, options.samples)
    if not moments:
        parser.exit(1, f"{options.model}: no linear layer with a name\n")
    save_file(moments, options.output)
    print(f"{options.output}: moments of {len(moments)} layers")


if __name__ == "__main__":
    main()
