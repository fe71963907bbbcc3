# RUN: %python %s
# REQUIRES: avx2
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random tile kernels at every level of this machine against the reference
interpreter, between guard pages.

    random_kernels.py [FIRST [COUNT]]
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "Inputs"), os.path.join(HERE, "..", "Inputs")]
from kernels import Kernels, levels  # noqa: E402
from random_kernel import check_all  # noqa: E402


def main(first=0, count=25):
    check_all(first, count, levels(), Kernels)


if __name__ == "__main__":
    main(*sys.argv[1:])
