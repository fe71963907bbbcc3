# RUN: %python %s
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""math ops on vectors: errors in units in the last place, and special values,
against the C library in double precision."""

import math
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))
from kernels import Kernels, levels  # noqa: E402

SIZE = 4096

# Op, reference, range of the random inputs, allowed error in ulp.
UNARY = [
    ("math.exp", math.exp, (-90, 89), 2),
    ("math.exp2", lambda x: 2.0**x, (-126, 127), 2),
    ("math.log", math.log, (1e-30, 1e30), 2),
    ("math.tanh", math.tanh, (-12, 12), 4),
    ("math.erf", math.erf, (-5, 5), 3),
    ("math.sin", math.sin, (-1000, 1000), 1),
    ("math.cos", math.cos, (-1000, 1000), 1),
    ("math.tan", math.tan, (-10, 10), 1),
    ("math.asin", math.asin, (-1, 1), 1),
    ("math.acos", math.acos, (-1, 1), 1),
    ("math.atan", math.atan, (-20, 20), 1),
    ("math.sinh", math.sinh, (-80, 80), 1),
    ("math.cosh", math.cosh, (-80, 80), 1),
    ("math.asinh", math.asinh, (-1e6, 1e6), 1),
    ("math.acosh", math.acosh, (1, 1e6), 1),
    ("math.atanh", math.atanh, (-1, 1), 1),
    ("math.expm1", math.expm1, (-20, 80), 1),
    ("math.log1p", math.log1p, (-0.9, 1e6), 1),
    ("math.sqrt", math.sqrt, (0, 1e30), 1),
    ("math.rsqrt", lambda x: 1 / math.sqrt(x), (1e-30, 1e30), 2),
    ("math.floor", math.floor, (-100, 100), 0),
    ("math.ceil", math.ceil, (-100, 100), 0),
    ("math.roundeven", round, (-100, 100), 0),
    ("math.absf", abs, (-100, 100), 0),
]
BINARY = [
    ("math.powf", math.pow, (0.01, 50), (-15, 15), 1),
    ("math.atan2", math.atan2, (-9, 9), (-9, 9), 1),
    ("arith.remf", math.fmod, (-100, 100), (-9, 9), 0),
]


def kernel(op, operands, element="f32"):
    name = op.split(".")[1]
    buffers = "".join(f"%b{i}: !tile.buffer<{element}>, "
                      for i in range(operands))
    view = f"!tile.view<{SIZE}x{element}, [1]>"
    tile = f"tensor<64x{element}>"
    loads = "".join(f"""
  %v{i} = tile.view %b{i} sizes [{SIZE}] strides [1]
    : !tile.buffer<{element}> -> {view}
  %x{i} = tile.load %v{i}[%at] dims [0] : {view} -> {tile}"""
                    for i in range(operands))
    arguments = ", ".join(f"%x{i}" for i in range(operands))
    return f"""
