# RUN: rm -rf %t && mkdir %t && cd %t && %python %s
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""lathe tune: a table that compile uses, every schedule right, refusals."""

import json
import subprocess

import numpy as np
import onnx
from onnx import helper

M, K, N = 200, 72, 130
X86 = ["--target", "x86:cpu=native"]


def lathe(*arguments, code=0):
    done = subprocess.run(["lathe", *arguments], capture_output=True, text=True)
    assert done.returncode == code, (done.args, done.stdout, done.stderr)
    return done.stdout + done.stderr


def write_model(w):
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["xw"]),
         helper.make_node("Relu", ["xw"], ["y"])], "linear",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["m", K])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["m", N])],
        [onnx.numpy_helper.from_array(w, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]),
              "m.onnx")


def schedules_in_use(bundle):
    result = json.loads(lathe("bench", bundle, "--shape", f"m={M}", "--iterations",
                              "1", "--profile", "--json"))
    return [step["schedule"] for step in result["profile"]["steps"]]


def check_table():
    tuning = ["--budget", "200ms", "-o", "t.json"]
    text = lathe("tune", "m.onnx", "--shape", f"m={M}", "--shape", "m=1", *tuning)
    assert "rounds" in text and "t.json: 2 workloads" in text, text
    table = json.load(open("t.json"))
    assert table["lathe-tuning"] == 1
    assert [entry["workload"] for entry in table["workloads"]] == [
        f"linear_{K}x{N}_relu, one row", f"linear_{K}x{N}_relu, rows"]
    assert all(entry["sizes"] == f"m={M}; m=1" for entry in table["workloads"])
    # A second run replaces its entries; the bundle alone is enough.
    lathe("compile", "m.onnx", "-o", "all.lathe", "--all-schedules", *X86)
    lathe("tune", "all.lathe", "--shape", f"m={M}", *tuning)
    again = json.load(open("t.json"))["workloads"]
    assert [entry["sizes"] for entry in again] == [f"m={M}; m=1", f"m={M}"]
    return again[1]


def check_schedules(entry, x, expected):
    """Each schedule, forced by a table, is used and computes the same."""
    inspected = json.loads(lathe("inspect", "all.lathe", "--json"))
    listed = {kernel["schedule"] for kernel in inspected["variants"][0]["kernels"]
              if kernel["workload"] == entry["workload"]}
    assert len(listed) > 1
    np.savez("in.npz", x=x)
    for schedule in sorted(listed):
        with open("forced.json", "w") as file:
            json.dump({"lathe-tuning": 1,
                       "workloads": [dict(entry, schedule=schedule)]}, file)
        lathe("compile", "m.onnx", "-o", "forced.lathe", "--tuning", "forced.json", *X86)
        assert schedules_in_use("forced.lathe") == [schedule]
        lathe("run", "forced.lathe", "--inputs", "in.npz", "--outputs", "out.npz")
        # K sums of products below 1: K * 2^-24, with room for their order.
        np.testing.assert_allclose(np.load("out.npz")["y"], expected, atol=K * 2**-22)


def check_refusals(entry):
    message = lathe("compile", "m.onnx", "-o", "c.lathe", "--tuning", "none.json", code=1)
    assert "none.json: No such file" in message
    for text, what in [("{", "bad.json: [1:"), ("{}", 'no "lathe-tuning"'),
                       ("[" * 200000, "bad.json: JSON nests deeper than 64 levels"),
                       ('{"lathe-tuning": 7}', "version 7; this build reads 1"),
                       ('{"lathe-tuning": 1, "workloads": [{}]}', "workloads[0]")]:
        with open("bad.json", "w") as file:
            file.write(text)
        message = lathe("compile", "m.onnx", "-o", "c.lathe", "--tuning", "bad.json",
                        code=1)
        assert what in message, message
    with open("stale.json", "w") as file:
        json.dump({"lathe-tuning": 1, "workloads": [dict(entry, schedule="gone")]}, file)
    message = lathe("compile", "m.onnx", "-o", "c.lathe", "--tuning", "stale.json", *X86)
    assert f"warning: " in message and entry["workload"] in message, message
    lathe("compile", "m.onnx", "-o", "plain.lathe", *X86)
    message = lathe("tune", "plain.lathe", "--shape", "m=2", "-o", "t.json", code=1)
    assert "--all-schedules" in message
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])], "relu",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["m"])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["m"])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]),
              "relu.onnx")
    message = lathe("tune", "relu.onnx", "--shape", "m=2", "-o", "none-yet.json")
    assert "each kernel has one schedule" in message, message
    assert json.load(open("none-yet.json"))["workloads"] == []
    message = lathe("tune", "m.onnx", "-o", "t.json", "--budget", "soon", code=2)
    assert "30s" in message
    # Sizes are missing or wrong: said before anything is compiled.
    message = lathe("tune", "m.onnx", "-o", "t.json", code=2)
    assert message == ("lathe: error: the size of 'm' is open: pass --shape "
                       "m=V\n"), message
    message = lathe("tune", "m.onnx", "-o", "t.json", "--shape", "m=1,k=2", code=2)
    assert "no dim of the model is called 'k'" in message
    message = lathe("tune", "m.onnx", "-o", "t.json", "--shape", "m=1", "--shape",
                    "k=2", code=2)
    assert "the same dims" in message
    message = lathe("tune", "nothing.onnx", "-o", "t.json", code=1)
    assert "nothing.onnx" in message


def main():
    rng = np.random.default_rng()
    w = rng.uniform(-1, 1, (K, N)).astype(np.float32)
    x = rng.uniform(-1, 1, (M, K)).astype(np.float32)
    write_model(w)
    entry = check_table()
    check_schedules(entry, x, np.maximum(x.astype(np.float64) @ w, 0))
    check_refusals(entry)


if __name__ == "__main__":
    main()
