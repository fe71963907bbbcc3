# RUN: rm -rf %t && mkdir %t && cd %t && %python %s
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""lathe compile and check: from an ONNX file to answers, options, refusals."""

import json
import os
import re
import subprocess

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def lathe(*arguments, code=0):
    done = subprocess.run(["lathe", *arguments], capture_output=True, text=True)
    assert done.returncode == code, (done.args, done.returncode, done.stderr)
    return done.stdout if code == 0 else done.stderr


def make_model(path, op="Relu", columns=40, name="layer/Act"):
    generator = np.random.default_rng(0)
    weight = generator.standard_normal((24, columns), np.float32)
    bias = generator.standard_normal(columns, np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["m"], name="layer/MatMul"),
         helper.make_node("Add", ["m", "b"], ["a"], name="layer/Add"),
         helper.make_node(op, ["a"], ["y"], name=name)],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "seq", 24])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT,
                                       ["batch", "seq", columns])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)


def check_answers():
    session = onnxruntime.InferenceSession("m.onnx")
    for batch, seq in [(1, 1), (2, 7), (3, 16), (0, 5), (1, 129)]:
        x = np.random.default_rng(seq).standard_normal((batch, seq, 24), np.float32)
        np.savez("in.npz", x=x)
        lathe("run", "m.lathe", "--inputs", "in.npz", "--outputs", "out.npz")
        expected, = session.run(None, {"x": x})
        with np.load("out.npz") as outputs:
            np.testing.assert_allclose(outputs["y"], expected, rtol=1e-5, atol=1e-5)


def check_outputs():
    """What a compilation leaves behind besides the bundle."""
    text = lathe("compile", "m.onnx", "-o", "r.lathe", "--report", "r.html",
                 "--dump-ir", "ir", "-v")
    assert text.startswith("r.lathe: "), text
    assert sorted(os.listdir("ir"))[0].startswith("1-import")
    page = open("r.html", encoding="utf-8").read()
    for part in ("<svg", "m.onnx", "Kernels of", "Where the time went"):
        assert part in page, part
    assert "http" not in page  # self-contained

    # Each kernel of each level has a time of its own.
    times = lathe("compile", "m.onnx", "-o", "r.lathe", "--kernel-times")
    header, *rows, last = times.splitlines()
    assert header.split() == ["kernel", "level", "time"], times
    kernels = re.search(r" (\d+) kernels? in (\d+) variants?", last)
    assert len(rows) == int(kernels[1]), times
    assert len({row.split()[1] for row in rows}) == int(kernels[2]), times

    # The error of each encoded weight is stated.
    done = subprocess.run(
        ["lathe", "compile", "m.onnx", "-o", "q.lathe", "--weights", "int8", "-v"],
        capture_output=True, text=True, check=True)
    assert "stored as" not in done.stderr  # too small to be worth it
    make_model("wide.onnx", columns=400)
    done = subprocess.run(
        ["lathe", "compile", "wide.onnx", "-o", "q.lathe", "--weights", "int8", "-v"],
        capture_output=True, text=True, check=True)
    stated = [line for line in done.stderr.splitlines() if "stored as" in line]
    assert len(stated) == 1 and "#graph.int8<" in stated[0], done.stderr
    assert 1e-3 < float(stated[0].rsplit(" ", 1)[1]) < 1e-2, stated

    # The same bytes whatever the number of jobs and the folder.
    os.mkdir("other")
    lathe("compile", "m.onnx", "-o", "one.lathe", "--jobs", "1")
    lathe("compile", "../m.onnx".replace("..", os.getcwd()), "-o", "other/two.lathe",
          "--jobs", "2")
    assert open("one.lathe", "rb").read() == open("other/two.lathe", "rb").read()

    profile = json.loads(lathe("bench", "m.lathe", "--shape", "batch=1,seq=8", "--json",
                               "--profile", "--iterations", "3"))["profile"]
    assert any("layer/MatMul" in step["label"] for step in profile["steps"])


def check_refusals():
    make_model("bad.onnx", op="Frobnicate")
    message = lathe("compile", "bad.onnx", "-o", "bad.lathe", code=1)
    first = message.splitlines()[0]
    assert first.startswith("lathe: error: ") and "bad.onnx" in first, first
    assert "'layer/Act' (Frobnicate, opset 17)" in message, message
    assert not os.path.exists("bad.lathe")
    message = lathe("check", "bad.onnx", code=1)
    assert "bad.onnx: 1 problem" in message and "layer/Act" in message
    assert "would compile" in lathe("check", "m.onnx")

    message = lathe("compile", "no.onnx", "-o", "x.lathe", code=1)
    assert "no.onnx" in message.splitlines()[0]
    with open("garbage.onnx", "wb") as file:
        file.write(b"no protobuf at all")
    message = lathe("compile", "garbage.onnx", "-o", "x.lathe", code=1)
    assert "garbage.onnx" in message.splitlines()[0]
    message = lathe("compile", "m.onnx", "-o", "no/such/x.lathe", code=1)
    assert "no/such" in message.splitlines()[0]

    # Targets of the design that this build lacks, and ones that don't exist.
    for target in ("rocm", "vulkan", "x86,rocm"):
        message = lathe("compile", "m.onnx", "-o", "x.lathe", "--target", target, code=1)
        assert "does not hold that target" in message
    for arguments in (["--target", "abacus"], ["--precision", "f12"],
                      ["--specialize", "seq"], ["--target", "x86:cpu"], ["--jobs", "x"],
                      ["--target", "x86,x86"], ["--target", "x86:cpu=486"],
                      ["--weights", "int3"], ["--specialize", "nope=3"],
                      ["--attention-pattern", "foo"], ["--jobs", "0"],
                      ["--specialize", "seq=1,1"], ["--weights", ""]):
        message = lathe("compile", "m.onnx", "-o", "x.lathe", *arguments, code=2)
    assert "missing MODEL, -o" in lathe("compile", code=2)
    assert "missing MODEL" in lathe("check", code=2)
    assert "'--dump-irs'" in lathe("compile", "m", "-o", "x", "--dump-irs", "d", code=2)
    assert not os.path.exists("x.lathe")


def check_names():
    """Control characters of a model reach no terminal, counts are its nodes'."""
    make_model("evil.onnx", op="Frob\x1b[31m", name="a\nb\x1b[2J\x7f\u009b")
    for command in (["check", "evil.onnx"],
                    ["compile", "evil.onnx", "-o", "x.lathe"]):
        message = lathe(*command, code=1)
        assert not set(message) & set("\x1b\x7f\u009b"), repr(message)
        assert "\\x1b[2J\\x7f\\xc2\\x9b" in message, repr(message)
    done = subprocess.run(["lathe", "check", "evil.onnx"], capture_output=True,
                          text=True)
    for text in (done.stdout, done.stderr):
        assert "a\\x0ab\\x1b[2J" in text and "\x1b" not in text, repr(text)
    text = lathe("check", "m.onnx")
    assert "m.onnx: would compile; 3 nodes; weights: " in text, text


