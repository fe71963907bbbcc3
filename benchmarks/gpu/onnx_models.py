# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""ONNX models of a few nodes in a row."""

import numpy as np

ONNX_TYPES = {"f16": 10, "bf16": 16, "f32": 1, "bool": 9,
              "f8e4m3": 17, "f8e5m2": 19}


def save(path, dtype, inputs, nodes, output, weights=(), kept=(), types=None):
    """Inputs map names to dims, numbers or names. Nodes are (op, inputs,
    attributes), of which None is the result of the node before, "t0" that of the
    first one; the last one's is the output `y`. Weights map names to arrays, of
    `dtype` if floating. `kept`: numbers of nodes whose results, t0, t1, ..., are
    outputs, too, of y's dims. `types`: of inputs and of y, where it is not
    `dtype`."""
    import onnx
    from onnx import helper, numpy_helper
    made, last = [], None
    for i, (op, operands, attributes) in enumerate(nodes):
        result = "y" if i + 1 == len(nodes) else f"t{i}"
        made.append(helper.make_node(
            op, [last if name is None else name for name in operands], [result],
            **attributes))
        last = result
    initializers = []
    for name, array in dict(weights).items():
        if array.dtype.kind == "f" and dtype == "bf16":
            import ml_dtypes
            array = array.astype(ml_dtypes.bfloat16)
        elif array.dtype.kind == "f":
            array = array.astype({"f16": np.float16, "f32": np.float32}[dtype])
        initializers.append(numpy_helper.from_array(array, name))
    graph = helper.make_graph(
        made, "benchmark",
        [helper.make_tensor_value_info(
            name, ONNX_TYPES[(types or {}).get(name, dtype)], dims)
         for name, dims in inputs.items()],
        [helper.make_tensor_value_info(
            name, ONNX_TYPES[(types or {}).get(name, dtype)], output)
         for name in ("y", *(f"t{i}" for i in kept))], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)])
    model.ir_version = 10
    onnx.save(model, path)
