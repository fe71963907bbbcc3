# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs kernels as --cuda-to-llvm leaves them, without a GPU: their LLVM IR is
compiled for this machine, and gpu_emulator.c runs a program's threads as fibers."""

import ctypes
import itertools
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "X86", "Inputs"))
from kernels import Fence  # noqa: E402

LLVM = "/usr/lib/llvm-22/bin/"
#: Intrinsics, and the functions of gpu_emulator.c in their place.
RENAMED = {
    "llvm.nvvm.read.ptx.sreg.tid.x": "emu_tid_x",
    "llvm.nvvm.read.ptx.sreg.ctaid.x": "emu_ctaid_x",
    "llvm.nvvm.read.ptx.sreg.ctaid.y": "emu_ctaid_y",
    "llvm.nvvm.read.ptx.sreg.ctaid.z": "emu_ctaid_z",
    "llvm.nvvm.read.ptx.sreg.nctaid.y": "emu_nctaid_y",
    "llvm.nvvm.read.ptx.sreg.nctaid.z": "emu_nctaid_z",
    "llvm.nvvm.griddepcontrol.wait": "emu_nothing",
    "llvm.nvvm.griddepcontrol.launch.dependents": "emu_nothing",
    "llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)": "emu_barrier()",
    "llvm.nvvm.barrier.cta.sync.aligned.all(i32)": "emu_barrier()",
    "llvm.nvvm.shfl.sync.bfly.i32": "emu_shfl_bfly",
    "llvm.nvvm.cp.async.cg.shared.global.16.s": "emu_copy",
    "llvm.nvvm.cp.async.cg.shared.global.16": "emu_copy_all",
    "llvm.nvvm.cp.async.commit.group": "emu_commit",
    "llvm.nvvm.cp.async.wait.group": "emu_wait",
    "llvm.nvvm.ex2.approx.ftz.f32": "exp2f",
}
#: Products: their intrinsics, and gpu_emulator.c's numbers.
KINDS = {"f32.f32": 0, "bf16": 1, "s8": 2, "s8.u8": 3, "u8.s8": 4, "u8": 5}


def define(declaration):
    """A function for the intrinsic that a line of LLVM IR declares: by the one of
    gpu_emulator.c that does it, with words in memory. Else the line."""
    match = re.match(r"declare (\{[^}]*\}|i32) @llvm\.nvvm\.(ldmatrix|mma)\.(\S+?)"
                     r"\((.*)\)", declaration)
    if not match:
        return declaration
    result, op, name, types = match.groups()
    types = [kind.split(" captures")[0].split(" readonly")[0].strip()
             for kind in re.split(r",\s*(?![^<]*>)", types)]
    arguments = [f"{kind} %a{i}" for i, kind in enumerate(types)]
    lines = ["  %words = alloca [16 x i32]", "  %result = alloca [4 x i32]"]
    if op == "mma":
        number = KINDS[re.search(r"(?:row\.col\.)(.*)", name)[1]]
        for i in range(len(types)):
            lines += [f"  %p{i} = getelementptr i32, ptr %words, i32 {i}",
                      f"  store {arguments[i]}, ptr %p{i}"]
        lines.append("  call void @emu_mma(ptr %words, ptr %result, "
                     f"i32 {number})")
    else:
        count = int(re.search(r"x([124])\.", name)[1])
        lines.append(f"  call void @emu_ldmatrix(ptr %a0, ptr %result, i32 {count}"
                     f", i32 {int('trans' in name)})")
    lines += [f"  %r = load {result}, ptr %result", f"  ret {result} %r"]
    return (f"define {result} @llvm_{op}_{name}({', '.join(arguments)}) "
            "noinline {\n" + "\n".join(lines) + "\n}")


def run(command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE,
                          **options).stdout


