#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Compiles a layer with GELU for GPUs, and runs it on tensors of PyTorch.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${LATHE:?} ${PYTHON:?} ${OUT:?}"

if ! "$PYTHON" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' \
    2> /dev/null; then
  echo "no PyTorch with a GPU here"
  exit 0
fi
"$PYTHON" "$here/on_gpu.py" --write "$OUT/layer.onnx"
"$LATHE" compile "$OUT/layer.onnx" -o "$OUT/layer.lathe" --target cuda
"$PYTHON" "$here/on_gpu.py" "$OUT/layer.lathe"
