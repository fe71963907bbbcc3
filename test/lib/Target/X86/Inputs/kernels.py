# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles tile kernels with lathe-kernel and calls them on NumPy arrays."""

import ctypes
import os
import subprocess
import tempfile

import numpy as np


def levels():
    """The levels that this machine can run."""
    with open("/proc/cpuinfo") as info:
        flags = set(info.read().split())
    found = []
    if {"avx2", "fma", "bmi2"} <= flags:
        found.append("x86-64-v3")
    if {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"} <= flags:
        found.append("avx512-vnni")
    return found


def build(text, level):
    """The bytes of the object that `text` compiles to."""
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "kernels.mlir")
        target = os.path.join(folder, "kernels.so")
        with open(source, "w") as file:
            file.write(text)
        subprocess.run(["lathe-kernel", source, "--level", level, "-o", target],
                       check=True)
        with open(target, "rb") as file:
            return file.read()


class Kernels:
    """The kernels of one object."""

    def __init__(self, text, level):
        with tempfile.NamedTemporaryFile(suffix=".so") as file:
            file.write(build(text, level))
            file.flush()
            self.library = ctypes.CDLL(file.name)

    def run(self, name, buffers, scalars=(), grid=(1, ), begin=0, end=None):
        """Runs programs [begin, end), by default all of the grid."""
        grid = tuple(grid) + (1, ) * (3 - len(grid))
        function = getattr(self.library, name)
        function.restype = None
        function.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_int64] * 2
        pointers = (ctypes.c_void_p * len(buffers))(
            *[buffer.ctypes.data for buffer in buffers])
        numbers = (ctypes.c_int64 * max(1, len(scalars)))(*scalars)
        sizes = (ctypes.c_int64 * 3)(*grid)
        if end is None:
            end = grid[0] * grid[1] * grid[2]
        function(pointers, numbers, sizes, begin, end)


def guarded(shape, dtype):
    """A zeroed array with a canary after it, and a check of the canary."""
    size = int(np.prod(shape))
    store = np.zeros(size + 64, dtype)
    store[size:] = 77

    def check():
        assert (store[size:] == 77).all(), "written beyond the end"

    return store[:size].reshape(shape), check
