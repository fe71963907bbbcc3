# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""lit configuration of the GoogleTest programs in build/test/unit."""

import os

import lit.formats

config.name = "lathe-unit"
config.test_format = lit.formats.GoogleTest(".", "Tests")
config.suffixes = []
config.test_source_root = os.path.join(config.lathe_obj_root, "test", "unit")
config.test_exec_root = config.test_source_root
config.environment["LATHE_BUILD"] = config.lathe_obj_root
config.environment["LATHE_SOURCE"] = config.lathe_src_root
config.environment["ASAN_OPTIONS"] = (
    "detect_container_overflow=0:allow_user_poisoning=0")
for name in ("HOME", "ASAN_OPTIONS", "UBSAN_OPTIONS"):
    if name in os.environ:
        config.environment[name] = os.environ[name]
