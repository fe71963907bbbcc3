# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Arrays of other libraries in a device's memory, and ours for them, by DLPack
(github.com/dmlc/dlpack, version 0.8 of its structs, with the types of 1.1) without copies."""

import ctypes as c

from ._library import LatheError

# Of DLDeviceType, and of lathe_memory_t: memory of GPUs.
GPUS = (2, 10)  # CUDA, ROCm
# (code, bits) of DLDataType by the numbers of lathe_dtype_t.
_TYPES = {1: (6, 8), 2: (0, 8), 3: (1, 8), 4: (0, 16), 5: (1, 16), 6: (0, 32),
          7: (1, 32), 8: (0, 64), 9: (1, 64), 10: (2, 16), 11: (4, 16),
          12: (2, 32), 13: (2, 64), 14: (10, 8), 15: (12, 8)}
_NUMBERS = {kind: number for number, kind in _TYPES.items()}
_NAME = b"dltensor"


class _DLTensor(c.Structure):
    _fields_ = [("data", c.c_void_p), ("device_type", c.c_int),
                ("device_id", c.c_int), ("ndim", c.c_int), ("code", c.c_uint8),
                ("bits", c.c_uint8), ("lanes", c.c_uint16),
                ("shape", c.POINTER(c.c_int64)),
                ("strides", c.POINTER(c.c_int64)), ("byte_offset", c.c_uint64)]


class _DLManagedTensor(c.Structure):
    pass


_Deleter = c.CFUNCTYPE(None, c.c_void_p)
_DLManagedTensor._fields_ = [("tensor", _DLTensor), ("context", c.c_void_p),
                             ("deleter", _Deleter)]

_api = c.pythonapi
_api.PyCapsule_New.restype = c.py_object
_api.PyCapsule_New.argtypes = [c.c_void_p, c.c_char_p, c.c_void_p]
_api.PyCapsule_IsValid.argtypes = [c.c_void_p, c.c_char_p]
_api.PyCapsule_GetPointer.restype = c.c_void_p
_api.PyCapsule_GetPointer.argtypes = [c.c_void_p, c.c_char_p]


class Borrowed:
    """A tensor of another library: where it is, for as long as this lives."""

    def __init__(self, name, capsule):
        self._capsule = capsule  # Nobody takes it over: its end gives it back.
        address = _api.PyCapsule_GetPointer(id(capsule), _NAME)
        tensor = _DLManagedTensor.from_address(address).tensor
        self.shape = tuple(tensor.shape[i] for i in range(tensor.ndim))
        self.number = _NUMBERS.get((tensor.code, tensor.bits))
        if self.number is None or tensor.lanes != 1:
            raise LatheError(f"{name!r}: DLPack type {tensor.code} of "
                             f"{tensor.bits} bits has no dtype in Lathe")
        if tensor.strides and 0 not in self.shape:
            expected = 1
            for size, stride in zip(reversed(self.shape),
                                    (tensor.strides[i]
                                     for i in reversed(range(tensor.ndim)))):
                if size != 1 and stride != expected:
                    raise LatheError(f"{name!r} is not contiguous")
                expected *= size
        self.data = (tensor.data or 0) + tensor.byte_offset
        self.memory, self.index = tensor.device_type, tensor.device_id


def is_on_device(array):
    """Is it in memory of a GPU? Arrays of NumPy and lists are not."""
    where = getattr(array, "__dlpack_device__", None)
    return where is not None and int(where()[0]) in GPUS


def borrow(name, array, stream):
    """The tensor as `stream` sees it once what computes it is done there."""
    return Borrowed(name, array.__dlpack__(stream=stream))


# What was handed out, by the address of its struct, until it is given back.
_lent = {}


@_Deleter
def _give_back(address):
    _lent.pop(address, None)


@c.CFUNCTYPE(None, c.c_void_p)
def _end_capsule(capsule):
    # Who takes a tensor over renames the capsule, and gives it back later.
    if _api.PyCapsule_IsValid(capsule, _NAME):
        _give_back(_api.PyCapsule_GetPointer(capsule, _NAME))


def lend(owner, data, number, shape, where):
    """A capsule for a tensor that lives as long as `owner`."""
    managed = _DLManagedTensor()
    dims = (c.c_int64 * max(1, len(shape)))(*shape)
    code, bits = _TYPES[number]
    managed.tensor = _DLTensor(data, *where, len(shape), code, bits, 1, dims,
                               None, 0)
    managed.deleter = _give_back
    address = c.addressof(managed)
    _lent[address] = (managed, dims, owner)
    return _api.PyCapsule_New(address, _NAME,
                              c.cast(_end_capsule, c.c_void_p))
