#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""From the start of a process to the first answer, MiniLM 1 x 128, warm page cache:
`lathe run` against ONNX Runtime.

    startup.py

ONNX Runtime is measured inside its process, without Python's start and imports:
creating the session and the first run. Lathe's figure is the whole process, from
exec to exit, reading and writing .npz files included.
"""

import os
import statistics
import subprocess
import sys
import time

import numpy as np

import harness
import minilm

PEER = """
import sys, time, numpy, onnxruntime
feeds = dict(numpy.load(sys.argv[2]))
start = time.perf_counter()
session = onnxruntime.InferenceSession(sys.argv[1])
session.run(None, feeds)
print(time.perf_counter() - start)
"""


def main():
    print(harness.describe_machine(), "\n")
    model = minilm.make_model()
    bundle = harness.compile_model(model)
    inputs = os.path.join(harness.WORK, "startup.in.npz")
    outputs = os.path.join(harness.WORK, "startup.out.npz")
    session = harness.ort_session(model, 1)
    np.savez(inputs, **harness.make_inputs(model, session, {"batch": 1, "seq": 128}))
    ours, theirs = [], []
    for _ in range(11):
        start = time.perf_counter()
        harness.run_tool("run", bundle, "--inputs", inputs, "--outputs", outputs)
        ours.append(time.perf_counter() - start)
        done = subprocess.run([sys.executable, "-c", PEER, model, inputs], text=True,
                              capture_output=True, check=True)
        theirs.append(float(done.stdout))
    ratios = statistics.median(t / o for t, o in zip(theirs, ours))
    harness.print_table(
        ["ORT load + first run ms", "lathe run ms", "faster"],
        [[harness.ms(statistics.median(theirs)), harness.ms(statistics.median(ours)),
          f"{ratios:.1f} x"]])


if __name__ == "__main__":
    sys.exit(main())
