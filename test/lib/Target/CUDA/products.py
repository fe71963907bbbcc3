# RUN: %python %s
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Products by tensor cores, on the emulator, against NumPy in f64: plain ones of
sizes that no tile divides, with and without copies ahead, and attention, whose
second product's operand stays in registers.

Products of f16, bf16 and int8 values are exact in f32 and i32, so that f32 sums
differ by roundings alone: 1e-6 of the sum of magnitudes. The shares of attention
are rounded to the type of the values: 2^-8 for bf16, 2^-11 for f16.
"""

import os
import re
import subprocess
import sys

import ml_dtypes
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "Inputs"))
from emulator import Kernels  # noqa: E402

TYPES = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "i8": np.int8,
         "ui8": np.uint8, "f8E4M3FN": ml_dtypes.float8_e4m3fn,
         "f8E5M2": ml_dtypes.float8_e5m2}


def schedule(stages, warps):
    return (f'schedule <strategy = "test", tile = [], stages = {stages}, '
            f"warps = {warps}>")


def matrix(name, rows, columns, kind, is_turned=False):
    """A view of a matrix [rows, columns], or of what is stored the other way."""
    sizes = [columns, rows] if is_turned else [rows, columns]
    view = f"!tile.view<{sizes[0]}x{sizes[1]}x{kind}, [{sizes[1]}, 1]>"
    return view, (f"  %{name}v = tile.view %{name} sizes {sizes} strides "
                  f"[{sizes[1]}, 1] : !tile.buffer<{kind}> -> {view}")


def product(m, n, k, tile, warps, stages, kind, is_turned):
    """y = x w as a kernel; `is_turned`: w is stored as [n, k]."""
    rows, columns, depth = tile
    mark = " {unsigned_a, unsigned_b}" if kind == "ui8" else ""
    kind = kind.replace("ui8", "i8")
    sums = "i32" if kind == "i8" else "f32"
    zero = "0" if kind == "i8" else "0.0"
    (xv, x), (wv, w), (yv, y) = [
        matrix("x", m, k, kind), matrix("w", k, n, kind, is_turned),
        matrix("y", m, n, sums)]
    at = "[%j, %k] dims [1, 0]" if is_turned else "[%k, %j] dims [0, 1]"
    a, b, c = (f"tensor<{p}x{q}x{t}>" for p, q, t in [
        (rows, depth, kind), (depth, columns, kind), (rows, columns, sums)])
    return f"""tile.kernel @f(%x: !tile.buffer<{kind}>, %w: !tile.buffer<{kind}>,
    %y: !tile.buffer<{sums}> {{tile.written}}) {schedule(stages, warps)} {{
  %c0 = arith.constant 0 : index
  %size = arith.constant {k} : index
  %step = arith.constant {depth} : index
  %rows = arith.constant {rows} : index
  %columns = arith.constant {columns} : index
  %p = tile.program_id 0
  %q = tile.program_id 1
  %i = arith.muli %p, %rows : index
  %j = arith.muli %q, %columns : index
  %zero = arith.constant dense<{zero}> : {c}
{x}
{w}
{y}
  %sum = scf.for %k = %c0 to %size step %step iter_args(%acc = %zero) -> ({c}) {{
    %a = tile.load %xv[%i, %k] dims [0, 1] : {xv} -> {a}
    %b = tile.load %wv{at} : {wv} -> {b}
    %d = tile.mma %a, %b, %acc{mark} : {a}, {b}, {c}
    scf.yield %d : {c}
  }}
  tile.store %sum, %yv[%i, %j] dims [0, 1] : {c}, {yv}
  tile.return
}}
"""


def check_product(m, n, k, tile, warps=4, stages=1, kind="f16", is_turned=False):
    rng = np.random.default_rng(m + n + k)
    dtype = TYPES[kind]
    if kind in ("i8", "ui8"):
        info = np.iinfo(dtype)
        x, w = (rng.integers(info.min, info.max + 1, shape).astype(dtype)
                for shape in [(m, k), (k, n)])
    else:
        x, w = (rng.standard_normal(shape).astype(dtype)
                for shape in [(m, k), (k, n)])
    y = np.full((m, n), 9, np.int32 if "i8" in kind else np.float32)
    stored = np.ascontiguousarray(w.T) if is_turned else w
    kernels = Kernels(product(m, n, k, tile, warps, stages, kind, is_turned),
                      "sm_80")
    kernels.run("f", [x, stored, y], (), (-(-m // tile[0]), -(-n // tile[1])))
    x, w = x.astype("f8"), w.astype("f8")
    error, limit = abs(y - x @ w), 1e-6 * (abs(x) @ abs(w)) * ("i8" not in kind)
    assert (error <= limit).all(), (m, n, k, tile, warps, stages, kind,
                                    is_turned, error.max())


def attention(queries, keys, size, tile, warps, stages, kind):
    """Softmax attention, queries as rows, a block of keys a step."""
    rows, block = tile
    (qv, q), (kv, k), (vv, v), (yv, y) = [
        matrix("q", queries, size, kind), matrix("k", size, keys, kind, True),
        matrix("v", keys, size, kind), matrix("y", queries, size, "f32")]
    s, p, o, row = (f"tensor<{shape}>" for shape in [
        f"{rows}x{block}xf32", f"{rows}x{block}x{kind}", f"{rows}x{size}xf32",
        f"{rows}xf32"])
    qt, kt, vt = (f"tensor<{a}x{b}x{kind}>" for a, b in [
        (rows, size), (size, block), (block, size)])
    at = f"tensor<{rows}x{block}xindex>"
    return f"""tile.kernel @f(%q: !tile.buffer<{kind}>, %k: !tile.buffer<{kind}>,
    %v: !tile.buffer<{kind}>, %y: !tile.buffer<f32> {{tile.written}})
    {schedule(stages, warps)} {{
  %c0 = arith.constant 0 : index
  %keys = arith.constant {keys} : index
  %block = arith.constant {block} : index
  %rows = arith.constant {rows} : index
  %program = tile.program_id 0
  %i = arith.muli %program, %rows : index
  %nothing = arith.constant dense<0.0> : {s}
  %zero = arith.constant dense<0.0> : {o}
  %none = arith.constant dense<0.0> : {row}
  %low = arith.constant dense<-1.0e30> : {row}
  %hidden = arith.constant dense<-1.0e30> : {s}
{q}
{k}
{v}
{y}
  %a = tile.load %qv[%i, %c0] dims [0, 1] : {qv} -> {qt}
  %r:3 = scf.for %j = %c0 to %keys step %block
      iter_args(%m = %low, %l = %none, %o = %zero) -> ({row}, {row}, {o}) {{
    %b = tile.load %kv[%j, %c0] dims [1, 0] : {kv} -> {kt}
    %raw = tile.mma %a, %b, %nothing : {qt}, {kt}, {s}
    %place = tile.iota 1 : {at}
    %left = arith.subi %keys, %j : index
    %limit = tile.splat %left : index -> {at}
    %sees = arith.cmpi ult, %place, %limit : {at}
    %s = arith.select %sees, %raw, %hidden : tensor<{rows}x{block}xi1>, {s}
    %most = tile.reduce max %s axis 1 : {s} -> {row}
    %next = arith.maximumf %m, %most : {row}
    %wide = tile.broadcast %next dims [0] : {row} -> {s}
    %moved = arith.subf %s, %wide : {s}
    %e = math.exp %moved : {s}
    %falls = arith.subf %m, %next : {row}
    %shrink = math.exp %falls : {row}
    %sum = tile.reduce add %e axis 1 : {s} -> {row}
    %old = arith.mulf %l, %shrink : {row}
    %total = arith.addf %old, %sum : {row}
    %factor = tile.broadcast %shrink dims [0] : {row} -> {o}
    %kept = arith.mulf %o, %factor : {o}
    %p = arith.truncf %e : {s} to {p}
    %c = tile.load %vv[%j, %c0] dims [0, 1] : {vv} -> {vt}
    %d = tile.mma %p, %c, %kept : {p}, {vt}, {o}
    scf.yield %next, %total, %d : {row}, {row}, {o}
  }}
  %below = tile.broadcast %r#1 dims [0] : {row} -> {o}
  %result = arith.divf %r#2, %below : {o}
  tile.store %result, %yv[%i, %c0] dims [0, 1] : {o}, {yv}
  tile.return
}}
"""


def check_attention(queries, keys, size, tile, warps, stages, kind):
    rng = np.random.default_rng(queries + keys)
    q, k, v = (rng.standard_normal((n, size)).astype(TYPES[kind])
               for n in (queries, keys, keys))
    q = (q.astype("f4") * size ** -0.5).astype(TYPES[kind])
    y = np.full((queries, size), 9, np.float32)
    text = attention(queries, keys, size, tile, warps, stages, kind)
    if tile[0] % (16 * warps) == 0:
        count_stores(text)
    Kernels(text, "sm_80").run("f", [q, k, v, y], (), (-(-queries // tile[0]), ))
    scores = q.astype("f8") @ k.astype("f8").T
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    limit = (2.0 ** -8 if kind == "bf16" else 2.0 ** -11) * (
        shares @ abs(v.astype("f8"))) + 1e-6
    error = abs(y - shares @ v.astype("f8"))
    assert (error <= limit).all(), (queries, keys, size, tile, warps, stages,
                                    kind, error.max())


def count_stores(text):
    """Neither scores nor their rows' statistics pass through shared memory."""
    lowered = subprocess.run(
        ["lathe-opt", "--cuda-lower-tile", "--canonicalize", "--cse"],
        input=text, check=True, stdout=subprocess.PIPE, text=True).stdout
    stores = re.findall(r"llvm\.store .*: f32, !llvm\.ptr<3>", lowered)
    assert "nvvm.mma.sync" in lowered and not stores, stores


