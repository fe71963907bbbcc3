#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Exports the architectures that Lathe must compile, by both PyTorch exporters.

    export.py FOLDER [NAME...]      all of them, or those named
    export.py FOLDER --full         at their real sizes (hundreds of MB)
    export.py --list

Writes FOLDER/NAME.script.onnx (TorchScript exporter, dynamo=False) and
FOLDER/NAME.dynamo.onnx (dynamo=True). Weights are random, the same on every run.
Keep FOLDER outside the repository. Needs tools/requirements-dev.txt.
"""

import argparse
import os
import sys
import traceback
import warnings

import architectures
import torch


def export(name, folder, exporter, full):
    """Writes one file. Returns what came of it."""
    torch.manual_seed(0)
    module, inputs, dims = architectures.ARCHITECTURES[name](full)
    module.eval()
    randomize_statistics(module)
    path = os.path.join(folder, f"{name}.{exporter}.onnx")
    run = export_script if exporter == "script" else export_dynamo
    try:
        run(module, inputs, dims, path)
    except Exception as error:  # pylint: disable=broad-except
        if os.environ.get("ZOO_TRACE"):
            traceback.print_exc()
        return "failed: " + last_reason(error)
    return "written"


def export_script(module, inputs, dims, path):
    torch.onnx.export(module, tuple(inputs.values()), path, dynamo=False,
                      dynamic_axes=dims, opset_version=17,
                      input_names=list(inputs), output_names=["output"])


def export_dynamo(module, inputs, dims, path):
    shapes = tuple({axis: torch.export.Dim(dim, min=1, max=4096)
                    for axis, dim in dims[key].items()} for key in inputs)
    # Those of a forward(*values) stand in a tuple of their own.
    if isinstance(module, architectures.Output):
        shapes = (shapes,)
    torch.onnx.export(module, tuple(inputs.values()), path, dynamo=True,
                      dynamic_shapes=shapes, external_data=False, verbose=False,
                      input_names=list(inputs), output_names=["output"])


def last_reason(error):
    """What PyTorch says in the end; its first line is advice in color."""
    lines = [line for line in str(error).splitlines() if line.startswith("<class")]
    return (lines or str(error).strip().splitlines() or [""])[0][:160]


def randomize_statistics(module):
    """A fresh batch norm is the identity, which would hide mistakes."""
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.weight, 0.5, 1.5)
            torch.nn.init.normal_(part.bias, std=0.1)
            torch.nn.init.normal_(part.running_mean, std=0.1)
            torch.nn.init.uniform_(part.running_var, 0.5, 1.5)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--exporter", choices=["script", "dynamo"],
                        help="only this one")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_intermixed_args()
    if options.list:
        print("\n".join(architectures.ARCHITECTURES))
        return 0
    if not options.folder:
        parser.error("FOLDER is missing")
    os.makedirs(options.folder, exist_ok=True)
    warnings.simplefilter("ignore")
    failures = 0
    for name in options.names or architectures.ARCHITECTURES:
        for exporter in [options.exporter] if options.exporter else ["script", "dynamo"]:
            outcome = export(name, options.folder, exporter, options.full)
            failures += outcome.startswith("failed")
            print(f"{name}.{exporter}: {outcome}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
