#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""ResNet-50, MobileNetV3-L and EfficientNet-B0 at 224 x 224 beside the peers.

    vision.py FOLDER [--threads 1,2] [--cpu-time]

FOLDER holds what `tools/zoo/export.py FOLDER NAME... --full` wrote for resnet50,
mobilenet_v3_large and efficientnet_b0; files that aren't there are skipped.
"""

import argparse
import os
import sys

import compare
import harness

MODELS = ["resnet50", "mobilenet_v3_large", "efficientnet_b0"]


def find_models(folder, names):
    """The exported files of `names`, said when missing."""
    for name in names:
        for exporter in ("script", "dynamo"):
            model = os.path.join(folder, f"{name}.{exporter}.onnx")
            if os.path.exists(model):
                yield f"{name}, {exporter}", model
            else:
                print(f"{model} is not there", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    compare.add_options(parser)
    options = compare.read_options(parser)
    print(harness.describe_machine(), "\n")
    made = [lambda label=label, model=model: compare.Comparison(
                model, label, clock=options.clock)
            for label, model in find_models(options.folder, MODELS)]
    return 0 if compare.print_comparisons(made, ["batch=1"], options.threads) else 1


if __name__ == "__main__":
    sys.exit(main())
