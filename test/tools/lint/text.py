# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# RUN: rm -rf %t && mkdir -p %t/lib/Support
# RUN: %python %s %t
# RUN: not %python %source_root/tools/lint/lint.py --root %t %t | FileCheck %s
"""File size, line length, tabs, licence and format, at their limits."""

import os
import sys

LICENCE = "// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception\n"


def write(name, text):
    path = os.path.join(sys.argv[1], "lib", "Support", name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


# Rules come file by file, and clang-format's at the end.

# CHECK-NOT: error
# CHECK: lib/Support/Huge.td:1: error: 1001 lines; 1000 is the limit [file-size]
write("Huge.td", LICENCE + 1000 * "\n")
write("Full.td", LICENCE + 499 * "\n")

# CHECK-NEXT: lib/Support/Large.td:1: warning: 501 lines; aim at 500 [file-size]
write("Large.td", LICENCE + 500 * "\n")

# CHECK-NEXT: lib/Support/Tab.td:2: error: tab character [tab]
write("Tab.td", LICENCE + "\tint x;\n")

# CHECK-NEXT: lib/Support/Unlicensed.h:1: error: the first lines lack {{.*}} [licence]
write("Unlicensed.h", "#define X 1\n")

# CHECK-NEXT: lib/Support/Wide.py:2: error: 101 columns; 100 is the limit [line-length]
write("Wide.py", LICENCE.replace("//", "#") + "#" + 100 * "x" + "\n")

# CHECK-NEXT: lib/Support/Wide.td:3: error: 81 columns; 80 is the limit [line-length]
# An address cannot be broken.
write("Wide.td", LICENCE + "// " + 77 * "x" + "\n// " + 78 * "x"
      + "\n// https://example.org/" + 80 * "x" + "\n")

# CHECK-NEXT: lib/Support/Crooked.cpp:2: error: not formatted: lint.py --fix [format]
# CHECK-NOT: error
write("Crooked.cpp", LICENCE + "int  f( ){return 1;}\n")
write("Neat.cpp", LICENCE + "int f() { return 1; }\n")