def main():
    for kind in ("f16", "bf16"):
        for is_turned in (False, True):
            check_product(70, 40, 72, (32, 32, 32), 4, 3, kind, is_turned)
            check_product(9, 20, 50, (16, 16, 16), 2, 1, kind, is_turned)
            check_product(20, 9, 33, (8, 8, 40), 4, 2, kind, is_turned)
    check_product(130, 136, 100, (128, 128, 32), 8, 4)
    check_product(5, 200, 64, (16, 128, 64), 4, 3)
    check_product(1, 5, 20, (1, 5, 20), 1)
    check_product(33, 17, 24, (48, 24, 24), 2)
    for kind in ("i8", "ui8"):
        for is_turned in (False, True):
            check_product(40, 24, 100, (32, 16, 32), 2, 3, kind, is_turned)
        check_product(9, 7, 21, (16, 8, 20), 1, 1, kind)
    for kind in ("f8E4M3FN", "f8E5M2"):
        check_product(40, 24, 50, (32, 16, 32), 2, 1, kind, True)
    check_attention(70, 80, 64, (64, 32), 4, 3, "bf16")
    check_attention(70, 80, 32, (32, 32), 2, 2, "f16")
    check_attention(20, 50, 40, (16, 24), 4, 1, "f16")
    check_attention(20, 50, 16, (32, 8), 2, 1, "bf16")


if __name__ == "__main__":
    main()
