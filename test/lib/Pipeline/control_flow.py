# RUN: %python %s
# REQUIRES: avx2
# A library with sanitizers does not load into a Python without.
# UNSUPPORTED: sanitize
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""If, Loop and Scan on data, against ONNX Runtime."""

import os
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))
from onnx_pair import load_pair  # noqa: E402

F, I, B = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
node, info = helper.make_node, helper.make_tensor_value_info
RNG = np.random.default_rng(3)
# f32 sums of at most 40 terms in another order: a few units in the last place.
TOLERANCE = 1e-5


def graph(nodes, inputs, outputs, constants=None, name="graph"):
    tensors = [onnx.numpy_helper.from_array(np.asarray(v), k)
               for k, v in (constants or {}).items()]
    return helper.make_graph(nodes, name, inputs, outputs, tensors)


def check(main, *feeds, opset=16):
    model = helper.make_model(
        main, ir_version=9, opset_imports=[helper.make_opsetid("", opset)])
    with tempfile.TemporaryDirectory() as folder:
        session, mine = load_pair(model, folder)
        names = [o.name for o in session.get_outputs()]
        for feed in feeds:
            want = session.run(None, feed)
            got = mine.run(feed)
            for name, expected in zip(names, want):
                if got[name].size == expected.size == 0:
                    # Of elements that never were, ONNX Runtime knows no dims.
                    assert got[name].shape[0] == expected.shape[0], name
                    continue
                assert got[name].shape == expected.shape, (
                    name, got[name].shape, expected.shape)
                np.testing.assert_allclose(got[name], expected, TOLERANCE,
                                           TOLERANCE, err_msg=name)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def branches():
    """Nested, over outer values, with results of different sizes."""
    inner_then = graph([node("Exp", ["x"], ["e"])], [], [info("e", F, None)])
    inner_else = graph([node("Mul", ["x", "w"], ["m"])], [],
                       [info("m", F, None)])
    then = graph([node("ReduceSum", ["x"], ["sum"], keepdims=0),
                  node("Greater", ["sum", "zero"], ["positive"]),
                  node("If", ["positive"], ["inner"], then_branch=inner_then,
                       else_branch=inner_else),
                  node("Neg", ["x"], ["n"])],
                 [], [info("inner", F, None), info("n", F, None)],
                 {"zero": np.float32(0)})
    other = graph([node("Concat", ["x", "x"], ["twice"], axis=0),
                   node("Identity", ["x"], ["same"])],
                  [], [info("twice", F, None), info("same", F, None)])
    main = graph([node("If", ["c"], ["a", "b"], then_branch=then,
                       else_branch=other),
                  node("Relu", ["a"], ["r"])],
                 [info("c", B, []), info("x", F, ["n", 3])],
                 [info("r", F, [None, 3]), info("b", F, ["n", 3])],
                 {"w": floats(3)})
    feeds = [{"c": np.array(c), "x": sign * np.abs(floats(n, 3))}
             for n in (1, 4, 0) for c in (True, False) for sign in (1, -1)]
    check(main, *[{k: np.asarray(v, np.float32 if k == "x" else bool)
                   for k, v in feed.items()} for feed in feeds])


def loops():
    """Zero trips, an early end, an outer weight, collected values."""
    body = graph([node("MatMul", ["state", "w"], ["product"]),
                  node("Add", ["product", "x"], ["sum"]),
                  node("Tanh", ["sum"], ["next"]),
                  node("Cast", ["i"], ["number"], to=F),
                  node("Add", ["next", "number"], ["seen"]),
                  node("Less", ["i", "last"], ["go"])],
                 [info("i", I, []), info("c", B, []), info("state", F, ["n", 4])],
                 [info("go", B, []), info("next", F, ["n", 4]),
                  info("seen", F, ["n", 4])],
                 {"last": np.int64(5)})
    main = graph([node("Loop", ["trips", "begin", "x"], ["end", "all"],
                       body=body),
                  node("Neg", ["all"], ["minus"])],
                 [info("trips", I, []), info("begin", B, []),
                  info("x", F, ["n", 4])],
                 [info("end", F, ["n", 4]), info("minus", F, [None, "n", 4])],
                 {"w": floats(4, 4)})
    check(main, *[{"trips": np.array(t, np.int64), "begin": np.array(b),
                   "x": floats(n, 4)}
                  for t, b, n in [(3, True, 2), (0, True, 2), (9, True, 1),
                                  (3, False, 2), (1, True, 17), (4, True, 0)]])


def growing():
    """A carried value that grows; an If in the body; a loop in a loop."""
    inner = graph([node("Add", ["v", "one"], ["v2"]),
                   node("Identity", ["c2"], ["d2"])],
                  [info("j", I, []), info("c2", B, []), info("v", F, [1])],
                  [info("d2", B, []), info("v2", F, [1])])
    even = graph([node("Concat", ["list", "item"], ["grown"], axis=0)], [],
                 [info("grown", F, [None])])
    odd = graph([node("Identity", ["list"], ["kept"])], [],
                [info("kept", F, [None])])
    body = graph([node("Loop", ["i", "", "start"], ["item"], body=inner),
                  node("Mod", ["i", "two"], ["rest"]),
                  node("Equal", ["rest", "zero"], ["isEven"]),
                  node("If", ["isEven"], ["next"], then_branch=even,
                       else_branch=odd),
                  node("Identity", ["c"], ["d"])],
                 [info("i", I, []), info("c", B, []), info("list", F, [None])],
                 [info("d", B, []), info("next", F, [None])],
                 {"two": np.int64(2), "zero": np.int64(0)})
    main = graph([node("Loop", ["trips", "", "x"], ["y"], body=body)],
                 [info("trips", I, []), info("x", F, ["n"])],
                 [info("y", F, [None])],
                 {"one": np.ones(1, np.float32),
                  "start": np.zeros(1, np.float32)})
    check(main, *[{"trips": np.array(t, np.int64), "x": floats(n)}
                  for t, n in [(0, 3), (1, 0), (5, 2), (8, 3)]])


def scans():
    """Both directions, axes other than the first, zero steps."""
    body = graph([node("Add", ["s", "a"], ["t"]), node("Mul", ["t", "b"], ["u"]),
                  node("Identity", ["t"], ["v"])],
                 [info("s", F, ["n"]), info("a", F, ["n"]), info("b", F, ["n"])],
                 [info("t", F, ["n"]), info("u", F, ["n"]), info("v", F, ["n"])])
    main = graph([node("Scan", ["state", "x", "z"], ["last", "us", "ts"],
                       body=body, num_scan_inputs=2, scan_input_axes=[0, 1],
                       scan_input_directions=[0, 1], scan_output_axes=[1, 0],
                       scan_output_directions=[1, 0])],
                 [info("state", F, ["n"]), info("x", F, ["t", "n"]),
                  info("z", F, ["n", "t"])],
                 [info("last", F, ["n"]), info("us", F, ["n", "t"]),
                  info("ts", F, ["t", "n"])])
    check(main, *[{"state": floats(n), "x": floats(t, n), "z": floats(n, t)}
                  for t, n in [(1, 3), (5, 2), (20, 17)]])


branches()
loops()
growing()
scans()
