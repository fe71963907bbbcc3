# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The compiler, by include/lathe-c/compiler.h."""

import ctypes as c
import functools

from ._library import check, encode_path, load_library, sized

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
                ("message", _MESSAGE), ("context", c.c_void_p)]


@functools.cache
def _load_compiler():
    return load_library("lathe_compiler", ("lathe_compile",))


def compile(model, output, *, targets=("x86",), precision=None, weights=None,
            specialize=None, dump_ir=None, jobs=0, on_message=None):
    """Compiles the ONNX file or Hugging Face folder `model` into the bundle
    `output`, with the options of `lathe compile` of these names; `specialize`
    maps names of dims to sizes. `on_message(severity, text)` hears remarks, warnings and
    errors. Raises LatheError, which names the place that failed."""
    if isinstance(targets, str):
        targets = (targets, )

    def encode(text):
        return text.encode() if text else None

    options = sized(_CompileOptions)
    options.targets = (c.c_char_p * len(targets))(*map(encode, targets))
    options.num_targets = len(targets)
    options.precision, options.weights = encode(precision), encode(weights)
    sizes = [(name.encode(), size) for name, size in (specialize or {}).items()]
    options.specializations = (_Specialization * len(sizes))(*sizes)
    options.num_specializations = len(sizes)
    options.dump_directory = encode_path(dump_ir) if dump_ir else None
    options.num_jobs = jobs
    if on_message:
        options.message = _MESSAGE(
            lambda _, severity, text: on_message(_SEVERITIES[severity],
                                                 text.decode()))
    library = _load_compiler()
    check(library, library.lathe_compile(encode_path(model), encode_path(output),
                                         c.byref(options)))
