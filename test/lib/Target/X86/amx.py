# RUN: %python %s
# REQUIRES: avx512_bf16, !sanitize
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Linear layers and attention on AMX tiles against NumPy, between guard pages.
Where the machine has no AMX, Inputs/amx_emulator.c stands in for it."""

import itertools
import os
import sys
import tempfile

import ml_dtypes
import numpy as np

FOLDER = os.path.join(os.path.dirname(__file__), "Inputs")
sys.path.insert(0, FOLDER)
from kernels import Kernels, load_emulator  # noqa: E402

BF16 = ml_dtypes.bfloat16

LINEAR = """
tile.kernel @linear(%x: !tile.buffer<bf16>, %w: !tile.buffer<bf16>,
                    %b: !tile.buffer<f32>,
                    %y: !tile.buffer<{out}> {{tile.written}}, %m: index)
    schedule <strategy = "contract", tile = [{rows}, 64]> {{
  %zero = arith.constant dense<0.0> : tensor<{rows}x64xf32>
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %k = arith.constant {k} : index
  %height = arith.constant {rows} : index
  %width = arith.constant 64 : index
  %i = tile.program_id 0
  %j = tile.program_id 1
  %row = arith.muli %i, %height : index
  %column = arith.muli %j, %width : index
  %xv = tile.view %x sizes [%m, {k}] strides [{k}, 1]
    : !tile.buffer<bf16> -> !tile.view<?x{k}xbf16, [{k}, 1]>
  %wv = tile.view %w sizes [{panels}, {pairs}, 64, 2] strides [{stride}, 128, 2, 1]
    : !tile.buffer<bf16> -> !tile.view<{panels}x{pairs}x64x2xbf16, [{stride}, 128, 2, 1]>
  %bv = tile.view %b sizes [{n}] strides [1]
    : !tile.buffer<f32> -> !tile.view<{n}xf32, [1]>
  %yv = tile.view %y sizes [%m, {n}] strides [{n}, 1]
    : !tile.buffer<{out}> -> !tile.view<?x{n}x{out}, [{n}, 1]>
  %sum = scf.for %at = %c0 to %k step %c2
      iter_args(%acc = %zero) -> (tensor<{rows}x64xf32>) {{
    %a = tile.load %xv[%row, %at] dims [0, 1]
      : !tile.view<?x{k}xbf16, [{k}, 1]> -> tensor<{rows}x2xbf16>
    %pair = arith.divui %at, %c2 : index
    %p = tile.load %wv[%j, %pair, %c0, %c0] dims [3, 2]
      : !tile.view<{panels}x{pairs}x64x2xbf16, [{stride}, 128, 2, 1]> -> tensor<2x64xbf16>
    %next = tile.mma %a, %p, %acc
      : tensor<{rows}x2xbf16>, tensor<2x64xbf16>, tensor<{rows}x64xf32>
    scf.yield %next : tensor<{rows}x64xf32>
  }}
  %bias = tile.load %bv[%column] dims [-1, 0]
    : !tile.view<{n}xf32, [1]> -> tensor<{rows}x64xf32>
  %q = arith.addf %sum, %bias : tensor<{rows}x64xf32>
  {epilogue}
  tile.return
}}
"""

STORE = """tile.store {value}, %yv[%row, %column] dims [0, 1]
    : tensor<{rows}x64x{out}>, !tile.view<?x{n}x{out}, [{n}, 1]>"""

#: What follows the sum: as a kernel, and in NumPy.
EPILOGUES = {
    "f32": ("", "%q", "f32", lambda q: q),
    "bf16": ("%t = arith.truncf %q : tensor<{rows}x64xf32> to tensor<{rows}x64xbf16>",
             "%t", "bf16", lambda q: q),
    "square": ("""%s = arith.mulf %q, %sum : tensor<{rows}x64xf32>
  %t = arith.truncf %s : tensor<{rows}x64xf32> to tensor<{rows}x64xbf16>""",
               "%t", "bf16", None),
}


def pack(weight, panels):
    """[panels][k / 2][64][2], zeros where there are no columns or rows."""
    k, n = weight.shape
    whole = np.zeros((k + k % 2, 64 * panels), BF16)
    whole[:k, :n] = weight
    return np.ascontiguousarray(
        whole.reshape(-1, 2, panels, 64).transpose(2, 0, 3, 1))


def check_linear(k, n, rows, name, generator):
    body, value, out, function = EPILOGUES[name]
    panels, pairs = -(-n // 64), k // 2
    sizes = {"rows": rows, "k": k, "n": n, "panels": panels, "pairs": pairs,
             "stride": pairs * 128, "out": out}
    epilogue = "\n  ".join([body.format(**sizes), STORE.format(value=value, **sizes)])
    kernels = Kernels(LINEAR.format(epilogue=epilogue, **sizes), "avx512-amx")
    weight = (generator.standard_normal((k, n)) / k ** .5).astype(BF16)
    bias = generator.standard_normal(n).astype(np.float32)
    for m in (1, 16, 17, 33, 64, 100, 130):
        x = generator.standard_normal((m, k)).astype(BF16)
        result = np.full((m, n), np.nan, BF16 if out == "bf16" else np.float32)
        kernels.run("linear", [x, pack(weight, panels), bias, result], (m,),
                    (-(-m // rows), panels))
        product = x.astype(np.float64) @ weight.astype(np.float64)
        expected = (product + bias) * product if function is None else product + bias
        # Rounding of sums of k terms of about 1 / sqrt(k), then of the result.
        tolerance = 1e-5 + (2.0 ** -8 * np.abs(expected) if out == "bf16" else 0)
        error = np.abs(result.astype(np.float64) - expected)
        assert (error <= tolerance).all(), (k, n, rows, name, m, np.nanmax(error),
                                            np.argwhere(~(error <= tolerance))[:4])


def kernel_of(name):
    """A kernel of amx.mlir."""
    with open(os.path.join(os.path.dirname(__file__), "amx.mlir")) as file:
        text = file.read()
    start = text.index(f"tile.kernel @{name}(")
    return text[start:text.index("\n}\n", start) + 3]


def halves_of(codes):
    """[k, n] of bytes [k / 8, n, 4]: four k in the low halves, then four more."""
    halves = np.stack([codes & 15, codes >> 4], axis=1)
    return halves.transpose(0, 1, 3, 2).reshape(-1, codes.shape[1]).astype(np.int32)


def check_nibbles(generator):
    codes = generator.integers(0, 256, (16, 32, 4), np.uint8)
    x = generator.integers(-128, 128, (16, 128)).astype(np.int8)
    result = np.zeros((16, 32), np.int32)
    Kernels(kernel_of("nibbles"), "avx512-amx").run("nibbles", [x, codes, result])
    assert (result == x.astype(np.int32) @ halves_of(codes)).all()


def check_groups(generator):
    """Sums of groups, scaled, in blocks of every number and shape."""
    for groups, rows, columns in itertools.product((2, 3, 8), (16, 32, 64), (32, 64)):
        text = kernel_of("scaled")
        for old, new in (("48x32", f"{16 * groups}x32"), ("[48,", f"[{16 * groups},"),
                         ("384", str(128 * groups)), ("16x3x", f"16x{groups}x"),
                         ("[16, 3,", f"[16, {groups},"),
                         ("[128, 4, 1]", f"[{4 * columns}, 4, 1]"),
                         ("x32x", f"x{columns}x"), (", 32,", f", {columns},"),
                         (", 32]", f", {columns}]"), ("[32, 1]", f"[{columns}, 1]"),
                         ("[0, 32, 1]", f"[0, {columns}, 1]"),
                         ("16x", f"{rows}x"), ("[16, ", f"[{rows}, ")):
            text = text.replace(old, new)
        codes = generator.integers(0, 256, (16 * groups, columns, 4), np.uint8)
        x = generator.integers(-128, 128, (rows, 128 * groups)).astype(np.int8)
        scales = generator.uniform(0.5, 2, (groups, columns)).astype(np.float32)
        result = np.zeros((rows, columns), np.float32)
        Kernels(text, "avx512-amx").run("scaled", [x, codes, scales, result])
        weight = halves_of(codes) * scales.astype(np.float64).repeat(128, 0)
        expected = x.astype(np.float64) @ weight
        # Each group's share, at most 128 * 128 * 15 * 2, rounded, and their sum.
        tolerance = 2.0 ** -23 * 5e5 * groups
        assert np.abs(result - expected).max() <= tolerance, (groups, rows, columns)


def check_scores(generator):
    """A multiply of bf16 outside of a loop, its right operand rounded."""
    x = generator.standard_normal((32, 32)).astype(BF16)
    q = generator.standard_normal((32, 32)).astype(np.float32)
    result = np.zeros((32, 32), np.float32)
    Kernels(kernel_of("scores"), "avx512-amx").run("scores", [x, q, result])
    expected = x.astype(np.float64) @ q.T.astype(BF16).astype(np.float64)
    assert np.abs(result - expected).max() <= 1e-5 * 32


def check_sums_kept(generator):
    """Sums that a loop stores, or carries, are whole."""
    x = generator.standard_normal((64, 96)).astype(BF16)
    weight = generator.standard_normal((96, 64)).astype(BF16)
    product = x.astype(np.float64) @ weight.astype(np.float64)
    for name, factor in (("twice", 1), ("carried", 2)):
        result = np.zeros((128, 64), np.float32)
        Kernels(kernel_of(name), "avx512-amx").run(
            name, [x, pack(weight, 1), result])
        expected = factor * np.concatenate([product, product])
        assert np.abs(result - expected).max() <= 1e-5 * 96, name


def check_attention(generator):
    """Sums and products of rough weights, and accumulators of equal rows."""
    query = generator.standard_normal((32, 32)).astype(np.float32)
    key = generator.standard_normal((64, 32)).astype(BF16)
    value = generator.standard_normal((64, 16)).astype(BF16)
    mask = (4 * generator.standard_normal(64)).astype(np.float32)
    mask[::7] = -np.inf
    q, k, v = (array.astype(BF16).astype(np.float64) for array in (query, key, value))
    for name in ("softmax", "logistic"):
        result = np.zeros((32, 16), np.float32)
        Kernels(kernel_of(name), "avx512-amx").run(name, [query, key, value, mask, result])
        if name == "softmax":
            logits = q @ k.T + mask
            weights = np.exp2(logits - logits.max(axis=1, keepdims=True))
            weights /= weights.sum(axis=1, keepdims=True)
        else:
            weights = 1 / (1 + np.exp2(q @ k.T + 1.5))
        # Weights rounded to bf16; beside it rough powers, and rough sums or
        # reciprocals, of 7.6e-5 each; logits in f32.
        tolerance = (2.0 ** -8 + 2e-4) * (weights @ np.abs(v)) + 1e-30
        error = np.abs(result - weights @ v)
        assert (error <= tolerance).all(), (name, (error / tolerance).max())


def main():
    with tempfile.TemporaryDirectory() as folder:
        emulator = load_emulator(folder)
        generator = np.random.default_rng(0)
        for (k, n), rows in itertools.product(
                [(32, 64), (96, 64), (384, 128), (1088, 64), (64, 70), (100, 130)],
                [16, 32, 64]):
            check_linear(k, n, rows, "bf16", generator)
        for name in ("f32", "square"):
            check_linear(96, 130, 64, name, generator)
        check_nibbles(generator)
        check_groups(generator)
        check_scores(generator)
        check_sums_kept(generator)
        check_attention(generator)
        del emulator


if __name__ == "__main__":
    main()
