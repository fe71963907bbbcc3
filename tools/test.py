#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs the tests of one build tree with lit and ends with a one-line total.

    tools/test.py BUILD [FILTER...]

A FILTER is a path below test/ (test/dialects/Graph) or a regular expression
that lit matches against test names.
"""

import json
import os
import subprocess
import sys

LIT = "/usr/lib/llvm-22/bin/lit"
PASSED = {"PASS", "XFAIL", "FLAKYPASS"}
SKIPPED = {"UNSUPPORTED", "SKIPPED", "EXCLUDED"}


def suites(build):
    yield os.path.join(build, "test")
    unit = os.path.join(build, "test", "unit")
    if any(name.endswith("Tests") for name in os.listdir(unit)):
        yield unit


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    build, filters = sys.argv[1], sys.argv[2:]
    report = os.path.join(build, "test", "results.json")
    if os.path.exists(report):
        os.remove(report)

    command = [LIT, "-sv", "--no-progress-bar", "--allow-empty-runs",
               "--output", report]
    paths = [f for f in filters if os.path.exists(f)]
    patterns = [f for f in filters if not os.path.exists(f)]
    if patterns:
        command += ["--filter", "|".join(patterns)]
    for path in paths:
        relative = os.path.relpath(path, "test")
        command.append(os.path.join(build, "test", relative))
    if not paths:
        command += suites(build)
    status = subprocess.run(command, stdin=subprocess.DEVNULL).returncode

    if not os.path.exists(report):
        sys.exit(status or 1)
    with open(report) as results:
        codes = [test["code"] for test in json.load(results)["tests"]]
    passed = sum(code in PASSED for code in codes)
    failed = sum(code not in PASSED | SKIPPED for code in codes)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or status else 0


if __name__ == "__main__":
    sys.exit(main())
