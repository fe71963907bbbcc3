# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""clang-format and clang-tidy over our C and C++ files."""

import concurrent.futures
import os
import re
import subprocess

FORMATTED = (".c", ".cpp", ".h")
DIAGNOSTIC = re.compile(
    r"^(.+?):(\d+):\d+: (?:error|warning): (.*?)(?: \[([^\]]+)\])?$")


def batches(paths, size=16):
    return [paths[i:i + size] for i in range(0, len(paths), size)]


def run_all(commands, root):
    """Runs the commands, as many at a time as there are cores."""
    def run(command):
        done = subprocess.run(command, cwd=root, text=True,
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return done.stdout + done.stderr

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(run, commands))


def diagnostics(outputs, root):
    """Yields (path, line, rule, message), each place once."""
    seen = set()
    for output in outputs:
        for line in output.splitlines():
            match = DIAGNOSTIC.match(line)
            if not match:
                continue
            path, number, message, rule = match.groups()
            path = os.path.relpath(os.path.join(root, path), root)
            found = (path, int(number), rule, message)
            if found not in seen:
                seen.add(found)
                yield found


def check_format(paths, root, fix=False):
    paths = [path for path in paths if path.endswith(FORMATTED)]
    mode = ["-i"] if fix else ["--dry-run", "-Werror"]
    outputs = run_all([["clang-format-22", *mode, *batch]
                       for batch in batches(paths)], root)
    files = set()
    for path, line, _, _ in diagnostics(outputs, root):
        if path not in files:  # one message a file: the fix is one command
            files.add(path)
            yield path, line, "format", "not formatted: lint.py --fix"


def check_tidy(paths, root, build):
    """Only sources: headers are looked at through them."""
    paths = [path for path in paths if path.endswith((".c", ".cpp"))]
    outputs = run_all([["clang-tidy-22", "--quiet", "-p", build, *batch]
                       for batch in batches(paths, 1)], root)
    for path, line, rule, message in diagnostics(outputs, root):
        yield path, line, rule or "tidy", message
