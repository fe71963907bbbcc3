# RUN: %python %s
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Hand-written tile kernels at every level of this machine, against NumPy: odd
sizes, tails, padding, transposed and gathered loads, every element type."""

import itertools
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))
from kernels import Kernels, build, levels  # noqa: E402

HEAD = 'schedule <strategy = "test", tile = []>'


def view(name, source, element, sizes, strides, offset=""):
    """The text of a tile.view and its type; strings are dynamic values."""
    def shape(values):
        return [str(value) if isinstance(value, int) else "?"
                for value in values]

    text = (f"!tile.view<{'x'.join(shape(sizes) + [element])}, "
            f"[{', '.join(shape(strides))}]>")
    line = (f"  %{name} = tile.view %{source} {offset} "
            f"sizes [{', '.join(map(str, sizes))}] "
            f"strides [{', '.join(map(str, strides))}] "
            f": !tile.buffer<{element}> -> {text}\n")
    return line, text


def constants(*values):
    return "".join(f"  %c{v} = arith.constant {v} : index\n"
                   for v in sorted(set(values)))


#===-- Contractions ----------------------------------------------------------#

def contract(rows, columns, step, k, n, pack, element="f32"):
    x, xt = view("xv", "x", element, ["%m", k], [k, 1])
    w, wt = view("wv", "w", element, [-(-n // pack), k, pack],
                 [k * pack, pack, 1])
    bias, bt = view("bv", "b", "f32", [n], [1])
    y, yt = view("yv", "y", "f32", ["%m", n], [n, 1])
    acc, at, btile = (f"tensor<{rows}x{columns}xf32>",
                      f"tensor<{rows}x{step}x{element}>",
                      f"tensor<{step}x{columns}x{element}>")
    return f"""
tile.kernel @contract(%x: !tile.buffer<{element}>, %w: !tile.buffer<{element}>,
    %b: !tile.buffer<f32>, %y: !tile.buffer<f32> {{tile.written}}, %m: index)
    {HEAD} {{
{constants(0, k, step, rows, columns)}
  %i = tile.program_id 0
  %j = tile.program_id 1
  %row = arith.muli %i, %c{rows} : index
  %col = arith.muli %j, %c{columns} : index
{x}{w}{bias}{y}
  %zero = arith.constant dense<0.0> : {acc}
  %acc = scf.for %k = %c0 to %c{k} step %c{step} iter_args(%c = %zero)
      -> ({acc}) {{
    %a = tile.load %xv[%row, %k] dims [0, 1] : {xt} -> {at}
    %t = tile.load %wv[%j, %k, %c0] dims [1, 2] : {wt} -> {btile}
    %d = tile.mma %a, %t, %c : {at}, {btile}, {acc}
    scf.yield %d : {acc}
  }}
  %v = tile.load %bv[%col] dims [-1, 0] : {bt} -> {acc}
  %s = arith.addf %acc, %v : {acc}
  %h = math.tanh %s : {acc}
  tile.store %h, %yv[%row, %col] dims [0, 1] : {acc}, {yt}
  tile.return
}}"""


def check_contract(level, rng):
    for rows, columns, step, k, n in [(6, 64, 1, 37, 128), (14, 32, 1, 64, 96),
                                      (8, 48, 16, 37, 100), (48, 96, 8, 40, 96),
                                      (6, 16, 1, 5, 13), (1, 64, 4, 7, 64),
                                      (5, 24, 3, 9, 50)]:
        kernels = Kernels(contract(rows, columns, step, k, n, columns), level)
        blocks = -(-n // columns)
        w = rng.standard_normal((k, n)).astype(np.float32)
        padded = np.zeros((k, blocks * columns), np.float32)
        padded[:, :n] = w
        packed = np.ascontiguousarray(
            padded.reshape(k, blocks, columns).transpose(1, 0, 2))
        bias = rng.standard_normal(n).astype(np.float32)
        for m in (0, 1, 2, 3, 5, 6, 7, 13, 29, 64):
            x = rng.standard_normal((m, k)).astype(np.float32)
            y = np.zeros((m, n), np.float32)
            kernels.run("contract", [x, packed, bias, y], [m],
                        [-(-m // rows), blocks])
            want = np.tanh(x.astype(np.float64) @ w + bias)
            assert np.allclose(y, want, atol=1e-5), (level, rows, columns, m)


#===-- Rows ------------------------------------------------------------------#

def layer_norm(width, rows):
    x, xt = view("xv", "x", "f32", ["%m", "%n"], ["%n", 1])
    y, yt = view("yv", "y", "f32", ["%m", "%n"], ["%n", 1])
    tile, row = f"tensor<{rows}x{width}xf32>", f"tensor<{rows}xf32>"

    def total(name, body):
        return f"""
  %zero{name} = arith.constant dense<0.0> : {tile}
  %sums{name} = scf.for %k = %c0 to %n step %c{width}
      iter_args(%s = %zero{name}) -> ({tile}) {{
    %t = tile.load %xv[%row, %k] dims [0, 1] : {xt} -> {tile}
{body}
    %next = arith.addf %s, %u : {tile}
    scf.yield %next : {tile}
  }}
  %total{name} = tile.reduce add %sums{name} axis 1 : {tile} -> {row}
  %{name} = arith.divf %total{name}, %count : {row}"""

    return f"""
