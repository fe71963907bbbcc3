# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The compiler, by include/lathe-c/compiler.h, or where only the program is there
(an archive of `make dist`), by `lathe compile`."""

import ctypes as c
import functools
import pathlib
import re
import subprocess

from ._library import (LatheError, check, encode_path, find_library, load_library,
                       sized)

_MESSAGE = c.CFUNCTYPE(None, c.c_void_p, c.c_int, c.c_char_p)
_PROGRESS = c.CFUNCTYPE(None, c.c_void_p, c.c_double, c.c_char_p)
_SEVERITIES = ("remark", "warning", "error")


class _Specialization(c.Structure):
    _fields_ = [("symbol", c.c_char_p), ("size", c.c_int64)]


class _CompileOptions(c.Structure):
    _fields_ = [("struct_size", c.c_size_t),
                ("targets", c.POINTER(c.c_char_p)), ("num_targets", c.c_size_t),
                ("precision", c.c_char_p), ("weights", c.c_char_p),
                ("specializations", c.POINTER(_Specialization)),
                ("num_specializations", c.c_size_t),
                ("dump_directory", c.c_char_p), ("num_jobs", c.c_uint32),
                ("producer", c.c_char_p), ("progress", _PROGRESS),
                ("message", _MESSAGE), ("context", c.c_void_p),
                ("attention_pattern", c.c_char_p), ("calibration", c.c_char_p),
                ("tuning", c.c_char_p), ("plain_sums", c.c_uint32)]


def _run_program(program, model, output, targets, options, on_message):
    """`options` are the command's; None, 0 and empty ones are left out."""
    command = [program, "compile", model, "-o", output,
               "--target", ",".join(targets)]
    command += [f"--{name}={value}" for name, value in options if value]
    if on_message:
        command.append("-v")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    messages = re.findall(r"^(?:lathe: )?(remark|warning|error): (.*)$",
                          done.stderr, re.MULTILINE)
    for message in messages if on_message else ():
        on_message(*message)
    if done.returncode:
        errors = [text for severity, text in messages if severity == "error"]
        raise LatheError("\n".join(errors) or done.stderr.strip() or
                         f"{program} ended with {done.returncode}")


@functools.cache
def _load_compiler():
    return load_library("lathe_compiler", ("lathe_compile",))


def compile(model, output, *, targets=("x86",), precision=None, weights=None,
            specialize=None, attention_pattern=None, calibration=None, tuning=None,
            plain_sums=False, dump_ir=None, jobs=0, on_message=None):
    """Compiles the ONNX file or Hugging Face folder `model` into the bundle
    `output`, with the options of `lathe compile` of these names; `specialize`
    maps names of dims to sizes. `on_message(severity, text)` hears remarks, warnings and
    errors. Raises LatheError, which names the place that failed."""
    if isinstance(targets, str):
        targets = (targets, )
    sizes = dict(specialize or {})
    library = pathlib.Path(find_library("lathe_compiler"))
    program = library.parents[1] / "bin" / "lathe"
    if not library.exists() and program.exists():
        _run_program(program, model, output, targets, [
            ("precision", precision), ("weights", weights), ("dump-ir", dump_ir),
            ("jobs", jobs), ("attention-pattern", attention_pattern),
            ("calibration", calibration), ("tuning", tuning),
            ("plain-sums", "true" if plain_sums else None),
            *(("specialize", f"{name}={size}") for name, size in sizes.items())
        ], on_message)
        return

    def encode(text):
        return text.encode() if text else None

    options = sized(_CompileOptions)
    options.targets = (c.c_char_p * len(targets))(*map(encode, targets))
    options.num_targets = len(targets)
    options.precision, options.weights = encode(precision), encode(weights)
    sizes = [(name.encode(), size) for name, size in sizes.items()]
    options.specializations = (_Specialization * len(sizes))(*sizes)
    options.num_specializations = len(sizes)
    options.dump_directory = encode_path(dump_ir) if dump_ir else None
    options.num_jobs = jobs
    options.attention_pattern = encode(attention_pattern)
    options.calibration = encode_path(calibration) if calibration else None
    options.tuning = encode_path(tuning) if tuning else None
    options.plain_sums = bool(plain_sums)
    if on_message:
        options.message = _MESSAGE(
            lambda _, severity, text: on_message(_SEVERITIES[severity],
                                                 text.decode()))
    library = _load_compiler()
    check(library, library.lathe_compile(encode_path(model), encode_path(output),
                                         c.byref(options)))
