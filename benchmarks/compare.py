#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Times an ONNX model in Lathe and in the peers that are installed, by turns in
one process.

    compare.py MODEL.onnx --shape batch=1,seq=16 --shape batch=1,seq=128
    compare.py MODEL.onnx --shape batch=1,seq=128 --threads 1,2 --weights int8

A column per peer (peers.py says how each one runs) and how many times faster
Lathe is than the fastest of them. With --weights int8 ONNX Runtime runs what its
quantize_dynamic writes, OpenVINO a QDQ model; errors are beside ONNX Runtime's
f32 outputs. `floor` is the time of the matrix products and convolutions alone at
the core's measured f32 FMA peak.
"""

import argparse
import statistics
import sys
import time

import harness
import peers


def parse_shape(text):
    return {name: int(value) for name, value in
            (item.rsplit("=", 1) for item in text.split(",") if item)}


class Comparison:
    """One model beside its peers. `module` builds the PyTorch module, if there is
    one; `weights` and `precision` are as for `lathe compile`."""

    def __init__(self, model, label, weights="", precision="f32", module=None,
                 clock=time.perf_counter):
        self.model, self.label, self.clock = model, label, clock
        self.settings = {"weights": weights, "precision": precision, "module": module}
        options = ["--weights", weights] if weights else []
        options += ["--precision", precision] if precision != "f32" else []
        self.format = weights or precision
        self.bundle = harness.compile_model(model, *options)
        self.reference = harness.ort_session(model, 0)
        self.kinds = peers.available(module, weights)

    def columns(self):
        labels = [kind.label for kind in self.kinds]
        return ["model", "shape", "format", "threads", *(f"{x} ms" for x in labels),
                "Lathe ms", *(f"to {x}" for x in labels), "to fastest", "of floor",
                "error", "ORT error", "cosine"]

    def rows(self, shapes, threads):
        """Yields a table row per number of threads and shape."""
        for count in threads:
            others = {kind.label: kind(self.model, count, **self.settings)
                      for kind in self.kinds}
            ours = harness.lathe_model(self.bundle, count)
            for shape in shapes:
                yield [self.label, shape.replace(",", " ") or "fixed", self.format,
                       count, *self.measure(others, ours, parse_shape(shape), count)]

    def measure(self, others, ours, sizes, threads):
        feeds = harness.make_inputs(self.model, self.reference, sizes)
        expected = {o.name: value for o, value in
                    zip(self.reference.get_outputs(), self.reference.run(None, feeds))}
        runs = {label: peer.bind(feeds) for label, peer in others.items()}
        self.check_peers(runs, expected)
        runs["lathe"] = run = ours.bind(feeds)
        got = run.run()
        ort = dict(zip(expected, runs["ORT"].outputs()))
        timings = harness.measure(runs, clock=self.clock)
        ratios = {label: harness.ratio(timings, label, "lathe") for label in others}
        fastest = statistics.median(
            min(timings[label].rounds[i] for label in others) / ours_round
            for i, ours_round in enumerate(timings["lathe"].rounds))
        floor = (harness.count_flops(self.model, feeds)
                 / harness.peak_gflops() / 1e9 / threads)
        first = next(iter(expected))
        return [*(harness.ms(timings[label].median) for label in runs),
                *(f"{r:.2f} x" for r in ratios.values()), f"{fastest:.2f} x",
                f"{floor / timings['lathe'].median * 100:.0f} %",
                f"{harness.max_error(got, expected):.1e}",
                f"{harness.max_error(ort, expected):.1e}",
                f"{peers.cosine(got[first], expected[first]):.5f}"]

    def check_peers(self, runs, expected):
        """A peer that computes something else would make a meaningless table."""
        want = next(iter(expected.values()))
        for label, run in runs.items():
            got = run.outputs()[0]
            likeness = peers.cosine(got, want) if got.shape == want.shape else 0
            if likeness < 0.99 and not self.settings["weights"]:
                print(f"{label} answers otherwise than ONNX Runtime: cosine "
                      f"{likeness:.4f}", file=sys.stderr)


def print_comparisons(comparisons, shapes, threads):
    """Tables of several comparisons; those with the same columns share one. Returns
    how many rows there were."""
    tables = {}
    for make in comparisons:
        try:
            comparison = make()
            rows = tables.setdefault(tuple(comparison.columns()), [])
            rows += comparison.rows(shapes, threads)
        except RuntimeError as error:
            print(error, file=sys.stderr)
    for columns, rows in tables.items():
        harness.print_table(list(columns), rows)
        print()
    return sum(map(len, tables.values()))


def add_options(parser):
    """The options that every script built on this one takes."""
    parser.add_argument("--threads", default="1,2", help="numbers (default: 1,2)")
    parser.add_argument("--cpu-time", action="store_true",
                        help="processor time instead of elapsed, for a busy machine; "
                        "with --threads 1 only")


def read_options(parser):
    """Parses; `threads` becomes a list, `clock` is the clock to use."""
    options = parser.parse_args()
    if options.cpu_time and options.threads != "1":
        parser.error("--cpu-time goes with --threads 1")
    options.clock = time.process_time if options.cpu_time else time.perf_counter
    try:
        options.threads = [int(count) for count in options.threads.split(",")]
    except ValueError:
        parser.error(f"--threads {options.threads}: not numbers")
    return options


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--shape", action="append", metavar="NAME=V[,NAME=V...]")
    parser.add_argument("--weights", default="", help="as for `lathe compile`")
    parser.add_argument("--precision", default="f32", help="as for `lathe compile`")
    add_options(parser)
    options = read_options(parser)
    print(harness.describe_machine(), "\n")
    label = options.model.rsplit("/", 1)[-1]
    made = lambda: Comparison(options.model, label, options.weights,
                              options.precision, clock=options.clock)
    return 0 if print_comparisons([made], options.shape or [""],
                                  options.threads) else 1


if __name__ == "__main__":
    sys.exit(main())