tile.kernel @norm(%x: !tile.buffer<f32>, %y: !tile.buffer<f32> {{tile.written}},
    %m: index, %n: index) {HEAD} {{
{constants(0, width, rows)}
  %i = tile.program_id 0
  %row = arith.muli %i, %c{rows} : index
{x}{y}
  %ni = arith.index_cast %n : index to i64
  %nf = arith.sitofp %ni : i64 to f32
  %count = tile.splat %nf : f32 -> {row}
{total("mean", f"    %u = arith.addf %t, %zeromean : {tile}")}
  %center = tile.broadcast %mean dims [0] : {row} -> {tile}
  %lane = tile.iota 1 : tensor<{rows}x{width}xindex>
{total("var", f'''
    %left = arith.subi %n, %k : index
    %limit = tile.splat %left : index -> tensor<{rows}x{width}xindex>
    %inside = arith.cmpi slt, %lane, %limit : tensor<{rows}x{width}xindex>
    %d = arith.subf %t, %center : {tile}
    %q = arith.mulf %d, %d : {tile}
    %u = arith.select %inside, %q, %zerovar : tensor<{rows}x{width}xi1>, {tile}
''')}
  %eps = arith.constant dense<1.0e-5> : {row}
  %v = arith.addf %var, %eps : {row}
  %r = math.rsqrt %v : {row}
  %scale = tile.broadcast %r dims [0] : {row} -> {tile}
  scf.for %k = %c0 to %n step %c{width} {{
    %t = tile.load %xv[%row, %k] dims [0, 1] : {xt} -> {tile}
    %d = arith.subf %t, %center : {tile}
    %o = arith.mulf %d, %scale : {tile}
    tile.store %o, %yv[%row, %k] dims [0, 1] : {tile}, {yt}
  }}
  tile.return
}}"""


def check_layer_norm(level, rng):
    for width, rows in [(64, 1), (256, 1), (64, 4), (32, 3), (128, 40)]:
        kernels = Kernels(layer_norm(width, rows), level)
        for m, n in [(1, 1), (5, 7), (3, 64), (7, 100), (9, 384), (2, 771)]:
            x = rng.standard_normal((m, n)).astype(np.float32)
            y = np.zeros((m, n), np.float32)
            kernels.run("norm", [x, y], [m, n], [-(-m // rows)])
            wide = x.astype(np.float64)
            want = (wide - wide.mean(1, keepdims=True)) / np.sqrt(
                wide.var(1, keepdims=True) + 1e-5)
            assert np.allclose(y, want, atol=2e-5), (level, width, rows, m, n)


def reduce_scan(kind, element, rows, width, axis):
    x, xt = view("xv", "x", element, [rows, width], [width, 1])
    out = [rows, width][1 - axis]
    y, yt = view("yv", "y", element, [out], [1])
    z, zt = view("zv", "z", element, [rows, width], [width, 1])
    tile, row = f"tensor<{rows}x{width}x{element}>", f"tensor<{out}x{element}>"
    return f"""
