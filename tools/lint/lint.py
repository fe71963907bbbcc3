#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Checks the house rules that a machine can check.

    lint.py                 every file that git does not ignore
    lint.py PATH...         these files, and those in these folders
    lint.py --fix           run clang-format first
    lint.py --tidy          also clang-tidy, without PATH on what differs from main

Prints `path:line: error: message [rule]`. Exit code 1 if there was an error;
warnings do not count.
"""

import argparse
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# pylint: disable=wrong-import-position
import clang
import layering
import passes
import text

LAYERED = (".c", ".cpp", ".h", ".td")


def git(root, *arguments):
    done = subprocess.run(["git", "-C", root, *arguments], text=True,
                          capture_output=True, check=True)
    return [line for line in done.stdout.split("\0") if line]


def all_files(root):
    """Tracked files and new ones, as far as they are still there."""
    listed = git(root, "ls-files", "-z", "--cached", "--others",
                 "--exclude-standard")
    return sorted({path for path in listed
                   if os.path.isfile(os.path.join(root, path))})


def named_files(paths, root):
    for path in paths:
        if os.path.isfile(path):
            yield os.path.relpath(path, root)
        elif not os.path.isdir(path):
            sys.exit(f"lint: no such file: {path}")
        for folder, _, names in os.walk(path):
            for name in names:
                yield os.path.relpath(os.path.join(folder, name), root)


def changed_files(root):
    base = git(root, "merge-base", "main", "HEAD")[0].strip()
    return set(git(root, "diff", "-z", "--name-only", base)
               + git(root, "ls-files", "-z", "--others", "--exclude-standard"))


def is_text(path):
    return path.endswith(tuple(text.WIDTH)) or text.licensed(path)


def findings(paths, options):
    """Yields (path, line, rule, message) of every check."""
    root = options.root
    for path in paths:
        if not is_text(path) or "/Inputs/" in path:
            continue
        checks = [text.check]
        if path.endswith(LAYERED):
            checks.append(layering.check)
        if os.path.basename(path) == "Passes.td":
            checks.append(passes.check)
        for check in checks:
            for line, rule, message in check(path, root):
                yield path, line, rule, message
    yield from clang.check_format(paths, root, options.fix)
    if options.tidy:
        if not options.paths:
            paths = sorted(changed_files(root) & set(paths))
        yield from clang.check_tidy(paths, root, options.build)


def parse_arguments():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", metavar="PATH")
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(here)),
                        help="the repository (default: this one)")
    parser.add_argument("--build", default="build",
                        help="where compile_commands.json is, for --tidy")
    parser.add_argument("--fix", action="store_true")
    parser.add_argument("--tidy", action="store_true")
    options = parser.parse_args()
    options.root = os.path.abspath(options.root)
    return options


def main():
    options = parse_arguments()
    paths = (sorted(named_files(options.paths, options.root))
             or all_files(options.root))
    errors = warnings = 0
    for path, line, rule, message in findings(paths, options):
        warning = rule.endswith("~")
        errors += not warning
        warnings += warning
        kind = "warning" if warning else "error"
        print(f"{path}:{line}: {kind}: {message} [{rule.rstrip('~')}]")
    print(f"lint: {len(paths)} files, {errors} errors, {warnings} warnings",
          file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
