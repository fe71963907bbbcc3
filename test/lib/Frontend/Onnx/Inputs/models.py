# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Short ways to write ONNX models in tests."""

import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def tensor(name, value):
    return numpy_helper.from_array(np.asarray(value), name)


def info(name, dims, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, dims)


def model(nodes, inputs, outputs, initializers=(), opset=20, functions=(),
          domains=()):
    graph = helper.make_graph(nodes, "test", inputs, outputs,
                              list(initializers))
    imports = [helper.make_opsetid("", opset)]
    imports += [helper.make_opsetid(domain, 1) for domain in domains]
    return helper.make_model(graph, opset_imports=imports,
                             functions=list(functions), ir_version=10)


def save(proto, folder, name):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(proto.SerializeToString())