tile.kernel @reduce(%x: !tile.buffer<{element}>,
    %y: !tile.buffer<{element}> {{tile.written}},
    %z: !tile.buffer<{element}> {{tile.written}}) {HEAD} {{
{constants(0)}{x}{y}{z}
  %t = tile.load %xv[%c0, %c0] dims [0, 1] : {xt} -> {tile}
  %r = tile.reduce {kind} %t axis {axis} : {tile} -> {row}
  tile.store %r, %yv[%c0] dims [0] : {row}, {yt}
  %s = tile.scan {kind} %t axis {axis} : {tile}
  tile.store %s, %zv[%c0, %c0] dims [0, 1] : {tile}, {zt}
  tile.return
}}"""


def check_reductions(level, rng):
    functions = {"add": np.add, "mul": np.multiply, "max": np.maximum,
                 "min": np.minimum, "and": np.bitwise_and,
                 "or": np.bitwise_or}
    types = {"f32": np.float32, "i32": np.int32, "i64": np.int64,
             "f64": np.float64, "i8": np.int8}
    cases = [("f32", "add", 3, 17), ("f32", "max", 40, 64), ("f32", "mul", 5, 3),
             ("f32", "min", 70, 300), ("f32", "add", 64, 5), ("f64", "add", 9, 40),
             ("i32", "min", 3, 17), ("i64", "add", 40, 20), ("i8", "and", 5, 70),
             ("i32", "max", 1, 1)]
    for (element, kind, rows, width), axis in itertools.product(cases, (0, 1)):
        is_float = element[0] == "f"
        kernels = Kernels(reduce_scan(kind, element, rows, width, axis), level)
        x = rng.uniform(0.5, 1.5, (rows, width)) if is_float \
            else rng.integers(-100, 100, (rows, width))
        x = x.astype(types[element])
        if is_float and kind in ("max", "min"):
            x[rng.random((rows, width)) < 0.01] = np.nan  # some rows, any lane
        y = np.zeros([rows, width][1 - axis], x.dtype)
        z = np.zeros((rows, width), x.dtype)
        kernels.run("reduce", [x, y, z])
        f = functions[kind]
        wide = x.astype(np.float64) if is_float else x
        want = f.reduce(wide, axis=axis, dtype=wide.dtype)
        scan = f.accumulate(wide, axis=axis, dtype=wide.dtype)
        what = (level, kind, element, rows, width, axis)
        assert np.allclose(y, want, rtol=1e-4, equal_nan=True), what
        assert np.allclose(z, scan, rtol=1e-4, equal_nan=True), what


#===-- Elements --------------------------------------------------------------#

def convert(body, source, target, width, rank2):
    """A pointwise kernel from %t (of `source`) to %o (of `target`)."""
    sizes = ["%m", "%n"] if rank2 else ["%n"]
    strides = ["%n", 1] if rank2 else [1]
    x, xt = view("xv", "x", source, sizes, strides)
    y, yt = view("yv", "y", target, sizes, strides)
    shape = f"4x{width}" if rank2 else f"{width}"
    at = "%row, %col" if rank2 else "%col"
    dims = "0, 1" if rank2 else "0"
    tile, out = f"tensor<{shape}x{source}>", f"tensor<{shape}x{target}>"
    return f"""