tile.kernel @{name}({buffers}%out: !tile.buffer<{element}> {{tile.written}})
    schedule <strategy = "pointwise", tile = [64]> {{
  %c64 = arith.constant 64 : index
  %i = tile.program_id 0
  %at = arith.muli %i, %c64 : index{loads}
  %y = {op} {arguments} : {tile}
  %w = tile.view %out sizes [{SIZE}] strides [1]
    : !tile.buffer<{element}> -> {view}
  tile.store %y, %w[%at] dims [0] : {tile}, {view}
  tile.return
}}"""


def reference(function, *columns):
    result = []
    for values in zip(*[column.astype(np.float64) for column in columns]):
        try:
            result.append(float(function(*values)))
        except OverflowError:
            result.append(math.inf)
    return np.array(result)


def check(name, got, want, ulp):
    want32 = want.astype(np.float32)
    spacing = np.spacing(np.maximum(np.abs(want32), np.float32(1e-38)))
    with np.errstate(invalid="ignore"):
        error = np.abs(got.astype(np.float64) - want) / spacing
    error = np.where(got == want32, 0, error)
    assert (error <= ulp + 0.51).all(), \
        f"{name}: {error.max():.2f} ulp at {error.argmax()}, allowed {ulp}"


def inputs(rng, low, high):
    if low > 0 and high / low > 1e6:
        values = np.exp(rng.uniform(math.log(low), math.log(high), SIZE))
    else:
        values = rng.uniform(low, high, SIZE)
        values[:SIZE // 4] *= 10.0**rng.uniform(-6, 0, SIZE // 4)
    return np.clip(values, low, high).astype(np.float32)


def check_special(kernels):
    inf, nan = np.float32("inf"), np.float32("nan")
    cases = {
        "exp": {0.0: 1.0, inf: inf, -inf: 0.0, 1000.0: inf, -1000.0: 0.0},
        "log": {0.0: -inf, 1.0: 0.0, inf: inf, -1.0: nan, 1e-45: None},
        "tanh": {0.0: 0.0, inf: 1.0, -inf: -1.0, 1e-30: 1e-30, 50.0: 1.0},
        "erf": {0.0: 0.0, inf: 1.0, -inf: -1.0, 1e-30: None, 20.0: 1.0},
        "sin": {0.0: 0.0, inf: nan},
        "atan": {inf: math.pi / 2, -inf: -math.pi / 2, 1e-30: 1e-30},
        "asin": {1.0: math.pi / 2, -1.0: -math.pi / 2, 2.0: nan},
        "acos": {1.0: 0.0, -1.0: math.pi, -2.0: nan},
        "acosh": {1.0: 0.0, 0.5: nan, inf: inf},
        "atanh": {1.0: inf, -1.0: -inf, 2.0: nan},
        "sinh": {100.0: inf, -100.0: -inf, 1e-30: 1e-30},
        "sqrt": {-1.0: nan, inf: inf},
    }
    for name, values in cases.items():
        x = np.zeros(SIZE, np.float32)
        x[:len(values)] = list(values)
        x[len(values)] = nan
        y = np.zeros(SIZE, np.float32)
        kernels.run(name, [x, y], grid=[SIZE // 64])
        assert np.isnan(y[len(values)]), f"{name}(nan) = {y[len(values)]}"
        for got, (value, want) in zip(y, values.items()):
            if want is not None:
                assert np.isclose(got, want, rtol=1e-6, equal_nan=True), \
                    f"{name}({value}) = {got}, not {want}"
    x = np.zeros(SIZE, np.float32)
    y = np.zeros(SIZE, np.float32)
    powers = [(0, 0, 1), (0, 2, 0), (0, -1, inf), (-2, 3, -8), (-2, 2, 4),
              (-2, 0.5, nan), (1, nan, 1), (nan, 0, 1), (2, inf, inf),
              (0.5, inf, 0), (inf, -1, 0), (-inf, 3, -inf), (nan, 1, nan),
              (-0.0, 3, -0.0), (-0.0, -3, -inf), (-0.0, 2, 0), (-0.0, -2, inf),
              (-0.0, 0.5, 0), (-1, inf, 1), (-1, -inf, 1), (-2, -inf, 0),
              (-0.5, inf, 0), (-inf, 0.5, inf), (-inf, -3, -0.0),
              (-1, 16777217, 1), (-1, 16777215, -1), (-1, nan, nan),
              (nan, nan, nan)]
    for i, (base, exponent, _) in enumerate(powers):
        x[i], y[i] = base, exponent
    z = np.zeros(SIZE, np.float32)
    kernels.run("powf", [x, y, z], grid=[SIZE // 64])
    for got, case in zip(z, powers):
        assert np.isclose(got, case[2], equal_nan=True), f"pow{case}: {got}"
        if not np.isnan(got):
            assert np.signbit(got) == np.signbit(np.float32(case[2])), \
                f"pow{case}: {got}"


def large(rng, limits):
    """Of both signs, to the largest number, with small ones in between: one
    vector takes both ways."""
    tiny, most = limits.tiny, limits.max
    x = np.exp(rng.uniform(math.log(1e9), math.log(most), SIZE))
    x[::3] = rng.uniform(-10, 10, len(x[::3]))
    x *= rng.choice([-1, 1], SIZE)
    x[:6] = [most, -most, tiny, 2.0**40, 2.0**63, 1e30]
    return x


def check_large_angles(kernels):
    x = large(np.random.default_rng(2), np.finfo(np.float32)).astype("f4")
    # The multiple of pi / 2 that an f32 comes closest to.
    x[6] = 16367173 * 2.0**72
    for name in ["sin", "cos", "tan"]:
        y = np.zeros(SIZE, np.float32)
        kernels.run(name, [x, y], grid=[SIZE // 64])
        check(f"{name} of large", y, reference(getattr(math, name), x), 1)
    x[::2] = np.float32("inf")
    kernels.run("sin", [x, y], grid=[SIZE // 64])
    assert np.isnan(y[::2]).all()
    check("sin beside inf", y[1::2], reference(math.sin, x[1::2]), 1)


def check_remainders(kernels):
    """fmod is exact, whatever the quotient."""
    rng = np.random.default_rng(3)
    x = large(rng, np.finfo(np.float32)).astype("f4")
    y = np.exp(rng.uniform(math.log(1e-38), math.log(1e38), SIZE)).astype("f4")
    y *= rng.choice([-1, 1], SIZE)
    inf, nan = np.float32("inf"), np.float32("nan")
    x[:10] = [1e30, 3e38, -3e38, 5, inf, 5, 0.0, -0.0, nan, -5]
    y[:10] = [3, 1e-45, 1e-45, inf, 3, 0, 7, 7, 3, -inf]
    z = np.zeros(SIZE, np.float32)
    kernels.run("remf", [x, y, z], grid=[SIZE // 64])
    with np.errstate(invalid="ignore"):
        want = np.fmod(x.astype("f8"), y.astype("f8"))
    np.testing.assert_array_equal(z, want)
    numbers = ~np.isnan(want)
    assert (np.signbit(z) == np.signbit(want))[numbers].all()


def check_double(level):
    ops = [("math.exp", math.exp, (-300, 300)), ("math.log", math.log, (1, 1e9)),
           ("math.sin", math.sin, (-50, 50)), ("math.tanh", math.tanh, (-5, 5)),
           ("math.cos", math.cos, (-1e15, 1e15)),
           ("math.atan", math.atan, (-5, 5))]
    text = "".join(kernel(op, 1, "f64") for op, _, _ in ops)
    text += kernel("arith.remf", 2, "f64")
    kernels = Kernels(text, level)
    rng = np.random.default_rng(1)
    for op, function, bounds in ops:
        x = rng.uniform(*bounds, SIZE)
        y = np.zeros(SIZE)
        kernels.run(op.split(".")[1], [x, y], grid=[SIZE // 64])
        want = np.array([function(value) for value in x])
        assert np.allclose(y, want, rtol=1e-13, atol=1e-15), op
    x = large(rng, np.finfo(np.float64))
    x[6] = 6381956970095103 * 2.0**797
    for name in ["sin", "cos"]:
        kernels.run(name, [x, y], grid=[SIZE // 64])
        want = [getattr(math, name)(value) for value in x]
        if name == "cos":  # No f64 is closer to a multiple of pi / 2 (Muller's
            # "Elementary Functions", table 11.1); glibc is 7 ulp off.
            want[6] = -4.68716592425462761112e-19
        np.testing.assert_allclose(y, want, rtol=1e-15, err_msg=name)
    divisors = np.exp(rng.uniform(-700, 700, SIZE)) * rng.choice([-1, 1], SIZE)
    divisors[:3] = [5e-324, 3, 1e-310]
    kernels.run("remf", [x, divisors, y], grid=[SIZE // 64])
    np.testing.assert_array_equal(y, np.fmod(x, divisors))


def narrow_kernel(name, op):
    return f"""
