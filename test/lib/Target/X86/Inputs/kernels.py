# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles tile kernels with lathe-kernel and calls them on NumPy arrays."""

import ctypes
import mmap
import os
import subprocess
import tempfile

import numpy as np

LIBC = ctypes.CDLL(None)
LIBC.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


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


def load_emulator(folder):
    """What executes AMX where the machine has none, built in `folder`; else None."""
    with open("/proc/cpuinfo") as info:
        if "amx_bf16" in info.read():
            return None
    library = os.path.join(folder, "amx_emulator.so")
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-shared", "-fPIC", "-o", library,
                    os.path.join(os.path.dirname(__file__), "amx_emulator.c"), "-lm"], check=True)
    return ctypes.CDLL(library)


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
        """Runs programs [begin, end), by default all of the grid, twice: on
        copies of the buffers that begin at a guard page, and that end at one."""
        grid = tuple(grid) + (1, ) * (3 - len(grid))
        function = getattr(self.library, name)
        function.restype = None
        function.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_int64] * 2
        numbers = (ctypes.c_int64 * max(1, len(scalars)))(*scalars)
        sizes = (ctypes.c_int64 * 3)(*grid)
        if end is None:
            end = grid[0] * grid[1] * grid[2]
        fences = [Fence(buffer.nbytes) for buffer in buffers]
        for at_end in (False, True):
            pointers = (ctypes.c_void_p * len(buffers))(
                *[fence.place(at_end) for fence in fences])
            for pointer, buffer in zip(pointers, buffers):
                ctypes.memmove(pointer, buffer.ctypes.data, buffer.nbytes)
            function(pointers, numbers, sizes, begin, end)
        for pointer, buffer in zip(pointers, buffers):
            if buffer.flags.writeable:
                ctypes.memmove(buffer.ctypes.data, pointer, buffer.nbytes)


class Fence:
    """Memory for one buffer between pages that may not be touched: a kernel that
    leaves its buffer ends the test with SIGSEGV."""

    def __init__(self, size):
        self.size = size
        self.body = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        self.memory = mmap.mmap(-1, self.body + 2 * mmap.PAGESIZE)
        self.base = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        for page in (0, mmap.PAGESIZE + self.body):
            assert LIBC.mprotect(self.base + page, mmap.PAGESIZE, 0) == 0

    def place(self, at_end):
        """Where the buffer begins if it ends, or begins, at such a page."""
        return self.base + mmap.PAGESIZE + at_end * (self.body - self.size)
