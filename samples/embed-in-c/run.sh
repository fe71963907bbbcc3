#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Installs the runtime, builds programs against it, and runs a model in them.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${LATHE:?} ${LATHE_BUILD:?} ${OUT:?}"
# The compilers that tools/setup.sh brings; a bare machine has no others.
export CC=${CC:-clang-22} CXX=${CXX:-clang++-22}

cmake --install "$LATHE_BUILD" --component runtime --prefix "$OUT/installed" \
  >/dev/null
cmake -S "$here" -B "$OUT/embed" -DCMAKE_PREFIX_PATH="$OUT/installed" \
  --log-level=WARNING >/dev/null
cmake --build "$OUT/embed" >/dev/null
"$LATHE" compile "$here/../digits-sigmoid-vit/digits_sigmoid_vit.onnx" \
  -o "$OUT/embed/model.lathe"
"$OUT/embed/embed" "$OUT/embed/model.lathe"
"$OUT/embed/embed_cpp" "$OUT/embed/model.lathe" 2
