#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# pack.sh BUILD ARCHIVE.tar.xz: everything that a machine needs to compile and to
# run models, from a build folder with `portable` built. The same commit
# gives the same bytes.
#
#   bin, libexec   lathe, its compiler with LLVM inside
#   lib, include   the runtime as a library, for CMake and pkg-config
#   python/lathe   the package; it finds lib
#   licenses       of what is inside
set -euo pipefail
build=$(cd "$1" && pwd)
archive=$(realpath -m "$2")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
name=$(basename "$archive" .tar.xz)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/$name
mkdir -p "$tree" "$(dirname "$archive")"

cmake --install "$build" --component runtime --strip --prefix "$tree" >/dev/null
cp -r --no-dereference "$build"/portable/. "$tree"
mkdir -p "$tree/python/lathe" "$tree/licenses"
cp "$root"/python/lathe/*.py "$tree/python/lathe"
cp "$root/tools/dist/README.md" "$tree"
cp "$root/LICENSE" "$tree/licenses/lathe.txt"

# What is linked in: Debian says for each package whose it is.
for package in libmlir-22-dev llvm-22-dev liblld-22-dev libprotobuf-dev \
    libflatbuffers-dev zlib1g-dev libzstd-dev gcc-12-base; do
  cp "/usr/share/doc/$package/copyright" "$tree/licenses/$package.txt"
done

date=$(git -C "$root" log -1 --format=%ct 2>/dev/null || echo 0)
tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner \
  --mode=u+rw,go+r-w --mtime="@$date" -cf - "$name" |
  xz -9 -T1 >"$archive.part"
mv "$archive.part" "$archive"
echo "$archive: $(du -k "$archive" | cut -f1) KB"
