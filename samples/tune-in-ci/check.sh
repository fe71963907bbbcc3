#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# check.sh NEW OLD SHAPE [LIMIT]: exits with 1 if bundle NEW takes more than
# LIMIT (1.05) times as long as bundle OLD. ROUNDS (9) and ITERATIONS (50) of
# the environment say how much is measured.
set -euo pipefail
new=$1 old=$2 shape=$3 limit=${4:-1.05}
lathe=${LATHE:-lathe}

time_of() {
  "$lathe" bench "$1" --shape "$shape" --threads 1 \
    --iterations "${ITERATIONS:-50}" --json |
    sed -n 's/.*"median_ms": *\([0-9.e+-]*\).*/\1/p'
}

for ((round = 0; round < ${ROUNDS:-9}; ++round)); do
  if ((round % 2)); then
    a=$(time_of "$new")
    b=$(time_of "$old")
  else
    b=$(time_of "$old")
    a=$(time_of "$new")
  fi
  echo "$a $b"
done | awk '{ printf "%.4f %s %s\n", $1 / $2, $1, $2 }' | sort -n |
  awk -v limit="$limit" '
    { ratio[NR] = $1; line[NR] = $0 }
    END {
      middle = int((NR + 1) / 2)
      split(line[middle], part, " ")
      printf "%.3f times as long: %.3f ms, before %.3f ms\n",
             part[1], part[2], part[3]
      exit !(NR > 0 && ratio[middle] <= limit)
    }'
