# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Models that are wrong: one error each, which names the place.
#
# RUN: %python %s %t
# RUN: not lathe-translate --import-onnx %t/order.onnx 2>&1 | FileCheck %s --check-prefix=ORDER
# RUN: not lathe-translate --import-onnx %t/twice.onnx 2>&1 | FileCheck %s --check-prefix=TWICE
# RUN: not lathe-translate --import-onnx %t/shapes.onnx 2>&1 | FileCheck %s --check-prefix=SHAPES
# RUN: not lathe-translate --import-onnx %t/axis.onnx 2>&1 | FileCheck %s --check-prefix=AXIS
# RUN: not lathe-translate --import-onnx %t/size.onnx 2>&1 | FileCheck %s --check-prefix=SIZE
# RUN: not lathe-translate --import-onnx %t/huge.onnx 2>&1 | FileCheck %s --check-prefix=HUGE
# RUN: not lathe-translate --import-onnx %t/attribute.onnx 2>&1 | FileCheck %s --check-prefix=ATTR
# RUN: not lathe-translate --import-onnx %t/inputs.onnx 2>&1 | FileCheck %s --check-prefix=INPUTS
# RUN: not lathe-translate --import-onnx %t/recursive.onnx 2>&1 \
# RUN:   | FileCheck %s --check-prefix=RECURSIVE
# RUN: not lathe-translate --import-onnx %t/truncated.onnx 2>&1 \
# RUN:   | FileCheck %s --check-prefix=TRUNCATED
# RUN: not lathe-translate --import-onnx %t/output.onnx 2>&1 | FileCheck %s --check-prefix=OUTPUT

import os
import sys

import numpy as np
from onnx import TensorProto, helper

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))
from models import INT64, info, model, save, tensor  # noqa: E402

node = helper.make_node
out = sys.argv[1]
x, y = info("x", ["n", 3]), info("y", None)

# ORDER: order.onnx: node '/a' (Abs): input 0 ('b') is not defined before the node;
# ORDER-SAME: nodes must stand in topological order
save(model([node("Abs", ["b"], ["a"], "/a"), node("Abs", ["a"], ["b"])],
           [x], [info("b", None)]), out, "order.onnx")

# TWICE: value 'y' is defined twice
save(model([node("Abs", ["x"], ["y"]), node("Neg", ["x"], ["y"])], [x], [y]),
     out, "twice.onnx")

# SHAPES: node '/sum' (Add): {{.*}}must be equal, got 3 and 2
save(model([node("Add", ["x", "two"], ["y"], "/sum")], [x], [y],
           [tensor("two", np.ones(2, np.float32))]), out, "shapes.onnx")

# AXIS: node '/cat' (Concat): axis 5 is out of range for rank 2
save(model([node("Concat", ["x", "x"], ["y"], "/cat", axis=5)], [x], [y]),
     out, "axis.onnx")

# SIZE: tensor 'w' must have 4 elements, 16 bytes; it has 12 bytes
short = tensor("w", np.ones(4, np.float32))
short.raw_data = short.raw_data[:-4]
save(model([node("Identity", ["w"], ["y"])], [x], [y], [short]), out,
     "size.onnx")

# HUGE: tensor 'w' has more elements than fit into 64 bits
huge = tensor("w", np.ones(4, np.float32))
huge.dims[:] = [1 << 40, 1 << 40]
save(model([node("Identity", ["w"], ["y"])], [x], [y], [huge]), out,
     "huge.onnx")

# ATTR: node '/cat' (Concat): attribute 'axis' has type FLOAT; allowed is INT
save(model([node("Concat", ["x", "x"], ["y"], "/cat", axis=1.0)], [x], [y]),
     out, "attribute.onnx")

# INPUTS: node '/add' (Add): has 1 inputs; allowed are 2 to 2
save(model([node("Add", ["x"], ["y"], "/add")], [x], [y]), out, "inputs.onnx")

# A function that calls itself.
# RECURSIVE: functions and graphs expand to more than 1048576 nodes or nest more than 64 deep
again = helper.make_function("test", "Again", ["a"], ["b"],
                             [node("Again", ["a"], ["b"], domain="test")],
                             [helper.make_opsetid("", 20),
                              helper.make_opsetid("test", 1)])
save(model([node("Again", ["x"], ["y"], domain="test")], [x], [y],
           functions=[again], domains=["test"]), out, "recursive.onnx")

# TRUNCATED: truncated.onnx: not an ONNX model: byte {{[0-9]+}}: the field's length exceeds
# TRUNCATED-SAME: the {{[0-9]+}} bytes left; the file is truncated or damaged
save(model([node("Abs", ["x"], ["y"])], [x], [y]), out, "truncated.onnx")
os.truncate(os.path.join(out, "truncated.onnx"), 40)

# OUTPUT: graph output 'y' is declared as INT64, but its element type is f32
save(model([node("Abs", ["x"], ["y"])], [x], [info("y", None, INT64)]), out,
     "output.onnx")
