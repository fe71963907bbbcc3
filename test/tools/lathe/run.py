# RUN: rm -rf %t && mkdir %t && %build_root/test/tools/lathe/make-bundle %t/m.lathe
# RUN: cd %t && %python %s
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""lathe run: NumPy's files in, files that NumPy reads out; what it refuses."""

import io
import os
import subprocess
import zipfile

import ml_dtypes
import numpy as np

RNG = np.random.default_rng(0)


def lathe(*arguments):
    return subprocess.run(["lathe", *arguments], capture_output=True, text=True)


def make_inputs(batch, n):
    return {
        "x": RNG.standard_normal((batch, n), np.float32),
        "y": RNG.standard_normal((batch, n), np.float32),
        "ids": RNG.integers(-2**62, 2**62, (batch, 2 * n)),
        "small": RNG.standard_normal(n + 1).astype(ml_dtypes.bfloat16),
    }


def run(path):
    return lathe("run", "m.lathe", "--inputs", path, "--outputs", "out.npz")


def check(path, inputs):
    done = run(path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "" and done.stderr == ""
    with np.load("out.npz") as outputs:
        assert sorted(outputs) == ["ids", "small", "sum"]
        np.testing.assert_array_equal(outputs["sum"], inputs["x"] + inputs["y"])
        np.testing.assert_array_equal(outputs["ids"], inputs["ids"])
        small = outputs["small"].view(ml_dtypes.bfloat16)
        np.testing.assert_array_equal(small, inputs["small"])


def check_refused(inputs, *parts, raw=None):
    if raw is None:
        np.savez("bad.npz", **inputs)
    else:
        with open("bad.npz", "wb") as file:
            file.write(raw)
    if os.path.exists("out.npz"):
        os.remove("out.npz")
    done = run("bad.npz")
    assert done.returncode == 1, done
    first = done.stderr.splitlines()[0]
    assert first.startswith("lathe: error: "), first
    for part in parts:
        assert part in first, (part, first)
    assert not os.path.exists("out.npz")


def main():
    for batch, n in [(1, 1), (3, 17), (0, 4), (4, 0), (2, 1000)]:
        inputs = make_inputs(batch, n)
        np.savez("in.npz", **inputs)
        check("in.npz", inputs)
        np.savez_compressed("packed.npz", **inputs)
        check("packed.npz", inputs)
        inputs["x"] = np.asfortranarray(inputs["x"])
        np.savez("fortran.npz", **inputs)
        check("fortran.npz", inputs)

    # The same inputs give the same bytes.
    np.savez("in.npz", **inputs)
    run("in.npz")
    first = open("out.npz", "rb").read()
    run("in.npz")
    assert open("out.npz", "rb").read() == first
    assert zipfile.ZipFile("out.npz").testzip() is None

    good = make_inputs(2, 3)
    without = {k: v for k, v in good.items() if k != "y"}
    check_refused(without, "bad.npz", "no array 'y'", "y: f32[batch, n]")
    check_refused({**good, "z": good["x"]}, "bad.npz", "'z' is no input")
    check_refused({**good, "x": good["x"].astype(np.float64)},
                  "'x' is f64", "f32[batch, n]")
    check_refused({**good, "x": np.array(["a"])}, "'x'", "not supported")
    check_refused({**good, "y": good["y"][:1]}, "m.lathe", "'y'", "batch")
    check_refused({**good, "x": good["x"][0]}, "m.lathe", "'x'")
    check_refused({}, "bad.npz", raw=b"no archive at all")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **good)
    cut = buffer.getvalue()
    check_refused({}, "bad.npz", raw=cut[:len(cut) // 2])
    # No more is inflated than the header asks for.
    buffer, bomb = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "<f4", "fortran_order": False, "shape": (2, 3)})
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", buffer.getvalue() + bytes(10**7))
    check_refused({}, "bad.npz", "'x'", "header describes", raw=bomb.getvalue())

    done = lathe("run", "m.lathe", "--inputs", "in.npz", "--outputs", "no/out.npz")
    assert done.returncode == 1 and "no/out.npz" in done.stderr
    done = lathe("run", "no.lathe", "--inputs", "in.npz", "--outputs", "o.npz")
    assert done.returncode == 1 and "no.lathe" in done.stderr
    done = lathe("run", "m.lathe", "--inputs", "in.npz", "--outputs", "o.npz",
                 "--device", "abacus")
    assert done.returncode == 2 and "m.lathe: no device 'aba" in done.stderr
    assert done.stderr.count("m.lathe") == 1, done.stderr
    for threads in ("0", "100000"):
        done = lathe("run", "m.lathe", "--inputs", "in.npz", "--outputs", "o.npz",
                     "--threads", threads)
        assert done.returncode == 2 and threads in done.stderr, done.stderr
    done = subprocess.run(["lathe", "run", "m.lathe", "--inputs", "in.npz",
                           "--outputs", "o.npz"], capture_output=True, text=True,
                          env={**os.environ, "LATHE_CPU_LEVEL": "x87"})
    assert done.returncode == 2 and "LATHE_CPU_LEVEL" in done.stderr, done.stderr
    done = lathe("run", "m.lathe", "--inputs", "in.npz", "--outputs", "o.npz",
                 "--entry", "other")
    assert done.returncode == 2 and "main" in done.stderr


if __name__ == "__main__":
    main()
