#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# bare.sh ROOT COMMAND...: runs a command in ROOT, a folder that it fills with
# glibc alone, /proc, and /dev/null.
set -euo pipefail
root=$1
shift
mkdir -p "$root"/{lib64,lib/x86_64-linux-gnu,proc,dev,tmp}
cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64"
for library in libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1; do
  cp -L "/lib/x86_64-linux-gnu/$library" "$root/lib/x86_64-linux-gnu"
done
touch "$root/dev/null"
exec unshare -rm bash -c 'mount --rbind /proc "$0/proc"
  mount --bind /dev/null "$0/dev/null"
  exec env -i PATH=/usr/sbin:/usr/bin chroot "$@"' "$root" "$root" "$@"
