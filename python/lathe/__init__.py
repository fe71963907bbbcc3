# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles models and runs bundles from Python, on NumPy arrays.

    import lathe
    lathe.compile("model.onnx", "model.lathe")
    model = lathe.Model("model.lathe", threads=2)
    outputs = model.run({"input_ids": ids, "attention_mask": mask})

A thin layer over the C API (include/lathe-c) by ctypes: nothing to build. The
libraries are found beside $LATHE_LIBRARY, in $LATHE_BUILD/lib, or in the
checkout's build/lib. The compiler's is loaded by the first compilation only.
"""

import collections.abc
import ctypes as c

import numpy as np

from ._library import LatheError, check, encode_path, load_library, sized
from .compiler import compile  # pylint: disable=redefined-builtin

__all__ = ["Model", "LatheError", "compile"]

_MAX_RANK = 16
# By the numbers of lathe_dtype_t.
_DTYPES = {
    1: np.dtype(np.bool_), 2: np.dtype(np.int8), 3: np.dtype(np.uint8),
    4: np.dtype(np.int16), 5: np.dtype(np.uint16), 6: np.dtype(np.int32),
    7: np.dtype(np.uint32), 8: np.dtype(np.int64), 9: np.dtype(np.uint64),
    10: np.dtype(np.float16), 12: np.dtype(np.float32), 13: np.dtype(np.float64),
}
try:  # NumPy itself has no bf16.
    import ml_dtypes
    _DTYPES[11] = np.dtype(ml_dtypes.bfloat16)
except ImportError:
    pass
_NUMBERS = {dtype: number for number, dtype in _DTYPES.items()}


class _Tensor(c.Structure):
    _fields_ = [("data", c.c_void_p), ("dtype", c.c_int), ("rank", c.c_uint32),
                ("dims", c.POINTER(c.c_int64)), ("memory", c.c_int),
                ("device_index", c.c_int32)]


class _EntryInfo(c.Structure):
    _fields_ = [("struct_size", c.c_size_t), ("name", c.c_char_p),
                ("num_symbols", c.c_size_t), ("num_input_symbols", c.c_size_t),
                ("num_inputs", c.c_size_t), ("num_outputs", c.c_size_t)]


class _Dim(c.Structure):
    _fields_ = [("size", c.c_int64), ("text", c.c_char_p)]


class _TensorInfo(c.Structure):
    _fields_ = [("struct_size", c.c_size_t), ("name", c.c_char_p),
                ("dtype", c.c_int), ("rank", c.c_uint32),
                ("dims", c.POINTER(_Dim))]


class _ModelOptions(c.Structure):
    _fields_ = [("struct_size", c.c_size_t), ("allocator", c.c_void_p),
                ("device", c.c_char_p), ("num_threads", c.c_uint32),
                ("variant", c.c_char_p), ("alternative", c.c_uint32),
                ("guard", c.c_uint32), ("adopt_context", c.c_uint32)]


class _RunOptions(c.Structure):
    _fields_ = [("struct_size", c.c_size_t), ("entry", c.c_size_t),
                ("profile", c.c_void_p), ("device_results", c.c_uint32),
                ("stream", c.c_void_p), ("device_ns", c.POINTER(c.c_uint64))]


def _load_library():
    library = load_library("lathe_runtime", (
        "lathe_bundle_open", "lathe_bundle_entry", "lathe_bundle_input",
        "lathe_bundle_output", "lathe_bundle_find_entry",
        "lathe_model_create", "lathe_model_run"))
    library.lathe_results_tensor.restype = c.POINTER(_Tensor)
    return library


class Model:
    """A bundle on a device of this machine, ready to run. Any number of Python
    threads may run it at the same time."""

    def __init__(self, path, threads=0, variant=None, entry="main", guard=False,
                 device=None):
        """Opens the bundle at `path`. `threads` = 0 takes all cores; `variant`
        is a level as in "x86-64-v3", None the best one that fits. With `guard`
        a kernel that leaves its operands is an error; that is slow. `device` is
        "cpu", "cuda" or "cuda:1"; None takes the first that the bundle has code
        for. Arrays are copied to a device with memory of its own, and back."""
        self._bundle, self._model = c.c_void_p(), c.c_void_p()
        self._library = _load_library()
        self._call("lathe_bundle_open", encode_path(path), None,
                   c.byref(self._bundle))
        if threads < 0:
            raise LatheError(f"threads is {threads}; 0 takes all cores")
        options = sized(_ModelOptions)
        options.num_threads = threads
        options.variant = variant.encode() if variant else None
        options.device = device.encode() if device else None
        options.guard = guard
        self._call("lathe_model_create", self._bundle, c.byref(options),
                   c.byref(self._model))
        index = c.c_size_t()
        self._call("lathe_bundle_find_entry", self._bundle, entry.encode(),
                   c.byref(index))
        self._entry = index.value
        info = sized(_EntryInfo)
        self._call("lathe_bundle_entry", self._bundle, index, c.byref(info))
        self.inputs = [self._describe("lathe_bundle_input", i)
                       for i in range(info.num_inputs)]
        self.outputs = [self._describe("lathe_bundle_output", i)
                        for i in range(info.num_outputs)]

    def __del__(self):
        if library := getattr(self, "_library", None):
            library.lathe_model_destroy(self._model)
            library.lathe_bundle_destroy(self._bundle)

    def run(self, inputs):
        """Maps names to arrays, in and out. Arrays of another dtype, a missing
        or an unknown name are errors; nothing is converted."""
        return self.bind(inputs).run()

    def bind(self, inputs):
        """The same inputs for many runs: what a benchmark times. The arrays may
        be written to between runs; they are not copied if they are contiguous."""
        return _Binding(self, inputs)

    def _call(self, name, *arguments):
        check(self._library, getattr(self._library, name)(*arguments))

    def _describe(self, getter, index):
        info = sized(_TensorInfo)
        self._call(getter, self._bundle, c.c_size_t(self._entry),
                   c.c_size_t(index), c.byref(info))
        dims = tuple(info.dims[i].text.decode() for i in range(info.rank))
        return info.name.decode(), dims

    def _copy(self, results, index):
        tensor = self._library.lathe_results_tensor(
            results, c.c_size_t(index)).contents
        shape = [tensor.dims[i] for i in range(tensor.rank)]
        dtype = _DTYPES.get(tensor.dtype)
        if dtype is None:
            raise LatheError("an output of bf16 needs the package ml_dtypes")
        if 0 in shape:
            return np.empty(shape, dtype)
        size = int(np.prod(shape)) * dtype.itemsize
        raw = (c.c_char * size).from_address(tensor.data)
        return np.frombuffer(raw, dtype).reshape(shape).copy()


class _Binding:
    """A model with inputs, prepared for calls."""

    def __init__(self, model, inputs):
        names = [name for name, _ in model.inputs]
        if not isinstance(inputs, collections.abc.Mapping):
            raise LatheError("inputs must be a dict of names to arrays, not "
                             f"{type(inputs).__name__}; the model takes "
                             f"{', '.join(names)}")
        if unknown := set(inputs) - set(names):
            raise LatheError(f"no input is called {sorted(unknown)[0]!r}; "
                             f"there are: {', '.join(names)}")
        if missing := [name for name in names if name not in inputs]:
            raise LatheError(f"input {missing[0]!r} is missing")
        self._arrays = [np.asarray(inputs[name], order="C") for name in names]
        tensors = (_Tensor * len(names))(*map(self._wrap, names, self._arrays))
        options = sized(_RunOptions)
        options.entry = model._entry
        self._model, self._results = model, c.c_void_p()
        self._arguments = (model._model, c.byref(options),
                           c.c_size_t(len(names)), tensors,
                           c.byref(self._results))
        self._function = model._library.lathe_model_run
        self._destroy = model._library.lathe_results_destroy

    def run(self):
        """Runs and returns the outputs by name."""
        self._model._call("lathe_model_run", *self._arguments)
        try:
            return {name: self._model._copy(self._results, i)
                    for i, (name, _) in enumerate(self._model.outputs)}
        finally:
            self._destroy(self._results)

    def __call__(self):
        """Runs and drops the outputs: no more than the C API takes."""
        check(self._model._library, self._function(*self._arguments))
        self._destroy(self._results)

    @staticmethod
    def _wrap(name, array):
        if array.dtype not in _NUMBERS:
            raise LatheError(f"input {name!r}: arrays of {array.dtype} have no "
                             "dtype in Lathe")
        dims = (c.c_int64 * array.ndim)(*array.shape)
        return _Tensor(array.ctypes.data, _NUMBERS[array.dtype], array.ndim,
                       c.cast(dims, c.POINTER(c.c_int64)))
