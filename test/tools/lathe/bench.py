# RUN: rm -rf %t && mkdir %t && %build_root/test/tools/lathe/make-bundle %t/m.lathe
# RUN: cd %t && %python %s
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""lathe bench: the promised JSON, random inputs, the profile, refusals."""

import json
import subprocess

import ml_dtypes
import numpy as np


def lathe(*arguments, code=0):
    done = subprocess.run(["lathe", *arguments], capture_output=True, text=True)
    assert done.returncode == code, (done.args, done.stderr)
    return done.stdout if code == 0 else done.stderr


def main():
    fast = ["--iterations", "7", "--warmup", "1", "--threads", "1"]
    shape = ["--shape", "batch=3,n=5"]
    result = json.loads(lathe("bench", "m.lathe", *shape, *fast, "--json"))
    assert result["iterations"] == 7 and result["threads"] == 1
    assert result["device"] == "cpu" and result["variant"] == "baseline"
    assert (0 < result["min_ms"] <= result["p10_ms"] <= result["median_ms"]
            <= result["p90_ms"] <= result["max_ms"])
    assert result["inputs"] == {"x": [3, 5], "y": [3, 5], "ids": [3, 10],
                                "small": [6]}
    assert "profile" not in result

    result = json.loads(lathe("bench", "m.lathe", *shape, *fast, "--json",
                              "--profile"))["profile"]
    labels = [step["label"] for step in result["steps"]]
    assert labels == ["layer0/Scale", "layer0/Add"]
    assert sorted(k["kernel"] for k in result["kernels"]) == ["add", "scale"]
    assert result["steps"][1]["flops"] == 15
    assert "flops" not in result["steps"][0]  # not known
    assert result["steps"][1]["bytes"] == 3 * 15 * 4

    text = lathe("bench", "m.lathe", "--shape", "batch=0", "--shape", "n=1", *fast,
                 "--profile")
    for part in ("median", "10 % / 90 %", "x f32[0x1]", "layer0/Add", "GFLOP/s"):
        assert part in text, (part, text)
    assert "\x1b" not in text  # no colors into a pipe

    np.savez("in.npz", x=np.ones((2, 2), np.float32), y=np.ones((2, 2), np.float32),
             ids=np.ones((2, 4), np.int64), small=np.ones(3, ml_dtypes.bfloat16))
    lathe("bench", "m.lathe", "--inputs", "in.npz", *fast)

    message = lathe("bench", "m.lathe", "--shape", "batch=1", *fast, code=2)
    assert "the size of 'n' is open: pass --shape n=V" in message
    message = lathe("bench", "m.lathe", "--shape", "batch=1,n=1,k=2", *fast, code=2)
    assert "no dim 'k'; its dims are batch, n" in message
    lathe("bench", "m.lathe", "--shape", "batch=4611686018427387904,n=4", code=1)


if __name__ == "__main__":
    main()