tile.kernel @{name}(%x: !tile.buffer<f32>, %y: !tile.buffer<f32> {{tile.written}})
    schedule <strategy = "pointwise", tile = [64]> {{
  %c64 = arith.constant 64 : index
  %one = arith.constant dense<1.0> : tensor<64xf32>
  %i = tile.program_id 0
  %at = arith.muli %i, %c64 : index
  %xv = tile.view %x sizes [{SIZE}] strides [1]
    : !tile.buffer<f32> -> !tile.view<{SIZE}xf32, [1]>
  %t = tile.load %xv[%at] dims [0] : !tile.view<{SIZE}xf32, [1]> -> tensor<64xf32>
  %r = {op} {{narrow}} : tensor<64xf32>
  %yv = tile.view %y sizes [{SIZE}] strides [1]
    : !tile.buffer<f32> -> !tile.view<{SIZE}xf32, [1]>
  tile.store %r, %yv[%at] dims [0] : tensor<64xf32>, !tile.view<{SIZE}xf32, [1]>
  tile.return
}}"""


def check_narrow(level):
    """What becomes bf16 may be rough: the relative errors of Passes.td."""
    kernels = Kernels(narrow_kernel("power", "math.exp2 %t") +
                      narrow_kernel("inverse", "arith.divf %one, %t"), level)
    rng = np.random.default_rng(4)
    inf, nan, tiny = np.float32("inf"), np.float32("nan"), np.float32(1e-40)
    y = np.zeros(SIZE, np.float32)

    x = rng.uniform(-126, 127, SIZE).astype(np.float32)
    x[::2] /= 100
    x[:8] = [0, -0.0, inf, -inf, nan, tiny, -126, 1]
    kernels.run("power", [x, y], grid=[SIZE // 64])
    np.testing.assert_allclose(y, np.exp2(x.astype(np.float64)), rtol=7.6e-5,
                               err_msg=level)
    # Subnormal results may round once more.
    x = rng.uniform(-150, -126, SIZE).astype(np.float32)
    kernels.run("power", [x, y], grid=[SIZE // 64])
    np.testing.assert_allclose(y, np.exp2(x.astype(np.float64)), rtol=7.6e-5,
                               atol=2.0**-149, err_msg=level)

    x = np.exp(rng.uniform(-87, 87, SIZE)).astype(np.float32)
    x *= rng.choice(np.float32([-1, 1]), SIZE)
    x[:8] = [0, -0.0, inf, -inf, nan, tiny, -tiny, 3]
    kernels.run("inverse", [x, y], grid=[SIZE // 64])
    with np.errstate(divide="ignore", over="ignore"):
        want = np.float32(1) / x
    np.testing.assert_allclose(y, want, rtol=2.0**-14, err_msg=level)
    assert (np.signbit(y) == np.signbit(want))[~np.isnan(want)].all(), level
    # Numbers whose reciprocals are subnormal, and the other way round.
    x[:4] = [2.0**-127, -2.0**-127, 2.0**127, 3e38]
    kernels.run("inverse", [x, y], grid=[SIZE // 64])
    np.testing.assert_allclose(y[:4], np.float32(1) / x[:4], rtol=2.0**-14,
                               atol=2.0**-149, err_msg=level)


def main():
    text = "".join(kernel(entry[0], 1) for entry in UNARY)
    text += "".join(kernel(entry[0], 2) for entry in BINARY)
    for level in levels():
        kernels = Kernels(text, level)
        rng = np.random.default_rng(0)
        for op, function, bounds, ulp in UNARY:
            x = inputs(rng, *bounds)
            y = np.zeros(SIZE, np.float32)
            kernels.run(op.split(".")[1], [x, y], grid=[SIZE // 64])
            want = reference(function, x) if op != "math.atanh" else \
                np.arctanh(x.astype(np.float64))
            check(f"{op} at {level}", y, want, ulp)
        for op, function, first, second, ulp in BINARY:
            x, y = inputs(rng, *first), inputs(rng, *second)
            z = np.zeros(SIZE, np.float32)
            kernels.run(op.split(".")[1], [x, y, z], grid=[SIZE // 64])
            check(f"{op} at {level}", z, reference(function, x, y), ulp)
        check_special(kernels)
        check_large_angles(kernels)
        check_remainders(kernels)
        check_narrow(level)
        check_double(level)


main()
