# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random tile kernels, and what the reference interpreter makes of them.

A kernel follows from its number. Values stay of order one, so that rounding alone
tells two right answers apart: 1e-4.
"""

import os
import re
import subprocess
import tempfile

import numpy as np

TOLERANCE = 1e-4
ROWS = [1, 2, 3, 5, 8, 16]
COLUMNS = [1, 3, 8, 16, 17, 32, 64, 100]


class Kernel:
    """A kernel of random ops, as text, and the operands to run it on."""

    def __init__(self, number):
        self.random = np.random.default_rng(number)
        self.lines, self.tiles, self.count = [], {}, 0
        self.rows, self.columns = self.choose(ROWS), self.choose(COLUMNS)
        self.m = int(self.random.integers(1, 3 * self.rows + 1))
        self.n = int(self.random.integers(1, 2 * self.columns + 1))
        self.grid = (-(-self.m // self.rows), 1)
        self.indices, self.outputs = set(), []
        self.open()
        makers = [getattr(self, name) for name in dir(self)
                  if name.startswith("op_")]
        for _ in range(int(self.random.integers(4, 14))):
            self.choose(makers)()
        for name in self.unused()[-5:]:
            self.store(name)

    # Parts ------------------------------------------------------------------

    def choose(self, items):
        return items[int(self.random.integers(len(items)))]

    def index(self, value):
        self.indices.add(value)
        return f"%c{value}"

    def add(self, shape, text):
        """A line that defines a tile; {type} in it is the tile's type."""
        name = f"%t{self.count}"
        self.count += 1
        self.lines.append(f"  {name} = " + text.replace("{type}", tensor(shape)))
        self.tiles[name] = tuple(shape)
        return name

    def pick(self, accept=lambda shape: True):
        fitting = [name for name, shape in self.tiles.items() if accept(shape)]
        return self.choose(fitting[-5:]) if fitting else None

    def unused(self):
        names = re.findall(r"%t\d+", "\n".join(self.lines))
        return [name for name in self.tiles if names.count(name) == 1]

    def view(self, buffer, sizes, strides, offset=""):
        name = f"%v{self.count}"
        self.count += 1

        def shown(values):
            return [str(v) if isinstance(v, int) else "?" for v in values]
        kind = (f"!tile.view<{'x'.join(shown(sizes) + ['f32'])}, "
                f"[{', '.join(shown(strides))}]>")
        self.lines.append(
            f"  {name} = tile.view {buffer} {offset} "
            f"sizes [{', '.join(map(str, sizes))}] "
            f"strides [{', '.join(map(str, strides))}] "
            f": !tile.buffer<f32> -> {kind}")
        return name, kind

    def open(self):
        """Loads of x, plain, shifted beyond its edges, transposed, repeated."""
        rows, columns = self.rows, self.columns
        x, kind = self.view("%x", ["%m", "%n"], ["%n", 1])
        column = self.index(self.choose([0, 0, 1, columns // 2]))
        self.add((rows, columns), f"tile.load {x}[%row, {column}] dims [0, 1] "
                 f"pad {float(self.choose([0, 0.5]))} : f32 : {kind} -> {{type}}")
        self.add((columns, rows), f"tile.load {x}[%row, {self.index(0)}] "
                 f"dims [1, 0] : {kind} -> {{type}}")
        self.add((rows, columns), f"tile.load {x}[{self.index(0)}, {column}] "
                 f"dims [-1, 1] : {kind} -> {{type}}")
        if self.random.random() < 0.5:
            self.loop(x, kind)

    def loop(self, x, kind):
        """A sum of column blocks, as a matrix product or a norm runs."""
        shape = (self.rows, self.columns)
        total, step = tensor(shape), self.index(self.columns)
        zero = self.constant(shape, 0.0)
        self.add(shape, f"""scf.for %k = {self.index(0)} to %n step {step}
      iter_args(%acc = {zero}) -> ({total}) {{
    %block = tile.load %xk[%row, %k] dims [0, 1] : {kind} -> {total}
    %small = math.tanh %block : {total}
    %sum = arith.addf %acc, %small : {total}
    scf.yield %sum : {total}
  }}""".replace("%xk", x))

    def constant(self, shape, value):
        return self.add(shape, f"arith.constant dense<{value:e}> : {{type}}")

    def store(self, name):
        """To a buffer of its own, of which programs write rows; cut off below and
        to the right at random."""
        shape = self.tiles[name]
        if len(shape) == 1:
            shape = (1, *shape)
            name = self.add(shape, f"tile.broadcast {name} dims [1] : "
                            f"{tensor(shape[1:])} -> {{type}}")
        height = self.grid[0] * shape[0] - int(self.random.integers(shape[0]))
        width = shape[1] - int(self.random.integers(shape[1]))
        turned = self.random.random() < 0.3
        sizes = [width, height] if turned else [height, width]
        buffer = f"%y{len(self.outputs)}"
        self.outputs.append(tuple(sizes))
        y, kind = self.view(buffer, sizes, [sizes[1], 1])
        row = f"%r{self.count}"
        self.lines.append(f"  {row} = arith.muli %i, {self.index(shape[0])} : index")
        at = [self.index(0), row] if turned else [row, self.index(0)]
        self.lines.append(
            f"  tile.store {name}, {y}[{', '.join(at)}] dims "
            f"{[1, 0] if turned else [0, 1]} : {tensor(shape)}, {kind}")

    # Ops --------------------------------------------------------------------

    def op_unary(self):
        x = self.pick()
        op = self.choose(["math.tanh", "math.erf", "math.absf", "arith.negf",
                          "math.cos"])
        return self.add(self.tiles[x], f"{op} {x} : {{type}}")

    def op_bounded(self):
        x = self.pick()
        shape = self.tiles[x]
        small = self.add(shape, f"math.tanh {x} : {{type}}")
        two = self.constant(shape, 2.0)
        positive = self.add(shape, f"arith.addf {small}, {two} : {{type}}")
        op = self.choose(["exp", "log", "sqrt", "rsqrt"])
        self.add(shape, f"math.{op} {positive} : {{type}}")

    def op_binary(self):
        x = self.pick()
        shape = self.tiles[x]
        y = self.pick(lambda other: other == shape)
        op = self.choose(["addf", "subf", "maximumf", "minimumf", "mulf"])
        result = self.add(shape, f"arith.{op} {x}, {y} : {{type}}")
        if op == "mulf":
            self.add(shape, f"math.tanh {result} : {{type}}")

    def op_divide(self):
        x = self.pick()
        shape = self.tiles[x]
        y = self.pick(lambda other: other == shape)
        bounded = self.add(shape, f"math.tanh {y} : {{type}}")
        two = self.constant(shape, 2.0)
        positive = self.add(shape, f"arith.addf {bounded}, {two} : {{type}}")
        self.add(shape, f"arith.divf {x}, {positive} : {{type}}")

    def op_reduce(self):
        x = self.pick(lambda shape: len(shape) == 2)
        shape, axis = self.tiles[x], self.choose([0, 1])
        rest = (shape[1 - axis], )
        kind = self.choose(["add", "max", "min"])
        small = self.add(shape, f"math.tanh {x} : {{type}}")
        self.add(rest, f"tile.reduce {kind} {small} axis {axis} : "
                 f"{tensor(shape)} -> {{type}}")

    def op_broadcast(self):
        x = self.pick(lambda shape: len(shape) == 1)
        if x:
            size, = self.tiles[x]
            axis, other = self.choose([0, 1]), self.choose(ROWS)
            shape = (size, other) if axis == 0 else (other, size)
            self.add(shape, f"tile.broadcast {x} dims [{axis}] : "
                     f"{tensor((size,))} -> {{type}}")

    def op_scan(self):
        x = self.pick(lambda shape: len(shape) == 2)
        shape = self.tiles[x]
        small = self.add(shape, f"math.tanh {x} : {{type}}")
        self.add(shape, f"tile.scan {self.choose(['add', 'max'])} {small} "
                 f"axis {self.choose([0, 1])} : {{type}}")

    def op_transpose(self):
        x = self.pick(lambda shape: len(shape) == 2)
        shape = self.tiles[x]
        self.add(shape[::-1], f"tile.transpose {x} [1, 0] : {tensor(shape)} "
                 "-> {type}")

    def op_concat(self):
        x = self.pick(lambda shape: len(shape) == 2)
        axis = self.choose([0, 1])
        y = self.pick(lambda shape: len(shape) == 2 and
                      shape[1 - axis] == self.tiles[x][1 - axis])
        parts = [self.tiles[x], self.tiles[y], self.tiles[x]]
        shape = list(parts[0])
        shape[axis] = sum(part[axis] for part in parts)
        if shape[0] * shape[1] <= 5000:
            self.add(tuple(shape), f"tile.concat {x}, {y}, {x} axis {axis} : "
                     f"{', '.join(map(tensor, parts))} -> {{type}}")

    def op_mma(self):
        a = self.pick(lambda shape: len(shape) == 2)
        rows, depth = self.tiles[a]
        b = self.pick(lambda shape: len(shape) == 2 and shape[0] == depth)
        if not b or rows * depth * self.tiles[b][1] > 50000:
            return
        shape = (rows, self.tiles[b][1])
        left = self.add((rows, depth), f"math.tanh {a} : {{type}}")
        right = self.add(self.tiles[b], f"math.tanh {b} : {{type}}")
        zero = self.constant(shape, 0.25)
        self.add(shape, f"tile.mma {left}, {right}, {zero} : "
                 f"{tensor((rows, depth))}, {tensor(self.tiles[b])}, {{type}}")

    def op_mask(self):
        """What lies left of a limit, by positions."""
        x = self.pick(lambda shape: len(shape) == 2)
        shape, axis = self.tiles[x], self.choose([0, 1])
        at, limit, truth = (f"%p{self.count}", f"%q{self.count}", f"%b{self.count}")
        integers = tensor(shape, "i32")
        self.lines += [
            f"  {at} = tile.iota {axis} : {integers}",
            f"  {limit} = arith.constant dense<{self.random.integers(20)}> : "
            f"{integers}",
            f"  {truth} = arith.cmpi {self.choose(['slt', 'sge', 'eq'])}, {at}, "
            f"{limit} : {integers}"]
        other = self.constant(shape, 0.5)
        self.add(shape, f"arith.select {truth}, {x}, {other} : "
                 f"{tensor(shape, 'i1')}, {{type}}")
        number = self.add(shape, f"arith.sitofp {at} : {integers} to {{type}}")
        self.add(shape, f"math.cos {number} : {{type}}")

    # The whole --------------------------------------------------------------

    def text(self):
        outputs = "".join(f", %y{i}: !tile.buffer<f32> {{tile.written}}"
                          for i in range(len(self.outputs)))
        self.index(self.rows)
        constants = "\n".join(f"  %c{v} = arith.constant {v} : index"
                              for v in sorted(self.indices))
        body = "\n".join(self.lines)
        return (f"tile.kernel @f(%x: !tile.buffer<f32>{outputs}, %m: index, "
                f"%n: index)\n    schedule <strategy = \"test\", tile = []> {{\n"
                f"{constants}\n  %i = tile.program_id 0\n"
                f"  %row = arith.muli %i, %c{self.rows} : index\n{body}\n"
                "  tile.return\n}\n")


def tensor(shape, element="f32"):
    return f"tensor<{'x'.join(map(str, shape))}x{element}>"


def interpret(text, buffers, scalars, grid):
    """What the interpreter makes of the buffers."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "kernel.mlir")
        with open(path, "w") as file:
            file.write(text)
        command = ["lathe-kernel", path, "--interpret", "f",
                   "--grid", ",".join(map(str, grid))]
        command += [f"--scalar={value}" for value in scalars]
        for i, buffer in enumerate(buffers):
            buffer.tofile(os.path.join(folder, str(i)))
            command.append("--buffer=" + os.path.join(folder, str(i)))
        subprocess.run(command, check=True)
        return [np.fromfile(os.path.join(folder, str(i)), b.dtype).reshape(b.shape)
                for i, b in enumerate(buffers)]


def check(number, level, kernels):
    """Kernel `number` at a level: `kernels(text, level)` has its `run`."""
    kernel = Kernel(number)
    text = kernel.text()
    x = kernel.random.standard_normal((kernel.m, kernel.n)).astype(np.float32)
    buffers = [x] + [np.full(shape, 9, np.float32) for shape in kernel.outputs]
    scalars = [kernel.m, kernel.n]
    try:
        wanted = interpret(text, buffers, scalars, kernel.grid)
    except subprocess.CalledProcessError as error:
        raise AssertionError(f"not interpreted: {error}\n{text}") from None
    try:
        kernels(text, level).run("f", buffers, scalars, kernel.grid)
    except subprocess.CalledProcessError as error:
        raise AssertionError(f"{level}: {error}\n{text}") from None
    for i, (have, want) in enumerate(zip(buffers, wanted)):
        limit = TOLERANCE * np.maximum(1, abs(want))
        wrong = ~(abs(have - want) <= limit)
        if wrong.any():
            at = tuple(map(int, np.argwhere(wrong)[0]))
            raise AssertionError(
                f"{level}: buffer {i}: {wrong.sum()} of {wrong.size} differ, "
                f"first at {at}: {have[at]}, expected {want[at]}\n{text}")


def check_all(first, count, levels, kernels):
    """Asserts that `count` kernels from `first` on are right at all levels."""
    failures = 0
    for number in range(int(first), int(first) + int(count)):
        for level in levels:
            try:
                check(number, level, kernels)
            except AssertionError as error:
                failures += 1
                print(f"kernel {number}: {error}", flush=True)
    assert not failures, f"{failures} kernels fail"
