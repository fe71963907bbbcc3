# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# What stays of a model: names, dims, locations, constants; what is inlined.
#
# RUN: %python %s %t
# RUN: lathe-translate --import-onnx %t/names.onnx | FileCheck %s --check-prefix=NAMES
# RUN: lathe-translate --import-onnx %t/names.onnx --mlir-print-debuginfo \
# RUN:   | FileCheck %s --check-prefix=LOC
# RUN: lathe-translate --import-onnx %t/constants.onnx \
# RUN:   --mlir-elide-resource-strings-if-larger=8 | FileCheck %s --check-prefix=CONST
# RUN: lathe-translate --import-onnx %t/inlined.onnx | FileCheck %s --check-prefix=INLINE
# RUN: lathe-translate --import-onnx %t/shapes.onnx | FileCheck %s --check-prefix=SHAPES

import os
import sys

import numpy as np
import onnx
from onnx import helper

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))
from models import BOOL, INT64, info, model, save, tensor  # noqa: E402

node = helper.make_node
out = sys.argv[1]

# Named dims are shared between inputs; a dim without a name gets one.
# NAMES: func.func @main(%arg0: tensor<?x?x4xf32> {
# NAMES-SAME: graph.dims = affine_map<()[s0, s1, s2] -> (s0, s1, 4)>
# NAMES-SAME: graph.name = "x"
# NAMES-SAME: tensor<?x?x4xf32> {
# NAMES-SAME: graph.dims = affine_map<()[s0, s1, s2] -> (s0, s2, 4)>
# NAMES-SAME: -> (tensor<?x?x4xf32> {graph.name = "z"})
# NAMES-SAME: graph.symbols = ["batch", "seq", "y.dim1"]
# NAMES: graph.concat
# NAMES-SAME: axis 1 {{.*}} -> tensor<?x?x4xf32>
# LOC: graph.concat {{.*}} loc(#[[LOC:.*]])
# LOC: #[[OP:.*]] = loc("Concat")
# LOC: #[[LOC]] = loc("/layer/Concat"(#[[OP]]))
save(model([node("Concat", ["x", "y"], ["z"], "/layer/Concat", axis=1)],
           [info("x", ["batch", "seq", 4]), info("y", ["batch", None, 4])],
           [info("z", None)]), out, "names.onnx")

# Small constants are inline, large ones refer to the file; unused ones vanish.
# i1 takes a byte, typed data of several messages is put together.
# CONST-DAG: graph.constant dense_resource<large> : tensor<32x32xf32>
# CONST-DAG: graph.constant dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32>
# CONST-DAG: graph.constant dense<[true, false]> : tensor<2xi1>
# CONST-DAG: graph.constant dense<[1.500000e+00, -2.000000e+00]> : tensor<2xf16>
# CONST-NOT: unused
typed = helper.make_tensor("typed", onnx.TensorProto.FLOAT, [2], [1.0, 2.0])
half = helper.make_tensor("half", onnx.TensorProto.FLOAT16, [2], [1.5, -2.0])
mask = helper.make_tensor("mask", BOOL, [2], [True, False])
save(model([node("Identity", [name], [name + ".out"])
            for name in ("large", "typed", "half", "mask")],
           [], [helper.make_empty_tensor_value_info(name + ".out")
                for name in ("large", "typed", "half", "mask")],
           [tensor("large", np.random.rand(32, 32).astype(np.float32)), typed,
            half, mask, tensor("unused", np.ones(3, np.float32))]),
     out, "constants.onnx")

# A function with an attribute argument and a branch that is known.
# INLINE: %[[SLOPE:.*]] = graph.constant dense<2.500000e-01>
# INLINE: graph.mul %{{.*}}, %[[SLOPE]]
# INLINE: graph.abs
# INLINE-NOT: graph.neg
leaky = node("LeakyRelu", ["a"], ["b"])
attribute = leaky.attribute.add()
attribute.name, attribute.ref_attr_name = "alpha", "slope"
attribute.type = onnx.AttributeProto.FLOAT
scale = helper.make_function("test", "Scale", ["a"], ["b"], [leaky],
                             [helper.make_opsetid("", 20)], ["slope"])


def branch(op):
    return helper.make_graph([node(op, ["scaled"], ["inner"])], op, [],
                             [info("inner", ["n"])])


save(model([node("Scale", ["x"], ["scaled"], domain="test", slope=0.25),
            node("If", ["yes"], ["y"], then_branch=branch("Abs"),
                 else_branch=branch("Neg"))],
           [info("x", ["n"])], [info("y", ["n"])],
           [tensor("yes", True)], functions=[scale], domains=["test"]),
     out, "inlined.onnx")

# Shapes computed from dims are followed to the result type.
# SHAPES: graph.dynamic_reshape
# SHAPES-SAME: -> tensor<?x?x2x4xf32>
# SHAPES: graph.transpose
# SHAPES-SAME: [0, 2, 1, 3] : tensor<?x?x2x4xf32> -> tensor<?x2x?x4xf32>
save(model([node("Shape", ["x"], ["shape"]),
            node("Slice", ["shape", "zero", "two"], ["outer"]),
            node("Concat", ["outer", "heads"], ["wanted"], axis=0),
            node("Reshape", ["x", "wanted"], ["split"]),
            node("Transpose", ["split"], ["y"], perm=[0, 2, 1, 3])],
           [info("x", ["batch", "seq", 8])], [info("y", None)],
           [tensor("zero", np.array([0])), tensor("two", np.array([2])),
            tensor("heads", np.array([2, 4]))]), out, "shapes.onnx")
