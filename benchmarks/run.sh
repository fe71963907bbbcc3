#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Lathe beside ONNX Runtime: what `make bench` calls. LATHE_ZOO names a folder
# that tools/zoo/export.py filled with --full, for the vision models.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
python=../.venv/bin/python
[ -x "$python" ] || python=python3
export PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1

failed=0
for part in minilm startup attention; do
  echo "## $part"
  "$python" "$part.py" "$@" || failed=1
  echo
done
if [ -n "${LATHE_ZOO:-}" ]; then
  echo "## vision"
  "$python" vision.py "$LATHE_ZOO" || failed=1
fi
exit "$failed"
