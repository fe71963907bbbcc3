#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The digits transformer in every encoding and precision: accuracy, size, speed.

    digits.py [FORMAT...]     a FORMAT is what --weights and --precision take: int8,
                              bf16, int4:32, bf16+int8

Fifty of the sample's held-out images calibrate, the others are read. A format is
compiled without and with calibration if it uses one.
"""

import os
import subprocess
import sys

import numpy as np

import harness
import weights

SAMPLE = os.path.join(harness.ROOT, "samples", "digits-sigmoid-vit")
MODEL = os.path.join(SAMPLE, "digits_sigmoid_vit.onnx")
FORMATS = ["f32", "bf16", "f16", "int8", "bf16+int8", "int4", "int4:32",
           "int4:32:zeros", "int4:32:float", "bf16+int4:32", "ternary",
           "block4x1:0.5", "block4x1:0.5:float"]
CALIBRATING = 50


def compile_format(text, moments):
    """A bundle for this machine alone, so that sizes compare."""
    options = ["--target", "x86:cpu=native"]
    for part in text.split("+"):
        if part in ("bf16", "f16"):
            options += ["--precision", part]
        elif part != "f32":
            options += ["--weights", part]
    if moments:
        options += ["--calibration", moments]
    return harness.compile_model(MODEL, *options)


def main():
    data = np.load(os.path.join(SAMPLE, "test_digits.npz"))
    images, labels = data["image"], data["label"]
    paths = []
    for i in range(CALIBRATING):
        paths.append(harness.work_file(MODEL, f".{i}.npz"))
        np.savez(paths[-1], image=images[i:i + 1])
    moments = harness.work_file(MODEL, ".moments.safetensors")
    subprocess.run([sys.executable, weights.TOOL, MODEL, "-o", moments, *paths],
                   check=True)
    images, labels = images[CALIBRATING:], labels[CALIBRATING:]

    names, models = [], []
    for text in sys.argv[1:] or FORMATS:
        for calibration in ["", moments] if weights.is_calibrated(text) else [""]:
            try:
                models.append(compile_format(text, calibration))
                names.append((text, "yes" if calibration else ""))
            except RuntimeError as error:
                print(f"{text}: {error}", file=sys.stderr)
    feeds = {"image": images}
    runs = {name: harness.lathe_model(path, 1).bind(feeds)
            for name, path in zip(names, models)}
    answers = {name: run.run()["logits"].argmax(1) for name, run in runs.items()}
    timings = harness.measure(runs, seconds=0.5)
    print(harness.describe_machine(), "\n")
    harness.print_table(
        ["format", "calibrated", f"right of {len(labels)}", "bundle KiB",
         "speed to f32"],
        [[*name, f"{100 * (answers[name] == labels).mean():.2f} %",
          f"{os.path.getsize(path) / 1024:.0f}",
          f"{harness.ratio(timings, names[0], name):.2f}"]
         for name, path in zip(names, models)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
