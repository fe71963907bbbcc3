#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Tunes the digits transformer, lets a good build pass and stops a slow one.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${LATHE:?} ${OUT:?}"
model=$here/../digits-sigmoid-vit/digits_sigmoid_vit.onnx

compile() {
  "$LATHE" compile "$model" --target x86:cpu=native "$@"
}

compile -o "$OUT/released.lathe"
"$here/tune.sh" "$model" "$OUT/tuning.json" batch=64 "${BUDGET:-5s}"
compile -o "$OUT/tuned.lathe" --tuning "$OUT/tuning.json"
"$here/check.sh" "$OUT/tuned.lathe" "$OUT/released.lathe" batch=64 \
  "${LIMIT:-1.05}"
compile -o "$OUT/slow.lathe" --weights int4:32:float
if "$here/check.sh" "$OUT/slow.lathe" "$OUT/released.lathe" batch=64; then
  echo "a slower build passed"
  exit 1
fi
echo "the slower build was stopped"