tile.kernel @f(%x: !tile.buffer<{source}>,
    %y: !tile.buffer<{target}> {{tile.written}}, %m: index, %n: index) {HEAD} {{
{constants(4, width)}
  %i = tile.program_id 0
  %j = tile.program_id 1
  %col = arith.muli %i, %c{width} : index
  %row = arith.muli %j, %c4 : index
{x}{y}
  %t = tile.load %xv[{at}] dims [{dims}] : {xt} -> {tile}
{body.format(tile=tile, out=out, shape=shape)}
  tile.store %o, %yv[{at}] dims [{dims}] : {out}, {yt}
  tile.return
}}"""


def bfloat(values):
    """f32 values rounded to bf16, as their bits."""
    words = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((words + 0x7fff + ((words >> 16) & 1)) >> 16).astype(np.uint16)


def widen(halves):
    return (halves.astype(np.uint32) << 16).view(np.float32)


def check_elements(level, rng):
    double = "  %o = arith.addf %t, %t : {tile}"
    cases = [
        ("f32", "f32", double, np.float32, lambda x: x + x),
        ("f64", "f64", double, np.float64, lambda x: x + x),
        ("f16", "f16", double, np.float16, lambda x: x + x),
        ("f16", "f32", "  %o = arith.extf %t : {tile} to {out}", np.float16,
         lambda x: x.astype(np.float32)),
        ("f32", "f16", "  %o = arith.truncf %t : {tile} to {out}", np.float32,
         lambda x: x.astype(np.float16)),
        ("i8", "i32", "  %o = arith.extsi %t : {tile} to {out}", np.int8,
         lambda x: x.astype(np.int32)),
        ("i64", "f32", "  %o = arith.sitofp %t : {tile} to {out}", np.int64,
         lambda x: x.astype(np.float32)),
        ("f32", "i64", "  %o = arith.fptosi %t : {tile} to {out}", np.float32,
         lambda x: x.astype(np.int64)),
        ("f32", "i1", "  %z = arith.constant dense<0.0> : {tile}\n"
         "  %o = arith.cmpf ogt, %t, %z : {tile}", np.float32,
         lambda x: (x > 0).astype(np.bool_)),
        ("i1", "f32", "  %a = arith.constant dense<1.5> : {out}\n"
         "  %b = arith.constant dense<-2.5> : {out}\n"
         "  %o = arith.select %t, %a, %b : {tile}, {out}", np.bool_,
         lambda x: np.where(x, np.float32(1.5), np.float32(-2.5))),
    ]
    for source, target, body, dtype, function in cases:
        for rank2 in (False, True):
            for width in ((64, 200) if rank2 else (8, 64)):
                kernels = Kernels(convert(body, source, target, width, rank2),
                                  level)
                for m, n in ((1, 1), (6, 63), (4, 64), (5, 450)):
                    m = m if rank2 else 1
                    x = (rng.standard_normal((m, n)) * 50).astype(dtype)
                    want = function(x)
                    y = np.zeros((m, n), want.dtype if
                                       want.dtype != np.bool_ else np.uint8)
                    kernels.run("f", [x, y], [m, n],
                                [-(-n // width), -(-m // 4)])
                    assert np.array_equal(y, want), (level, source, target,
                                                     width, m, n)
    check_bfloat(level, rng)


def check_bfloat(level, rng):
    kernels = Kernels(convert("  %o = arith.mulf %t, %t : {tile}", "bf16",
                              "bf16", 64, False), level)
    x = bfloat(rng.standard_normal(333) * 10)
    x[:3] = [0x7f80, 0xff80, 0x7fc1]  # infinities and NaN
    y = np.zeros(333, np.uint16)
    kernels.run("f", [x, y], [1, 333], [-(-333 // 64)])
    want = bfloat(widen(x)**2)
    assert np.array_equal(y[:2], want[:2]) and np.isnan(widen(y[2:3]))[0]
    assert np.array_equal(y[3:], want[3:]), level


#===-- Indices ---------------------------------------------------------------#

def check_padding(level, rng):
    """Windows that begin before the view and end after it."""
    x, xt = view("xv", "x", "f32", ["%h", "%w"], ["%w", 1])
    y, yt = view("yv", "y", "f32", ["%h", "%w"], ["%w", 1])
    tile = "tensor<4x32xf32>"
    kernels = Kernels(f"""
tile.kernel @blur(%x: !tile.buffer<f32>, %y: !tile.buffer<f32> {{tile.written}},
    %h: index, %w: index) {HEAD} {{
{constants(0, 1, 3, 4, 32)}
  %i = tile.program_id 0
  %j = tile.program_id 1
  %row = arith.muli %j, %c4 : index
  %col = arith.muli %i, %c32 : index
{x}{y}
  %zero = arith.constant dense<0.0> : {tile}
  %sum = scf.for %u = %c0 to %c3 step %c1 iter_args(%a = %zero) -> ({tile}) {{
    %r0 = arith.addi %row, %u : index
    %r = arith.subi %r0, %c1 : index
    %inner = scf.for %v = %c0 to %c3 step %c1 iter_args(%b = %a) -> ({tile}) {{
      %k0 = arith.addi %col, %v : index
      %k = arith.subi %k0, %c1 : index
      %t = tile.load %xv[%r, %k] dims [0, 1] pad 2.0 : f32 : {xt} -> {tile}
      %n = arith.addf %b, %t : {tile}
      scf.yield %n : {tile}
    }}
    scf.yield %inner : {tile}
  }}
  tile.store %sum, %yv[%row, %col] dims [0, 1] : {tile}, {yt}
  tile.return
}}""", level)
    for h, w in [(1, 1), (4, 32), (5, 33), (9, 70)]:
        image = rng.standard_normal((h, w)).astype(np.float32)
        y = np.zeros((h, w), np.float32)
        kernels.run("blur", [image, y], [h, w], [-(-w // 32), -(-h // 4)])
        padded = np.pad(image, 1, constant_values=2.0)
        want = sum(padded[a:a + h, c:c + w] for a in range(3)
                   for c in range(3))
        assert np.allclose(y, want, atol=1e-5), (level, h, w)


def check_transposes(level, rng):
    """A transposed load, a transposed store, and tile.transpose."""
    for rows, columns in [(16, 64), (32, 16), (5, 40), (64, 3)]:
        x, xt = view("xv", "x", "f32", ["%m", "%n"], ["%n", 1])
        y, yt = view("yv", "y", "f32", ["%n", "%m"], ["%m", 1])
        z, zt = view("zv", "z", "f32", ["%n", "%m"], ["%m", 1])
        u, ut = view("uv", "u", "f32", ["%n", "%m"], ["%m", 1])
        tile = f"tensor<{rows}x{columns}xf32>"
        turned = f"tensor<{columns}x{rows}xf32>"
        kernels = Kernels(f"""
