# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles models and runs bundles from Python, on NumPy arrays.

    import lathe
    lathe.compile("model.onnx", "model.lathe")
    model = lathe.Model("model.lathe", threads=2)
    outputs = model.run({"input_ids": ids, "attention_mask": mask})

On a GPU, inputs may be tensors of PyTorch or of any library that knows DLPack,
and outputs stay there, without copies:

    model = lathe.Model("model.lathe", device="cuda")
    y = torch.from_dlpack(model.run({"x": x}, on_device=True)["y"])

A thin layer over the C API (include/lathe-c) by ctypes: nothing to build. The
libraries are found beside $LATHE_LIBRARY, in $LATHE_BUILD/lib, or where this
package came with them: an archive's lib, the checkout's build/lib. The compiler's
is loaded by the first compilation only.
"""

import collections.abc
import ctypes as c

import numpy as np

from . import _dlpack
from ._library import LatheError, check, encode_path, load_library, sized
from .compiler import compile  # pylint: disable=redefined-builtin

__all__ = ["DeviceArray", "Model", "LatheError", "compile"]

_MAX_RANK = 16
# By the numbers of lathe_dtype_t.
_DTYPES = {
    1: np.dtype(np.bool_), 2: np.dtype(np.int8), 3: np.dtype(np.uint8),
    4: np.dtype(np.int16), 5: np.dtype(np.uint16), 6: np.dtype(np.int32),
    7: np.dtype(np.uint32), 8: np.dtype(np.int64), 9: np.dtype(np.uint64),
    10: np.dtype(np.float16), 12: np.dtype(np.float32), 13: np.dtype(np.float64),
}
try:  # NumPy itself has neither bf16 nor floats of 8 bits.
    import ml_dtypes
    _DTYPES[11] = np.dtype(ml_dtypes.bfloat16)
    _DTYPES[14] = np.dtype(ml_dtypes.float8_e4m3fn)
    _DTYPES[15] = np.dtype(ml_dtypes.float8_e5m2)
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
                ("guard", c.c_uint32), ("adopt_context", c.c_uint32),
                ("reserved", c.c_uint32)]


class _RunOptions(c.Structure):
    _fields_ = [("struct_size", c.c_size_t), ("entry", c.c_size_t),
                ("profile", c.c_void_p), ("device_results", c.c_uint32),
                ("stream", c.c_void_p), ("device_ns", c.POINTER(c.c_uint64)),
                ("enqueue", c.c_uint32), ("reserved", c.c_uint32)]


def _load_library():
    library = load_library("lathe_runtime", (
        "lathe_bundle_open", "lathe_bundle_entry", "lathe_bundle_input",
        "lathe_bundle_output", "lathe_bundle_find_entry",
        "lathe_model_create", "lathe_model_run", "lathe_model_run_into"))
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
        if device is not None and not (isinstance(device, str) and device and
                                       "\0" not in device):
            raise LatheError(f"device is {device!r}; it is a name as in 'cuda:1', "
                             "or None")
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

    def run(self, inputs, on_device=False, stream=None):
        """Maps names to arrays, in and out. Arrays of another dtype, a missing
        or an unknown name are errors; nothing is converted. Inputs that are in
        the memory of the model's device (PyTorch's, by DLPack) are used there.
        With `on_device` outputs stay there, as a DeviceArray each. The run
        begins after what is in `stream`, the number of a stream of the driver;
        None is the default one, which waits for where the inputs come from."""
        return self.bind(inputs, on_device=on_device, stream=stream).run()

    def bind(self, inputs, outputs=None, on_device=False, stream=None):
        """The same inputs for many runs: what a benchmark times. The arrays may
        be written to between runs, those of a device in `stream` or in one that
        it waits for; they are not copied if they are contiguous. `outputs` maps
        all outputs to arrays that they are written to."""
        return _Binding(self, inputs, outputs, on_device, stream)

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
            raise LatheError("an output of bf16 or of 8-bit floats needs the "
                             "package ml_dtypes")
        if 0 in shape:
            return np.empty(shape, dtype)
        size = int(np.prod(shape)) * dtype.itemsize
        raw = (c.c_char * size).from_address(tensor.data)
        return np.frombuffer(raw, dtype).reshape(shape).copy()


class DeviceArray:
    """An output in the memory of a device. PyTorch takes it without a copy, by
    torch.from_dlpack. Once nobody has it, later runs write there, after what is
    in their `stream`: keep it until the work of other streams is done."""

    def __init__(self, results, tensor):
        self._results, self._tensor = results, tensor
        self.shape = tuple(tensor.dims[i] for i in range(tensor.rank))

    def __dlpack_device__(self):
        return self._tensor.memory, self._tensor.device_index

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None,
                   copy=None):
        # The run is done: any stream may read it.
        if copy or dl_device not in (None, self.__dlpack_device__()):
            raise BufferError("an output is lent where it is, without a copy")
        return _dlpack.lend(self, self._tensor.data, self._tensor.dtype,
                            self.shape, self.__dlpack_device__())


class _Results:
    """The outputs of a run, given back to the model at the end."""

    def __init__(self, model, handle):
        self.model, self.handle = model, handle

    def __del__(self):
        self.model._library.lathe_results_destroy(self.handle)

    def __getitem__(self, index):
        return DeviceArray(self, self.model._library.lathe_results_tensor(
            self.handle, c.c_size_t(index)).contents)


_DEFAULT_STREAM = 1  # CU_STREAM_LEGACY


class _Binding:
    """A model with inputs, prepared for calls."""

    def __init__(self, model, inputs, outputs, on_device, stream):
        names = [name for name, _ in model.inputs]
        self._model, self._handle = model, c.c_void_p()
        self._stream = stream or _DEFAULT_STREAM
        self._arrays = []
        self._inputs = self._wrap_all(inputs, names, "input")
        options = sized(_RunOptions)
        options.entry = model._entry
        options.device_results = on_device
        self._on_device = on_device
        given = (c.c_size_t(len(names)), self._inputs)
        self._outputs = outputs
        if outputs is None:
            given += (c.byref(self._handle),)
            self._function = model._library.lathe_model_run
        else:
            names = [name for name, _ in model.outputs]
            self._targets = self._wrap_all(outputs, names, "output")
            given += (c.c_size_t(len(names)), self._targets)
            self._function = model._library.lathe_model_run_into
        self._given = given
        self._arguments = (model._model, c.byref(options), *given)
        # Also for results: what is queued may still read the memory they get.
        tensors = [*self._inputs, *([] if outputs is None else self._targets)]
        if on_device or any(tensor.memory for tensor in tensors):
            options.stream = self._stream
        self._destroy = model._library.lathe_results_destroy

    def run(self):
        """Runs and returns the outputs by name."""
        check(self._model._library, self._function(*self._arguments))
        if self._outputs is not None:
            return self._outputs
        names = [name for name, _ in self._model.outputs]
        if self._on_device:
            results = _Results(self._model, c.c_void_p(self._handle.value))
            return {name: results[i] for i, name in enumerate(names)}
        try:
            return {name: self._model._copy(self._handle, i)
                    for i, name in enumerate(names)}
        finally:
            self._destroy(self._handle)

    def __call__(self):
        """Runs and drops the outputs: no more than the C API takes."""
        check(self._model._library, self._function(*self._arguments))
        if self._outputs is None:
            self._destroy(self._handle)

    def enqueue(self, stream=None):
        """Queues a run between what is in `stream` and what comes there later,
        and returns. Inputs and outputs must be in the device's memory. Keep the
        model until the run is done. In a capture of `stream`: run once before,
        and keep the model as long as the graph."""
        if self._outputs is None:
            raise LatheError("enqueue: no outputs were bound")
        # Of this call: other threads may run the binding meanwhile.
        options = sized(_RunOptions)
        options.entry, options.enqueue = self._model._entry, 1
        options.stream = stream or self._stream
        check(self._model._library,
              self._function(self._model._model, c.byref(options), *self._given))

    def _wrap_all(self, arrays, names, what):
        if not isinstance(arrays, collections.abc.Mapping):
            raise LatheError(f"{what}s must be a dict of names to arrays, not "
                             f"{type(arrays).__name__}; the model takes "
                             f"{', '.join(names)}")
        if unknown := set(arrays) - set(names):
            raise LatheError(f"no {what} is called {sorted(unknown)[0]!r}; "
                             f"there are: {', '.join(names)}")
        if missing := [name for name in names if name not in arrays]:
            raise LatheError(f"{what} {missing[0]!r} is missing")
        wrap = self._wrap if what == "input" else self._wrap_target
        return (_Tensor * len(names))(*(wrap(name, arrays[name])
                                        for name in names))

    def _wrap(self, name, array):
        if _dlpack.is_on_device(array):
            return self._wrap_device(name, array)
        return self._wrap_host(name, np.asarray(array, order="C"))

    def _wrap_target(self, name, array):
        if _dlpack.is_on_device(array):
            return self._wrap_device(name, array)
        if not (isinstance(array, np.ndarray) and array.flags.c_contiguous and
                array.flags.writeable):
            raise LatheError(f"output {name!r} must be a writable, contiguous "
                             "array of NumPy, or in a device's memory")
        return self._wrap_host(name, array)

    def _wrap_host(self, name, array):
        if array.dtype not in _NUMBERS:
            raise LatheError(f"{name!r}: arrays of {array.dtype} have no dtype "
                             "in Lathe")
        self._arrays.append(array)
        dims = (c.c_int64 * array.ndim)(*array.shape)
        return _Tensor(array.ctypes.data, _NUMBERS[array.dtype], array.ndim,
                       c.cast(dims, c.POINTER(c.c_int64)))

    def _wrap_device(self, name, array):
        borrowed = _dlpack.borrow(name, array, self._stream)
        self._arrays.append((borrowed, array))
        dims = (c.c_int64 * len(borrowed.shape))(*borrowed.shape)
        return _Tensor(borrowed.data, borrowed.number, len(borrowed.shape),
                       c.cast(dims, c.POINTER(c.c_int64)), borrowed.memory,
                       borrowed.index)
