# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Where the shared libraries are, and their status as an exception."""

import ctypes as c
import os
import pathlib


class LatheError(RuntimeError):
    """What a status says."""


def find_library(name):
    """The path of lib`name`.so; $LATHE_LIBRARY is the runtime's, and the others
    are beside it."""
    if path := os.environ.get("LATHE_LIBRARY"):
        path = pathlib.Path(path)
        runtime = path.name.startswith(f"lib{name}.so")
        return str(path if runtime else path.with_name(f"lib{name}.so"))
    # Of an archive, or of a checkout.
    root = pathlib.Path(__file__).resolve().parents[2]
    is_archive = (root / "lib" / "liblathe_runtime.so").exists()
    build = os.environ.get("LATHE_BUILD", root if is_archive else root / "build")
    return str(pathlib.Path(build) / "lib" / f"lib{name}.so")


def load_library(name, statuses):
    """Loads lib`name`.so; the functions called `statuses` return a status."""
    try:
        library = c.CDLL(find_library(name))
    except OSError as error:
        raise LatheError(f"{error}; $LATHE_LIBRARY or $LATHE_BUILD names "
                         "another place") from error
    library.lathe_status_message.restype = c.c_char_p
    for function in statuses:
        getattr(library, function).restype = c.c_void_p
    return library


def check(library, status):
    """Raises what `status` says, and frees it."""
    if not status:
        return
    status = c.c_void_p(status)
    message = library.lathe_status_message(status).decode()
    library.lathe_status_destroy(status)
    raise LatheError(message)


def encode_path(path):
    """`path` for C, where a NUL would end it."""
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise LatheError(f"no path holds a NUL: {path!r}")
    return encoded


def sized(struct):
    """An option or info struct that says how large it is."""
    return struct(struct_size=c.sizeof(struct))
