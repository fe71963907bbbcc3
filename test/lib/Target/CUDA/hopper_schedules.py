# RUN: rm -rf %t && mkdir %t && cd %t && %python %s
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every schedule of products on warpgroups, with an epilogue, and of attention, of
many queries and of one: ptxas spills no register and serializes no product (its notes C75xx)."""

import os
import re
import shutil
import stat
import subprocess

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TOOLKIT = "/usr/local/cuda"


def find_ptxas():
    return shutil.which("ptxas") or os.path.join(TOOLKIT, "bin", "ptxas")


def make_model(path, columns, dtype, transposed):
    """gelu(x W + b) + r of any number of rows."""
    kind = {"f16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}[dtype]
    element = {"f16": np.float16, "bf16": ml_dtypes.bfloat16}[dtype]
    shape = (columns, 512) if transposed else (512, columns)
    weights = {"w": np.zeros(shape, element), "b": np.zeros(columns, element)}
    nodes = [helper.make_node("MatMul", ["x", "wt" if transposed else "w"], ["p"]),
             helper.make_node("Add", ["p", "b"], ["s"]),
             helper.make_node("Gelu", ["s"], ["g"]),
             helper.make_node("Add", ["g", "r"], ["y"])]
    if transposed:
        nodes.insert(0, helper.make_node("Transpose", ["w"], ["wt"], perm=[1, 0]))
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "linear", [tensor("x", kind, ["m", 512]), tensor("r", kind, ["m", columns])],
        [tensor("y", kind, ["m", columns])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    onnx.save(model, path)


def make_float8(path, columns):
    """s x w of any number of rows, x and w of 8-bit floats."""
    kind = TensorProto.FLOAT8E4M3FN
    weights = [helper.make_tensor("w", kind, [512, columns],
                                  b"\0" * (512 * columns), raw=True),
               numpy_helper.from_array(np.array(0.5, np.float32), "s")]
    nodes = [helper.make_node("DequantizeLinear", ["x", "s"], ["a"]),
             helper.make_node("DequantizeLinear", ["w", "s"], ["b"]),
             helper.make_node("MatMul", ["a", "b"], ["p"]),
             helper.make_node("Cast", ["p"], ["y"], to=TensorProto.BFLOAT16)]
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "float8", [tensor("x", kind, ["m", 512])],
        [tensor("y", TensorProto.BFLOAT16, ["m", columns])], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)])
    model.ir_version = 10
    onnx.save(model, path)


def make_attention(path, score, size, dtype, form):
    """Of any number of queries and keys, or of 300; "causal", "window" (which keys are
    seen follows from positions), "mask" (an input), or all keys."""
    kind = {"f16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}[dtype]
    element = {"f16": np.float16, "bf16": ml_dtypes.bfloat16}[dtype]
    shape, tensor = ["b", 8, "n", size], helper.make_tensor_value_info
    if form == "known":
        shape = [4, 8, 300, size]
    inputs = [tensor(name, kind, shape) for name in "qkv"]
    weights = {"scale": np.array(0.125, element), "bias": np.array(-8, element),
               "none": np.array(-np.inf, element), "zero": np.array(0),
               "one": np.array(1), "axis": np.array([1]), "reach": np.array(100)}
    node = helper.make_node
    nodes = [node("Transpose", ["k"], ["kt"], perm=[0, 1, 3, 2]),
             node("MatMul", ["q", "kt"], ["s"]), node("Mul", ["s", "scale"], ["l0"]),
             node("Add", ["l0", "bias"], ["l"])]
    if form in ("causal", "window"):
        nodes += [node("Shape", ["q"], ["sizes"], start=2, end=3),
                  node("Squeeze", ["sizes"], ["size"]),
                  node("Range", ["zero", "size", "one"], ["keys"]),
                  node("Unsqueeze", ["keys", "axis"], ["rows"]),
                  node("LessOrEqual", ["keys", "rows"], ["after"]),
                  node("Sub", ["rows", "reach"], ["first"]),
                  node("GreaterOrEqual", ["keys", "first"], ["before"]),
                  node("And", ["after", "before"], ["both"]),
                  node("Where", ["both" if form == "window" else "after", "l", "none"],
                       ["c"])]
    elif form == "mask":
        inputs.append(tensor("m", TensorProto.BOOL, [1, 1, "n", "n"]))
        nodes.append(node("Where", ["m", "l", "none"], ["c"]))
    nodes += [node(score, ["l" if form in ("", "known") else "c"], ["p"],
                   **({"axis": -1} if score == "Softmax" else {})),
              node("MatMul", ["p", "v"], ["y"])]
    graph = helper.make_graph(
        nodes, "attention", inputs, [tensor("y", kind, shape)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)])
    model.ir_version = 10
    onnx.save(model, path)


def make_decode(path, size, dtype):
    """One query of 32 heads over 4 heads of keys."""
    kind = {"f16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}[dtype]
    tensor = helper.make_tensor_value_info
    query, keys = ["b", 32, 1, size], ["b", 4, 4096, size]
    graph = helper.make_graph(
        [helper.make_node("Attention", ["q", "k", "v"], ["y"])], "decode",
        [tensor("q", kind, query), tensor("k", kind, keys), tensor("v", kind, keys)],
        [tensor("y", kind, query)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)])
    model.ir_version = 10
    onnx.save(model, path)


def record_notes(folder):
    """A toolkit whose ptxas keeps what the real one says with -v."""
    os.makedirs(os.path.join(folder, "bin"))
    ptxas = os.path.join(folder, "bin", "ptxas")
    with open(ptxas, "w", encoding="ascii") as script:
        script.write(f'#!/bin/sh\n"{find_ptxas()}" -v "$@" 2>>"$NOTES" >>"$NOTES"\n')
    os.chmod(ptxas, os.stat(ptxas).st_mode | stat.S_IXUSR)
    return os.path.abspath(folder)


def check(name, least, what="", kernels=" used 16 barriers"):
    """Compiles NAME.onnx, of which there are `least` kernels or more that `kernels`
    picks by what ptxas says of them. Only skeletons have barriers by numbers, of which
    ptxas then counts 16."""
    notes_file = os.path.abspath(name + ".txt")
    environment = dict(os.environ, NOTES=notes_file,
                       LATHE_CUDA_TOOLKIT=os.path.abspath("toolkit"))
    subprocess.run(["lathe", "compile", name + ".onnx", "-o", name + ".lathe",
                    "--target", "cuda:cpu=sm_90a", "--all-schedules"],
                   check=True, env=environment)
    with open(notes_file, encoding="utf-8") as file:
        notes = file.read()
    spills = re.findall(r"(\d+) bytes spill stores.*\n.*" + kernels, notes)
    assert len(spills) >= least, (what, notes)
    assert set(spills) == {"0"}, (what, notes)
    assert "C75" not in notes, (what, notes)
    os.remove(notes_file)


if os.path.exists(find_ptxas()):
    record_notes("toolkit")
    make_model("product.onnx", 520, "bf16", transposed=True)
    check("product", 10)
    make_float8("float8.onnx", 520)
    check("float8", 10)
    for size in (32, 64, 80, 96, 128, 256):
        for score in ("Sigmoid", "Softmax"):
            for form in ("", "known", "causal", "window", "mask"):
                if (score, form) == ("Softmax", "mask") and size >= 128:
                    continue  # 12 or 16 bytes of places, outside of the loops.
                dtype = "bf16" if score == "Sigmoid" else "f16"
                make_attention("attention.onnx", score, size, dtype, form)
                check("attention", 1, f"{score} {size} {form}")
    for size in (64, 128, 256):
        make_decode("decode.onnx", size, "f16")
        check("decode", 4, kernels="")  # All are the generic path's.
