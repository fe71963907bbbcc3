# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# RUN: %python %s %t.onnx %t.lathe
# UNSUPPORTED: sanitize
"""The compiler's C API: a compilation, a refusal, a check. (A library with
sanitizers does not load into a Python without.)"""

import ctypes as c
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

library = c.CDLL(os.path.join(os.environ["LATHE_BUILD"], "lib",
                              "liblathe_compiler.so"))
library.lathe_compile.restype = c.c_void_p
library.lathe_status_message.restype = c.c_char_p
library.lathe_compiler_target.restype = c.c_char_p


def message(status):
    return library.lathe_status_message(c.c_void_p(status)).decode()


model, bundle = sys.argv[1:3]
weight = numpy_helper.from_array(np.ones((3, 5), np.float32), "w")
graph = helper.make_graph(
    [helper.make_node("MatMul", ["x", "w"], ["y"])], "g",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5])], [weight])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]),
          model)

assert library.lathe_compiler_target(c.c_size_t(0)) == b"x86"
assert library.lathe_compile(model.encode(), bundle.encode(), None) is None
assert os.path.getsize(bundle) > 4096
before = open(model, "rb").read()
status = library.lathe_compile(model.encode(), model.encode(), None)
assert "is the model, too" in message(status), message(status)
assert open(model, "rb").read() == before
status = library.lathe_compile(b"/no/such.onnx", bundle.encode(), None)
assert "/no/such.onnx" in message(status), message(status)