tile.kernel @f(%x: !tile.buffer<f32>, %y: !tile.buffer<f32> {{tile.written}},
    %z: !tile.buffer<f32> {{tile.written}},
    %u: !tile.buffer<f32> {{tile.written}}, %m: index, %n: index) {HEAD} {{
{constants(rows, columns)}
  %i = tile.program_id 0
  %j = tile.program_id 1
  %row = arith.muli %j, %c{rows} : index
  %col = arith.muli %i, %c{columns} : index
{x}{y}{z}{u}
  %t = tile.load %xv[%row, %col] dims [0, 1] : {xt} -> {tile}
  tile.store %t, %yv[%col, %row] dims [1, 0] : {tile}, {yt}
  %p = tile.transpose %t [1, 0] : {tile} -> {turned}
  tile.store %p, %zv[%col, %row] dims [0, 1] : {turned}, {zt}
  %q = tile.load %xv[%row, %col] dims [1, 0] : {xt} -> {turned}
  tile.store %q, %uv[%col, %row] dims [0, 1] : {turned}, {ut}
  tile.return
}}""", level)
        for m, n in [(1, 1), (rows, columns), (2 * rows + 1, 3 * columns - 1)]:
            source = rng.standard_normal((m, n)).astype(np.float32)
            outs = [np.zeros((n, m), np.float32) for _ in range(3)]
            kernels.run("f", [source] + outs, [m, n],
                        [-(-n // columns), -(-m // rows)])
            for which, out in enumerate(outs):
                assert np.array_equal(out, source.T), (level, rows, columns, m,
                                                       n, which)


def check_gather(level, rng):
    for rows, width in [(4, 64), (1, 16), (40, 8)]:
        ids, it = view("iv", "ids", "i64", ["%m"], [1])
        x, xt = view("xv", "x", "f32", ["%v", width], [width, 1])
        y, yt = view("yv", "y", "f32", ["%m", width], [width, 1])
        tile = f"tensor<{rows}x{width}xf32>"
        kernels = Kernels(f"""
tile.kernel @f(%ids: !tile.buffer<i64>, %x: !tile.buffer<f32>,
    %y: !tile.buffer<f32> {{tile.written}}, %m: index, %v: index) {HEAD} {{
{constants(0, rows)}
  %i = tile.program_id 0
  %row = arith.muli %i, %c{rows} : index
{ids}{x}{y}
  %n = tile.load %iv[%row] dims [0] : {it} -> tensor<{rows}xi64>
  %g = arith.index_cast %n : tensor<{rows}xi64> to tensor<{rows}xindex>
  %t = tile.load %xv[%c0, %c0] dims [0, 1] gather %g : tensor<{rows}xindex> at 0
    pad -1.0 : f32 : {xt} -> {tile}
  tile.store %t, %yv[%row, %c0] dims [0, 1] : {tile}, {yt}
  tile.return
}}""", level)
        for m in (1, 5, 41):
            table = rng.standard_normal((30, width)).astype(np.float32)
            which = rng.integers(-3, 33, m)
            y = np.zeros((m, width), np.float32)
            kernels.run("f", [which, table, y], [m, 30], [-(-m // rows)])
            valid = (which >= 0) & (which < 30)
            want = np.where(valid[:, None], table[np.clip(which, 0, 29)], -1)
            assert np.array_equal(y, want), (level, rows, width, m)


def check_range(level, rng):
    """Ranges of programs, as threads run them, equal the whole."""
    kernels = Kernels(contract(6, 64, 1, 37, 128, 64), level)
    x = rng.standard_normal((29, 37)).astype(np.float32)
    w = rng.standard_normal((2, 37, 64)).astype(np.float32)
    bias = np.zeros(128, np.float32)
    whole = np.zeros((29, 128), np.float32)
    parts = np.zeros((29, 128), np.float32)
    kernels.run("contract", [x, w, bias, whole], [29], [5, 2])
    for begin, end in [(0, 1), (1, 4), (4, 4), (4, 9), (9, 10)]:
        kernels.run("contract", [x, w, bias, parts], [29], [5, 2], begin, end)
    assert np.array_equal(whole, parts), level


def check_division(level, rng):
    """Lanes beyond the end, which hold zeros, must not trap."""
    x, xt = view("xv", "x", "i32", ["%n"], [1])
    d, dt = view("dv", "d", "i32", ["%n"], [1])
    y, yt = view("yv", "y", "i32", ["%n"], [1])
    tile = "tensor<64xi32>"
    kernels = Kernels(f"""
