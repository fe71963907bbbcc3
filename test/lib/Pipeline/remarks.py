# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# `lathe compile -v` says what passes did or could not do, by the model's nodes.
#
# RUN: %python %s %t.onnx
# RUN: lathe compile %t.onnx -o %t.lathe --target x86:cpu=native -v 2>&1 \
# RUN:   | FileCheck %s
# CHECK: remark: /exp: graph-form-groups: graph.exp is read by several kernels

import sys

import onnx
from onnx import TensorProto, helper

node = helper.make_node
value = helper.make_tensor_value_info
graph = helper.make_graph(
    [node("Exp", ["x"], ["e"], "/exp"),
     node("Softmax", ["e"], ["p"], "/softmax", axis=0),
     node("Neg", ["e"], ["n"], "/neg"),
     node("Transpose", ["n"], ["t"], "/turn"),
     node("Add", ["t", "y"], ["s"], "/add")], "g",
    [value("x", TensorProto.FLOAT, ["a", "b"]),
     value("y", TensorProto.FLOAT, ["b", "a"])],
    [value("p", TensorProto.FLOAT, ["a", "b"]),
     value("s", TensorProto.FLOAT, ["b", "a"])])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]),
          sys.argv[1])
