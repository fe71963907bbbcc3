#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""BERT-base and ViT-B/16 beside the peers.

    encoders.py FOLDER [--precision bf16] [--threads 1,2] [--cpu-time]

FOLDER holds what `tools/zoo/export.py FOLDER bert vit --full --exporter script`
wrote; files that aren't there are skipped.
"""

import argparse
import sys

import compare
import harness
import peers
import vision

SHAPES = {"bert": ["batch=1,seq=128"], "vit": ["batch=1"]}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--precision", default="f32", help="as for `lathe compile`")
    compare.add_options(parser)
    options = compare.read_options(parser)
    print(harness.describe_machine(), "\n")
    done = 0
    for name, shapes in SHAPES.items():
        made = [lambda label=label, model=model: compare.Comparison(
                    model, label, precision=options.precision,
                    module=peers.zoo_module(name), clock=options.clock)
                for label, model in vision.find_models(options.folder, [name])]
        done += compare.print_comparisons(made, shapes, options.threads)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
