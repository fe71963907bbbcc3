#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""How long models take to compile, by target and stage, and the slowest kernels by
themselves.

    compile.py MODEL.onnx... [--jobs N]

Weights in f16 (--precision f16) are what gives GPUs a variant for Hopper, too."""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time

import harness

FORMS = {
    "x86": ["--target", "x86"],
    "x86,cuda": ["--target", "x86,cuda"],
    "x86,cuda, f16": ["--target", "x86,cuda", "--precision", "f16"],
}


def compile_once(model, arguments):
    """Seconds of the clock and of all cores, and what was printed."""
    with tempfile.TemporaryDirectory() as folder:
        command = [os.path.join(harness.BUILD, "bin", "lathe"), "compile", model,
                   "-o", os.path.join(folder, "m.lathe"), "-v", *arguments]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stderr)
    cores = sum(getattr(after, kind) - getattr(before, kind)
                for kind in ("ru_utime", "ru_stime"))
    return seconds, cores, done.stdout, done.stderr


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--jobs", type=int, help="threads (default: all cores)")
    arguments = parser.parse_args()
    jobs = ["--jobs", str(arguments.jobs)] if arguments.jobs else []
    print(harness.describe_machine(), "\n")
    for model in arguments.models:
        for form, options in FORMS.items():
            seconds, cores, out, stages = compile_once(model, [*options, *jobs])
            summary = out.strip().splitlines()[-1].split(": ", 1)[1]
            times = re.findall(r"^(\w+) +([\d.]+ m?s)$", stages, re.MULTILINE)
            print(f"{os.path.basename(model)}, {form}: {seconds:.1f} s, {cores:.1f} s "
                  f"of cores\n  {', '.join(' '.join(t) for t in times)}\n  {summary}")
        out = compile_once(model, [*options, *jobs, "--kernel-times"])[2]
        print(f"\nThe slowest kernels by themselves ({form}):\n")
        print("\n".join(out.splitlines()[:8]), "\n")


if __name__ == "__main__":
    main()