def check_targets_of_writing():
    """Nothing but a regular file is replaced, and no file that is read."""
    os.mkfifo("pipe")
    with open("plan.txt", "w") as file:
        file.write("* int8\n")
    before = open("m.onnx", "rb").read()
    for arguments, what in ((["pipe"], "pipe: exists and is no regular file"),
                            (["plan.txt", "--weights", "plan.txt"],
                             "plan.txt: is read by this command"),
                            (["m.onnx"], "m.onnx: is read by this command"),
                            (["y.lathe", "--report", "y.lathe"], "y.lathe: is written"),
                            (["y.lathe", "--report", "./y.lathe"], "y.lathe: is written"),
                            (["y.lathe", "--report", "./m.onnx"], "is read")):
        message = lathe("compile", "m.onnx", "-o", *arguments, code=1)
        assert what in message, message
    assert before == open("m.onnx", "rb").read() and not os.path.exists("y.lathe")


def check_help():
    for command in ("compile", "check"):
        text = lathe(command, "--help")
        assert f"USAGE: lathe {command} [options] MODEL" in text
        assert "Examples:" in text


if __name__ == "__main__":
    make_model("m.onnx")
    lathe("compile", "m.onnx", "-o", "m.lathe")
    check_answers()
    check_outputs()
    check_refusals()
    check_targets_of_writing()
    check_names()
    check_help()
