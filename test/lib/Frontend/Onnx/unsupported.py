# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# All that Lathe cannot do is reported at once: node, op, opset, reason.
#
# RUN: %python %s %t
# RUN: not lathe-translate --import-onnx %t/many.onnx 2>&1 | FileCheck %s
# RUN: not lathe-translate --import-onnx %t/old.onnx 2>&1 | FileCheck %s --check-prefix=OLD
# RUN: not lathe-translate --import-onnx %t/scale.onnx 2>&1 | FileCheck %s --check-prefix=SCALE

import os
import sys

import numpy as np
from onnx import TensorProto, helper

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))
from models import BOOL, FLOAT, info, model, save, tensor  # noqa: E402

node = helper.make_node
out = sys.argv[1]

# CHECK: error: {{.*}}many.onnx: 6 places need what Lathe does not support
# CHECK-NEXT: graph input 'text': element type STRING is not supported
# CHECK-NEXT: node '/my/Op' (com.example.Mystery, opset 1): this op is not supported
# CHECK-NEXT: node '/if' (If, opset 20): the branches give rank 1 and 0; ranks must
# CHECK-NEXT: node '/cast' (Cast, opset 20): attribute 'to' is FLOAT4E2M1
# CHECK-NEXT: node '/relu' (Relu, opset 20): attribute 'color' is not supported
# CHECK-NEXT: node '/axes' (ReduceSum, opset 20): input 1 ('where') must be known at compile time
# What depends on these is not reported.
# CHECK-NOT: node
branch = helper.make_graph([node("Neg", ["x"], ["inner"])], "branch", [],
                           [info("inner", ["n"])])
scalar = helper.make_graph([node("ReduceMax", ["x"], ["most"], keepdims=0)],
                           "scalar", [], [info("most", [])])
save(model([node("Mystery", ["x"], ["a"], "/my/Op", domain="com.example"),
            node("Abs", ["a"], ["after"], "/after"),
            node("If", ["go"], ["chosen"], "/if", then_branch=branch,
                 else_branch=scalar),
            node("Cast", ["x"], ["small"], "/cast",
                 to=TensorProto.FLOAT4E2M1),
            node("Relu", ["x"], ["r"], "/relu", color=3),
            node("ReduceSum", ["x", "where"], ["s"], "/axes"),
            node("Identity", ["text"], ["t"], "/text")],
           [info("x", ["n"]), info("go", [], BOOL), info("where", [1], 7),
            info("text", [1], TensorProto.STRING)],
           [info("after", None)], domains=["com.example"]), out, "many.onnx")

# OLD: opset 6 of ai.onnx; supported are 7 to 28
save(model([node("Relu", ["x"], ["y"])], [info("x", [1])], [info("y", [1])],
           opset=6), out, "old.onnx")

# The inverse of a scale may be no integer that fits.
# SCALE: node '/resize' (Resize, opset 20): scale 0.000000 for dim 0: the result must be a size
save(model([node("Resize", ["x", "", "scales"], ["y"], "/resize")],
           [info("x", ["n"])], [info("y", None)],
           [tensor("scales", np.array([1e-37], np.float32))]), out, "scale.onnx")
