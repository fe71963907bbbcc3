#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# tune.sh MODEL TABLE SHAPE [BUDGET]: measures the schedules of MODEL's kernels
# and writes the best to TABLE. Exits with 0; the last line says whether TABLE
# is another than before, which the job commits or proposes then.
set -euo pipefail
model=$1 table=$2 shape=$3 budget=${4:-30s}
lathe=${LATHE:-lathe}

before=$(cat "$table" 2>/dev/null || true)
"$lathe" tune "$model" --shape "$shape" --threads 1 --budget "$budget" \
  -o "$table"
if [ "$before" = "$(cat "$table")" ]; then
  echo "$table: unchanged"
else
  echo "$table: changed"
fi
