# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""lit configuration: what a test may call, and what the machine offers."""

import os
import sys

import lit.formats

config.name = "lathe"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test", ".py"]
config.excludes = [
    "CMakeLists.txt", "Inputs", "unit", "lit.cfg.py", "lit.local.cfg",
    "conftest.py",
]
config.test_source_root = os.path.join(config.lathe_src_root, "test")
config.test_exec_root = os.path.join(config.lathe_obj_root, "test")


def find_python():
    """The environment that tools/setup.sh made, or else this interpreter."""
    for root in (config.lathe_src_root, config.lathe_main_checkout):
        python = os.path.join(root, ".venv", "bin", "python")
        if os.path.exists(python):
            return python
    return sys.executable


python = find_python()
config.substitutions += [
    ("%python", python),
    ("%source_root", config.lathe_src_root),
    ("%build_root", config.lathe_obj_root),
]

# Tests name programs plainly; only these two folders are searched before PATH.
config.environment["PATH"] = os.pathsep.join([
    os.path.join(config.lathe_obj_root, "bin"),
    config.llvm_tools_dir,
    os.environ.get("PATH", ""),
])
config.environment["LATHE_BUILD"] = config.lathe_obj_root
config.environment["LATHE_SOURCE"] = config.lathe_src_root
config.environment["VIRTUAL_ENV"] = os.path.dirname(os.path.dirname(python))
config.environment["PYTHONPATH"] = config.test_source_root
config.environment["PYTHONDONTWRITEBYTECODE"] = "1"
# libMLIR.so and libLLVM.so are not instrumented: a vector that they grow looks
# corrupt to ASan's container check, and what they take from an arena that our
# code has poisoned looks freed. LLVM gives threads a signal stack of its own,
# which ASan would unmap as if it were its own.
config.environment["ASAN_OPTIONS"] = (
    "detect_container_overflow=0:allow_user_poisoning=0:use_sigaltstack=0")
for name in ("HOME", "CI", "ASAN_OPTIONS", "UBSAN_OPTIONS", "CUDA_HOME"):
    if name in os.environ:
        config.environment[name] = os.environ[name]


def cpu_features():
    """The CPU flags that tests may require, in the kernel's spelling."""
    wanted = {
        "avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16",
        "amx_tile", "amx_int8", "amx_bf16",
    }
    try:
        with open("/proc/cpuinfo") as info:
            for line in info:
                if line.startswith("flags"):
                    return wanted & set(line.split(":", 1)[1].split())
    except OSError:
        pass
    return set()


# `REQUIRES: avx512f`, `REQUIRES: cuda`, `UNSUPPORTED: sanitize`, …
config.available_features |= cpu_features()
if os.path.exists("/dev/nvidiactl"):
    config.available_features.add("cuda")
if os.path.exists("/dev/kfd"):
    config.available_features.add("rocm")
if os.environ.get("LATHE_DIST"):  # An archive of `make dist`, to be tested.
    config.available_features.add("dist")
    config.substitutions.append(("%dist", os.environ["LATHE_DIST"]))
if config.lathe_sanitize:
    config.available_features.add("sanitize")
lit_config.note("features: " + " ".join(sorted(config.available_features)))
