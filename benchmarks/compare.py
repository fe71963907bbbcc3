#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Times an ONNX model in Lathe and in ONNX Runtime, by turns in one process.

    compare.py MODEL.onnx --shape batch=1,seq=16 --shape batch=1,seq=128
    compare.py MODEL.onnx --shape batch=1,seq=128 --threads 1,2 --weights int8

With --weights int8 the peer is ONNX Runtime's quantize_dynamic, and both are
compared with its f32 outputs. `floor` is the time of the matrix products and
convolutions alone at the core's measured FMA peak.
"""

import argparse
import sys
import time

import harness

COLUMNS = ["model", "shape", "weights", "threads", "ORT ms", "Lathe ms", "speed-up",
           "floor ms", "of floor", "error", "ORT error"]


def parse_shape(text):
    return {name: int(value) for name, value in
            (item.rsplit("=", 1) for item in text.split(",") if item)}


def compare(model, label, shapes, threads, weights="", clock=time.perf_counter):
    """Yields a table row per shape and number of threads."""
    options = ["--weights", weights] if weights else []
    bundle = harness.compile_model(model, *options)
    peer = harness.quantize_dynamic(model) if weights else model
    reference = harness.ort_session(model, 0)
    names = [output.name for output in reference.get_outputs()]
    for count in threads:
        session = harness.ort_session(peer, count)
        ours = harness.lathe_model(bundle, count)
        for shape in shapes:
            sizes = parse_shape(shape)
            feeds = harness.make_inputs(model, reference, sizes)
            expected = dict(zip(names, reference.run(None, feeds)))
            run = ours.bind(feeds)
            error = harness.max_error(run.run(), expected)
            peer_error = harness.max_error(
                dict(zip(names, session.run(None, feeds))), expected)
            timings = harness.measure(
                {"ort": harness.bind_ort(session, feeds), "lathe": run}, clock=clock)
            floor = (harness.count_flops(model, feeds)
                     / harness.peak_gflops() / 1e9 / count)
            yield [label, shape.replace(",", " ") or "fixed", weights or "f32", count,
                   harness.ms(timings["ort"].median),
                   harness.ms(timings["lathe"].median),
                   f"{harness.ratio(timings, 'ort', 'lathe'):.2f} x",
                   harness.ms(floor),
                   f"{floor / timings['lathe'].median * 100:.0f} %",
                   f"{error:.1e}", f"{peer_error:.1e}"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--shape", action="append", metavar="NAME=V[,NAME=V...]")
    parser.add_argument("--threads", default="1,2", help="numbers (default: 1,2)")
    parser.add_argument("--weights", default="", help="as for `lathe compile`")
    parser.add_argument("--cpu-time", action="store_true",
                        help="time of the calling thread on its core, for a busy "
                        "machine; with --threads 1 only")
    options = parser.parse_args()
    clock = time.thread_time if options.cpu_time else time.perf_counter
    if options.cpu_time and options.threads != "1":
        parser.error("--cpu-time goes with --threads 1")
    threads = [int(text) for text in options.threads.split(",")]
    print(harness.describe_machine(), "\n")
    label = options.model.rsplit("/", 1)[-1]
    harness.print_table(COLUMNS, compare(options.model, label, options.shape or [""],
                                         threads, options.weights, clock))


if __name__ == "__main__":
    sys.exit(main())