tile.kernel @f(%x: !tile.buffer<i32>, %d: !tile.buffer<i32>,
    %y: !tile.buffer<i32> {{tile.written}}, %n: index) {HEAD} {{
{constants(64)}
  %i = tile.program_id 0
  %at = arith.muli %i, %c64 : index
{x}{d}{y}
  %a = tile.load %xv[%at] dims [0] : {xt} -> {tile}
  %b = tile.load %dv[%at] dims [0] : {dt} -> {tile}
  %q = arith.divsi %a, %b : {tile}
  tile.store %q, %yv[%at] dims [0] : {tile}, {yt}
  tile.return
}}""", level)
    for n in (1, 64, 77):
        dividends = rng.integers(-1000, 1000, n).astype(np.int32)
        divisors = rng.integers(1, 50, n).astype(np.int32)
        y = np.zeros(n, np.int32)
        kernels.run("f", [dividends, divisors, y], [n], [-(-n // 64)])
        want = np.trunc(dividends / divisors).astype(np.int32)
        assert np.array_equal(y, want), (level, n)


def check_branches(level, rng):
    """scf.if with tiles in registers and in scratch; tiles of three dims; a
    constant with different elements."""
    for inner in (16, 100):
        shape, size = f"3x4x{inner}", 12 * inner
        x, xt = view("xv", "x", "f32", ["%b", 3, 4, inner],
                     [size, 4 * inner, inner, 1])
        y, yt = view("yv", "y", "f32", ["%b", 3, 4, inner],
                     [size, 4 * inner, inner, 1])
        tile = f"tensor<{shape}xf32>"
        kernels = Kernels(f"""
tile.kernel @f(%x: !tile.buffer<f32>, %y: !tile.buffer<f32> {{tile.written}},
    %b: index) {HEAD} {{
{constants(0, 1, 2)}
  %i = tile.program_id 0
{x}{y}
  %t = tile.load %xv[%i, %c0, %c0, %c0] dims [1, 2, 3] : {xt} -> {tile}
  %odd = arith.remui %i, %c2 : index
  %is = arith.cmpi eq, %odd, %c1 : index
  %r = scf.if %is -> ({tile}) {{
    %e = math.exp %t : {tile}
    scf.yield %e : {tile}
  }} else {{
    %z = arith.negf %t : {tile}
    scf.yield %z : {tile}
  }}
  %f = arith.constant dense<[1.0, 2.0, 4.0, 8.0]> : tensor<4xf32>
  %g = tile.broadcast %f dims [1] : tensor<4xf32> -> {tile}
  %o = arith.mulf %r, %g : {tile}
  tile.store %o, %yv[%i, %c0, %c0, %c0] dims [1, 2, 3] : {tile}, {yt}
  tile.return
}}""", level)
        source = rng.standard_normal((5, 3, 4, inner)).astype(np.float32)
        y = np.zeros(source.shape, np.float32)
        kernels.run("f", [source, y], [5], [5])
        want = np.where(np.arange(5)[:, None, None, None] % 2, np.exp(source),
                        -source)
        want = want * np.array([1, 2, 4, 8])[:, None]
        assert np.allclose(y, want, rtol=1e-5), (level, inner)


def check_same_bytes(level, rng):
    text = contract(6, 64, 1, 37, 128, 64)
    assert build(text, level) == build(text, level), level


def main():
    for level in levels():
        rng = np.random.default_rng(0)
        for check in (check_contract, check_layer_norm, check_elements,
                      check_padding, check_transposes, check_gather,
                      check_range, check_reductions, check_division,
                      check_branches, check_same_bytes):
            check(level, rng)


main()
