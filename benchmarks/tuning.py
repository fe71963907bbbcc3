#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Whether tuning pays and can be trusted: two tables of each model, how much of
the time they agree on, and the tuned model beside the untuned.

    tuning.py FOLDER [--budget 30s] [--threads 1]

MiniLM-L6 and what `tools/zoo/export.py FOLDER resnet50 mobilenet_v3_large --full`
wrote. Two choices agree if they are the same schedule, or if neither was measured
3 % better than the cost model's.
"""

import argparse
import json
import os
import re
import sys
import time

import compare
import harness
import minilm
import vision


def tune(model, shape, options, number):
    """Runs `lathe tune`. Returns the table's path, workload -> (share of the time,
    schedule), and seconds."""
    table = harness.work_file(model, f".tuning{number}.json")
    if os.path.exists(table):
        os.remove(table)
    start = time.monotonic()
    text = harness.run_tool("tune", model, "--shape", shape, "--budget",
                            options.budget, "--threads", options.threads,
                            "-o", table)
    seconds = time.monotonic() - start
    shares = dict(re.findall(r"^(.*?)  +([0-9.]+) %", text, re.MULTILINE))
    with open(table, encoding="utf-8") as file:
        entries = json.load(file)["workloads"]
    return table, {e["workload"]: (float(shares.get(e["workload"], 0)), e["schedule"])
                   for e in entries}, seconds


def agreement(first, second):
    """Per cent of the measured time in which both tables choose alike."""
    total = sum(share for share, _ in first.values())
    same = sum(share for name, (share, schedule) in first.items()
               if second.get(name, (0, None))[1] == schedule)
    return 100 * same / total if total else 100.0


def measure(model, shape, options):
    """A table row: what tuning twice gave, and the first table beside none."""
    table, first, seconds = tune(model, shape, options, 1)
    _, second, _ = tune(model, shape, options, 2)
    tuned = harness.work_file(model, ".tuned.lathe")
    harness.run_tool("compile", model, "-o", tuned, "--tuning", table)
    reference = harness.ort_session(model, 0)
    feeds = harness.make_inputs(model, reference, compare.parse_shape(shape))
    threads = int(options.threads)
    timings = harness.measure({
        "tuned": harness.lathe_model(tuned, threads).bind(feeds),
        "untuned": harness.lathe_model(harness.compile_model(model), threads)
                   .bind(feeds)}, seconds=4.0, clock=options.clock)
    return [os.path.basename(model), shape.replace(",", " "), f"{seconds:.0f} s",
            len(first), f"{agreement(first, second):.0f} %",
            f"{harness.ratio(timings, 'untuned', 'tuned'):.3f} x"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--budget", default="30s", help="as for `lathe tune`")
    parser.add_argument("--threads", default="1", help="a number (default: 1)")
    parser.add_argument("--cpu-time", action="store_true",
                        help="processor time instead of elapsed for the last column")
    options = parser.parse_args()
    options.clock = time.process_time if options.cpu_time else time.perf_counter
    print(harness.describe_machine(), "\n")
    work = [(minilm.make_model(), shape) for shape in minilm.SHAPES]
    work += [(model, "batch=1") for _, model in vision.find_models(
        options.folder, ["resnet50", "mobilenet_v3_large"])]
    rows = []
    for model, shape in work:
        rows.append(measure(model, shape, options))
        print(*rows[-1], file=sys.stderr)
    harness.print_table(["model", "shape", "tuning", "workloads", "agree on",
                         "tuned to untuned"], rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
