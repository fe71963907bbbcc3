#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""All benchmarks on a GPU, one after the other, each in a process of its own.

    python3 benchmarks/gpu/run.py --prepare FOLDER     compiles, a folder each
    python3 benchmarks/gpu/run.py FOLDER               prints all tables

With --scripts only those that match a regex."""

import argparse
import glob
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def find_scripts(pattern):
    """The programs of this folder, and not the modules that they share."""
    for path in sorted(glob.glob(os.path.join(HERE, "*.py"))):
        name = os.path.basename(path)[:-3]
        with open(path, encoding="utf-8") as file:
            is_program = '__name__ == "__main__"' in file.read()
        if is_program and name != "run" and re.search(pattern, name):
            yield name, path


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="of the scripts' folders of bundles")
    parser.add_argument("--prepare", action="store_true",
                        help="write the bundles instead of running them")
    parser.add_argument("--scripts", default="", metavar="REGEX")
    arguments = parser.parse_args()
    scripts = list(find_scripts(arguments.scripts))
    if not scripts:
        sys.exit(f"no script matches '{arguments.scripts}'")
    failed = []
    for name, path in scripts:
        folder = os.path.join(arguments.folder, name)
        if not arguments.prepare and not os.path.isdir(folder):
            print(f"\n## {name}.py: {folder} is not there; --prepare makes it")
            failed.append(name)
            continue
        print(f"\n## {name}.py\n", flush=True)
        start = time.monotonic()
        command = [sys.executable, path, folder]
        if arguments.prepare:
            command.append("--prepare")
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
        print(f"\n({time.monotonic() - start:.0f} s)", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
