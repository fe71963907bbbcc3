# RUN: rm -rf %t && mkdir %t && cd %t && %python %s
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""lathe check is truthful: what it promises compiles and runs, what does not is named
by node, op and opset, all of it at once, and by compile as well."""

import subprocess

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
node, info = helper.make_node, helper.make_tensor_value_info


def save(path, nodes, inputs, outputs, constants=(), opset=17):
    tensors = [numpy_helper.from_array(np.asarray(v), k) for k, v in dict(constants).items()]
    onnx.save(helper.make_model(
        helper.make_graph(nodes, "graph", inputs, outputs, tensors), ir_version=9,
        opset_imports=[helper.make_opsetid("", opset)]), path)


def lathe(*arguments):
    done = subprocess.run(["lathe", *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def refused(path, *parts):
    """Both commands refuse, and each of `parts` is on a line of check's table."""
    code, table, _ = lathe("check", path)
    assert code == 1, table
    lines = table.splitlines()
    for part in parts:
        assert any(all(word in line for word in part) for line in lines), (part, table)
    code, _, message = lathe("compile", path, "-o", "refused.lathe")
    assert code == 1, message
    for part in parts:
        assert part[0] in message, (part, message)
    assert "tile." not in table + message  # IR that nobody wrote


# Host functions that the runtime lacks, beside an op that nobody knows.
save("host.onnx",
     [node("Bernoulli", ["x"], ["a"], "coin"),
      node("DFT", ["x3"], ["b"], "spectrum", axis=1),
      node("RandomNormalLike", ["x"], ["c"], "noise"),
      node("Frobnicate", ["x"], ["d"], "frob")],
     [info("x", FLOAT, ["n", 4]), info("x3", FLOAT, [1, 8, 1])],
     [info(k, FLOAT, None) for k in "abcd"])
refused("host.onnx", ("coin", "Bernoulli", "opset 17", "host function"),
        ("spectrum", "DFT", "host function"), ("noise", "RandomNormalLike"),
        ("frob", "Frobnicate", "not supported"))

# Sizes that no machine has: of an input, and of a result.
BIG = 2 ** 40
save("input.onnx", [node("Relu", ["x"], ["y"], "act")],
     [info("x", FLOAT, [BIG, BIG])], [info("y", FLOAT, None)])
refused("input.onnx", ("x", "graph input", "2^62 bytes"))
save("result.onnx", [node("Expand", ["x", "shape"], ["y"], "grow")],
     [info("x", FLOAT, [1, 1])], [info("y", FLOAT, None)],
     {"shape": np.array([BIG, BIG])})
code, table, message = lathe("check", "result.onnx")
assert code == 1 and "grow" in table + message and "2^62 bytes" in table + message, (
    table, message)
# A product that wraps around to zero in 64 bits.
save("wraps.onnx", [node("Flatten", ["x"], ["y"], "flat", axis=0)],
     [info("x", FLOAT, [2 ** 32, 2 ** 32, 4])], [info("y", FLOAT, None)])
refused("wraps.onnx", ("x", "2^62 bytes"))

# What holds only for some sizes is said.
save("pair.onnx", [node("Add", ["a", "b"], ["y"], "sum")],
     [info("a", FLOAT, ["n", 3]), info("b", FLOAT, ["m", 3])], [info("y", FLOAT, None)])
code, text, message = lathe("check", "pair.onnx")
assert code == 0 and "would compile" in text, message
assert "Calls fail that do not satisfy:\n  sum: " in text and "must be equal" in text, text

# Sizes that are data, each op alone.
for path, nodes, inputs in (
        ("range.onnx", [node("Range", ["a", "b", "c"], ["y"])],
         [info(k, INT64, []) for k in "abc"]),
        ("expand.onnx", [node("Expand", ["x", "s"], ["y"])],
         [info("x", FLOAT, ["n", 1]), info("s", INT64, [2])]),
        ("reshape.onnx", [node("Reshape", ["x", "s"], ["y"])],
         [info("x", FLOAT, ["n"]), info("s", INT64, [2])])):
    save(path, nodes, inputs, [info("y", INT64 if path[:2] == "ra" else FLOAT, None)])
    code, text, message = lathe("check", path)
    assert code == 0 and "would compile" in text, (path, message)
    code, _, message = lathe("compile", path, "-o", path + ".lathe")
    assert code == 0, (path, message)
