#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Compiles the sigmoid-attention transformer in f32 and int8 and reads digits.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${LATHE:?} ${PYTHON:?} ${OUT:?}"

"$LATHE" compile "$here/digits_sigmoid_vit.onnx" -o "$OUT/digits.lathe"
"$LATHE" compile "$here/digits_sigmoid_vit.onnx" --weights int8 \
  -o "$OUT/digits-int8.lathe"
"$PYTHON" "$here/digits.py" "$OUT/digits.png" \
  f32="$OUT/digits.lathe" int8="$OUT/digits-int8.lathe"
