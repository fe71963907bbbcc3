# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Length, width, tabs and licence of single files."""

import os
import re

LICENCE = "SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception"
# Taken from other projects, under their licence.
FOREIGN = {
    "lib/Frontend/Onnx/onnx.proto": "SPDX-License-Identifier: Apache-2.0",
}

MAX_LINES = 1000
AIM_LINES = 500
WIDTH = {
    ".c": 80, ".cpp": 80, ".h": 80, ".td": 80, ".fbs": 80, ".proto": 80,
    ".py": 100,
}

# What no one can break: an address, an include line, a header guard.
UNBREAKABLE = re.compile(
    r"https?://\S+$|^\s*#\s*include\b|^\s*include \"|"
    r"^#(ifndef|define|endif)\b.*_(H|TD|INC)$")


def licensed(path):
    """Sources carry a licence line; data, prose and IR under test do not."""
    name = os.path.basename(path)
    return (name == "CMakeLists.txt" or name == "Makefile"
            or os.path.splitext(name)[1] in WIDTH
            or name.endswith((".sh", ".cmake")))


def check(path, root):
    """Yields (line, rule, message); rules that end in ~ are warnings."""
    with open(os.path.join(root, path), encoding="utf-8") as source:
        lines = source.read().removesuffix("\n").split("\n")
    extension = os.path.splitext(path)[1]
    # A lit test in Python starts with its RUN lines.
    head = lines[:10] if path.startswith("test/") else lines[:3]
    wanted = FOREIGN.get(path, LICENCE)
    if licensed(path) and not any(wanted in line for line in head):
        yield 1, "licence", f"the first lines lack '{wanted}'"

    if extension not in WIDTH:
        return
    if len(lines) > MAX_LINES:
        yield 1, "file-size", f"{len(lines)} lines; {MAX_LINES} is the limit"
    elif len(lines) > AIM_LINES:
        yield 1, "file-size~", f"{len(lines)} lines; aim at {AIM_LINES}"
    for number, line in enumerate(lines, 1):
        if "\t" in line:
            yield number, "tab", "tab character"
        if len(line) > WIDTH[extension] and not UNBREAKABLE.search(line):
            yield (number, "line-length",
                   f"{len(line)} columns; {WIDTH[extension]} is the limit")
