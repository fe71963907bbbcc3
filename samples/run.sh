#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Tells every story in this folder: `make demo`.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
common=$(git -C "$root" rev-parse --path-format=absolute --git-common-dir)

export LATHE=${LATHE:-$root/build/bin/lathe}
export LATHE_BUILD=${LATHE_BUILD:-$root/build}
export PYTHON=${PYTHON:-$(dirname "$common")/.venv/bin/python}
export OUT=${OUT:-$root/build/demo}
mkdir -p "$OUT"

for story in "$here"/*/run.sh; do
  name=$(basename "$(dirname "$story")")
  printf '\n== %s\n' "$name"
  "$story"
done
