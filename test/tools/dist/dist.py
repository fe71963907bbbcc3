# REQUIRES: dist
# RUN: rm -rf %t && mkdir %t && cd %t
# RUN: %python %s %dist %S/Inputs/bare.sh
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The archive of `make dist`, which runs this test, where there is nothing but
glibc: it compiles the digits sample and reads digits, and makes code for GPUs. Its
libraries are found by Python and by CMake."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper

OLDEST_GLIBC = (2, 36)
MOST_BYTES = 40 * 10**6
GLIBC = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1",
         "ld-linux-x86-64.so.2"}
SOURCE = pathlib.Path(os.environ["LATHE_SOURCE"])
SAMPLE = SOURCE / "samples" / "digits-sigmoid-vit"
archive, bare = sys.argv[1:]
root = pathlib.Path("root").resolve()


def lathe(*arguments):
    """In a root folder without anything else."""
    done = subprocess.run([bare, root, "/opt/bin/lathe", *arguments], text=True,
                          capture_output=True)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout + done.stderr


def unpack():
    assert os.path.getsize(archive) < MOST_BYTES
    root.mkdir()
    subprocess.run(["tar", "-C", root, "-xf", archive], check=True)
    (folder,) = root.iterdir()
    assert folder.name == "lathe-linux-x86_64"
    folder.rename(root / "opt")


def check_needs():
    for path in sorted((root / "opt").rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        with open(path, "rb") as file:
            if file.read(4) != b"\x7fELF":
                continue
        text = subprocess.run(["llvm-readelf", "-dV", path], text=True, check=True,
                              capture_output=True).stdout
        needs = set(re.findall(r"NEEDED.*\[(.*)\]", text))
        needs = {name for name in needs if not name.startswith("liblathe_")}
        assert needs <= GLIBC, (path, needs)
        for version in re.findall(r"GLIBC_([\d.]+)", text):
            assert tuple(map(int, version.split("."))) <= OLDEST_GLIBC, path


def read_digits():
    for file in ("digits_sigmoid_vit.onnx", "test_digits.npz"):
        shutil.copy(SAMPLE / file, root)
    test = np.load(SAMPLE / "test_digits.npz")
    np.savez(root / "in.npz", image=test["image"])
    lathe("compile", "/digits_sigmoid_vit.onnx", "-o", "/digits.lathe")
    lathe("run", "/digits.lathe", "--inputs", "/in.npz", "--outputs", "/out.npz")
    logits = np.load(root / "out.npz")["logits"]
    accuracy = (logits.argmax(1) == test["label"]).mean()
    assert accuracy > 0.98, accuracy


def compile_for_gpus():
    """y = x + x needs nothing of NVIDIA's."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])], "sum",
        [value("x", TensorProto.FLOAT, ["n"])],
        [value("y", TensorProto.FLOAT, ["n"])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)],
                                ir_version=9), root / "sum.onnx")
    said = lathe("compile", "/sum.onnx", "-o", "/sum.lathe", "--target", "x86,cuda",
                 "-v")
    assert "ptxas" in said, said
    assert "sm_80" in lathe("inspect", "/sum.lathe")


def use_libraries():
    environment = {**os.environ, "PYTHONPATH": str(root / "opt" / "python")}
    environment.pop("LATHE_BUILD")
    subprocess.run(
        [sys.executable, "-c",
         "import lathe, sys; lathe.compile(sys.argv[1], 'digits.lathe', jobs=1, "
         "weights='int8', plain_sums=True, specialize={'batch': 1}); "
         "assert lathe.Model('digits.lathe').inputs",
         root / "digits_sigmoid_vit.onnx"], env=environment, check=True)
    subprocess.run(["cmake", "-S", SOURCE / "samples" / "embed-in-c", "-B", "build",
                    "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={root / 'opt'}"],
                   check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", "build"], check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run(["build/embed", "digits.lathe"], check=True,
                   stdout=subprocess.DEVNULL)


unpack()
check_needs()
read_digits()
compile_for_gpus()
use_libraries()
