# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""File name = pass flag = test name.

`def FuseEpiloguePass : Pass<"graph-fuse-epilogue", …>` in

    dialects/Graph/Transforms/Passes.td        asks for
    dialects/Graph/Transforms/FuseEpilogue.cpp            and
    test/dialects/Graph/Transforms/fuse-epilogue.mlir

The flag's prefix is the dialect, or `lathe` where there is none, and may be
left out. A test may carry a suffix after an underscore:
fuse-epilogue_dynamic.mlir.
"""

import glob
import os
import re

PASS = re.compile(r'^def\s+(\w+)\s*:\s*(?:Interface)?Pass<\s*"([^"]+)"',
                  re.MULTILINE)


def prefixes(folder):
    parts = folder.split("/")
    names = ["lathe-"]
    if parts[0] == "dialects":
        names.insert(0, parts[1].lower() + "-")
    return names


def squash(name):
    """FuseFP8Scale and fuse-fp8-scale are the same name."""
    return name.replace("-", "").lower()


def check(path, root):
    """Yields (line, rule, message) for one Passes.td."""
    folder = os.path.dirname(path)
    with open(os.path.join(root, path), encoding="utf-8") as source:
        text = source.read()
    sources = {
        squash(name[:-len(".cpp")]): name
        for name in os.listdir(os.path.join(root, folder))
        if name.endswith(".cpp")
    }
    for match in PASS.finditer(text):
        name, flag = match.groups()
        line = text.count("\n", 0, match.start()) + 1
        stems = [flag] + [flag[len(p):] for p in prefixes(folder)
                          if flag.startswith(p)]
        stem = next((s for s in stems if squash(s) in sources), None)
        if stem is None:
            wanted = "".join(w.capitalize() for w in stems[-1].split("-"))
            yield (line, "pass-name",
                   f"no file is named like --{flag}: {folder}/{wanted}.cpp")
            continue
        source = sources[squash(stem)]
        if name.removesuffix("Pass") != source.removesuffix(".cpp"):
            yield (line, "pass-name",
                   f"{name} should be {source.removesuffix('.cpp')}Pass, "
                   f"as its file is {source}")
        tests = os.path.join(root, "test", folder)
        if not (glob.glob(f"{tests}/{stem}.mlir")
                or glob.glob(f"{tests}/{stem}_*.mlir")):
            yield (line, "pass-test",
                   f"--{flag} has no test test/{folder}/{stem}.mlir")
