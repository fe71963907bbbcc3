#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""ResNet-50 and MobileNetV3-L at 224 x 224 beside ONNX Runtime.

    vision.py FOLDER

FOLDER holds what `tools/zoo/export.py FOLDER --full resnet50 mobilenet_v3_large`
wrote; files that aren't there are skipped.
"""

import os
import sys

import compare
import harness


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(harness.describe_machine(), "\n")
    rows = []
    for name in ("resnet50", "mobilenet_v3_large"):
        for exporter in ("script", "dynamo"):
            model = os.path.join(sys.argv[1], f"{name}.{exporter}.onnx")
            if not os.path.exists(model):
                print(f"{model} is not there", file=sys.stderr)
                continue
            try:
                rows += compare.compare(model, f"{name}, {exporter}", ["batch=1"],
                                        [1, 2])
            except RuntimeError as error:
                print(f"{model}: {error}", file=sys.stderr)
    if rows:
        harness.print_table(compare.COLUMNS, rows)
    return 0 if rows else 1


if __name__ == "__main__":
    sys.exit(main())
