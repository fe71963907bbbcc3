# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Damages files of every kind that Lathe reads and watches what it does.

    fuzz.py BUILD [--runs N] [--seed S] [--work FOLDER] [KIND...]

writes a corpus to FOLDER (BUILD/fuzz) and runs lathe-fuzz on bundles,
safetensors files, config.json and ONNX files, N rounds each (100,000). A round
that went wrong is told with its number; `lathe-fuzz KIND --corpus FOLDER/corpus
--seed S --first ROUND --runs 1 --work DIR` repeats it and leaves the file.
"""

import argparse
import os
import pathlib
import subprocess
import sys

import corpus

KINDS = ["bundle", "safetensors", "config", "onnx"]


def main():
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("build", type=pathlib.Path)
    options.add_argument("kinds", nargs="*", default=KINDS)
    options.add_argument("--runs", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--work", type=pathlib.Path)
    given = options.parse_intermixed_args()
    work = given.work or given.build / "fuzz"
    corpus.main(given.build, work / "corpus")
    program = given.build / "test/tools/lathe-fuzz" / "lathe-fuzz"
    # libMLIR.so is not instrumented: see test/lit.cfg.py. Damaged files are
    # many and short-lived.
    environment = {"ASAN_OPTIONS": "detect_container_overflow=0:"
                   "allow_user_poisoning=0:use_sigaltstack=0",
                   **os.environ}
    if os.path.isdir("/dev/shm"):
        environment["TMPDIR"] = "/dev/shm"
    failed = False
    for kind in given.kinds:
        sys.stdout.flush()
        failed |= subprocess.run(
            [program, kind, "--corpus", work / "corpus", f"--runs={given.runs}",
             f"--seed={given.seed}"], env=environment).returncode != 0
    sys.exit(failed)


if __name__ == "__main__":
    main()