class Kernels:
    """The kernels of a module of tile kernels, on the emulator."""

    def __init__(self, text, level):
        lowered = run(["lathe-opt", f"--cuda-to-llvm=level={level}"],
                      input=text.encode())
        names = re.findall(rb"llvm\.func @(\S+?)\(.*nvvm\.kernel.*", lowered)
        self.facts = {}
        self.given = set()  # Kernels that are given their grid.
        for name in names:
            line = re.search(rb"llvm\.func @" + name + rb"\(.*", lowered)[0]
            self.facts[name.decode()] = (
                int(re.search(rb"nvvm\.reqntid = array<i32: (\d+)>", line)[1]),
                int(re.search(rb"tile\.shared_bytes = (\d+)", line)[1]))
            if b"tile.grid" in line:
                self.given.add(name.decode())
        ir = run([LLVM + "mlir-translate", "--mlir-to-llvmir"],
                 input=lowered).decode()
        for old, new in RENAMED.items():
            end = "" if "(" in old else "("
            ir = ir.replace("@" + old + end, "@" + new + end)
        ir = re.sub(r" addrspace\([13]\)", "", ir)
        ir = re.sub(r" immarg\b", "", ir)
        ir = "\n".join(map(define, ir.split("\n")))
        ir = re.sub(r"@llvm\.nvvm\.(ldmatrix|mma)\.", r"@llvm_\1_", ir)
        ir += ("\ndeclare void @emu_mma(ptr, ptr, i32)"
               "\ndeclare void @emu_ldmatrix(ptr, ptr, i32, i32)\n")
        ir = ir.replace("ptx_kernel ", "")
        # Wide accesses stay so, and fault where they are not aligned.
        ir = re.sub(r"\b(load|store) <", r"\1 volatile <", ir)
        ir = "\n".join(line for line in ir.split("\n")
                       if not line.startswith("attributes #"))
        ir = re.sub(r"( |^)#\d+", "", ir)
        calls = "".join(self.thunk(ir, name) for name in self.facts)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "kernels.ll")
            with open(path, "w") as file:
                file.write(ir)
            with open(os.path.join(folder, "calls.c"), "w") as file:
                file.write("#include <stdint.h>\n" + calls)
            library = os.path.join(folder, "kernels.so")
            run([LLVM + "clang", "-O1", "-w", "-shared", "-fPIC", "-march=native",
                 "-ffp-contract=fast", path, os.path.join(folder, "calls.c"),
                 os.path.join(HERE, "gpu_emulator.c"), "-lm", "-o", library])
            self.library = ctypes.CDLL(library)

    @staticmethod
    def thunk(ir, name):
        """C that calls the kernel with what `args_NAME` holds."""
        arguments = re.search(r"define void @" + re.escape(name) + r"\((.*)\)",
                              ir)[1]
        kinds = ["void *" if kind.startswith("ptr") else "int64_t"
                 for kind in re.findall(r"(ptr|i64)[^,]*%", arguments)]
        passed = ", ".join(f"({kind})args_{name}[{i}]"
                           for i, kind in enumerate(kinds))
        return (f"int64_t args_{name}[{len(kinds) + 1}];\n"
                f"void {name}({', '.join(kinds) or 'void'});\n"
                f"void call_{name}(void) {{ {name}({passed}); }}\n")

    def run(self, name, buffers, scalars=(), grid=(1, )):
        """Runs all programs of the grid, twice: threads in ascending order, with
        buffers that begin at a guard page, and in descending order, with ones
        that end at one, or less than 16 bytes before it (buffers of a GPU begin
        at multiples of 16), and as a grid along x, if the kernel takes that. The
        last results are left in the buffers."""
        grid = tuple(grid) + (1, ) * (3 - len(grid))
        is_given = name in self.given
        scalars = (*scalars, *(grid if is_given else ()))
        threads, _ = self.facts[name]
        fences = [Fence(buffer.nbytes) for buffer in buffers]
        arguments = (ctypes.c_int64 * (len(buffers) + len(scalars) + 1)).in_dll(
            self.library, "args_" + name)
        call = ctypes.cast(getattr(self.library, "call_" + name),
                           ctypes.c_void_p)
        for at_end in (False, True):
            places = [fence.place(at_end) & ~15 for fence in fences]
            for place, buffer in zip(places, buffers):
                ctypes.memmove(place, buffer.ctypes.data, buffer.nbytes)
            arguments[:len(places) + len(scalars)] = [*places, *scalars]
            blocks = grid
            if at_end and is_given:
                blocks = (grid[0] * grid[1] * grid[2], 1, 1)
            self.library.emu_launch(*blocks)
            for z, y, x in itertools.product(*map(range, reversed(blocks))):
                assert not self.library.emu_program(
                    call, threads, x, y, z, int(at_end), 0xFF), \
                    f"{name}: threads wait at different barriers"
            if not at_end:
                first = [ctypes.string_at(place, buffer.nbytes)
                         for place, buffer in zip(places, buffers)]
        for i, (place, buffer) in enumerate(zip(places, buffers)):
            assert first[i] == ctypes.string_at(place, buffer.nbytes), \
                f"{name}: buffer {i} depends on the order of threads"
            if buffer.flags.writeable:
                ctypes.memmove(buffer.ctypes.data, place, buffer.nbytes)
