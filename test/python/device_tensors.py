# RUN: rm -rf %t && mkdir %t
# RUN: %build_root/test/runtime/write-test-bundle %t/m.lathe fake-gpu
# RUN: %build_root/test/runtime/write-test-bundle %t/hip.lathe fake-hip
# RUN: cd %t && env LD_LIBRARY_PATH=%build_root/test/runtime/fake-driver \
# RUN:   %python %s m.lathe cuda 2
# RUN: cd %t && env LD_LIBRARY_PATH=%build_root/test/runtime/fake-hip \
# RUN:   %python %s hip.lathe hip 10
# UNSUPPORTED: sanitize
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Model.run and bind on tensors in a device's memory, which here is none
(test/unit/runtime/FakeDriver.h): DLPack out of one run and into the next."""

import gc
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.environ["LATHE_SOURCE"], "python"))
import lathe  # noqa: E402
from lathe import _dlpack  # noqa: E402

bundle, device, memory = sys.argv[1:]
model = lathe.Model(bundle, device=device)
x = np.arange(10, dtype=np.float32) / 2**100
want = np.arange(10, dtype=np.float32) + 1


def run(inputs):
    return model.run({"x": inputs})["y"]


def refuse(text, function, *arguments, **options):
    try:
        function(*arguments, **options)
    except lathe.LatheError as error:
        assert text in str(error), error
    else:
        raise AssertionError(f"expected an error: {text}")


# An output that stays is an input as good as an array of the host's.
np.testing.assert_array_equal(run(x), want)
kept = model.run({"x": x}, on_device=True)["y"]
assert kept.shape == (10, ) and kept.__dlpack_device__() == (int(memory), 0)
np.testing.assert_array_equal(run(kept), run(want))

# Into tensors of the caller's, at once and queued.
target = model.run({"x": x}, on_device=True)["y"]
binding = model.bind({"x": kept}, outputs={"y": target})
assert binding.run()["y"] is target
for _ in range(4):
    binding.enqueue()
np.testing.assert_array_equal(run(target), run(run(want)))
host = np.empty(10, np.float32)
model.bind({"x": x}, outputs={"y": host}).run()
np.testing.assert_array_equal(host, want)

# What was lent lives as long as somebody has it: the bound tensors alone.
del kept, target
gc.collect()
assert len(_dlpack._lent) == 2
del binding
gc.collect()
assert not _dlpack._lent


class Strided:
    """A tensor of somebody's with gaps."""

    def __init__(self, array):
        self._array = array

    def __dlpack_device__(self):
        return 2, 0

    def __dlpack__(self, **_):
        managed = _dlpack._DLManagedTensor()
        self.dims = (_dlpack.c.c_int64 * 1)(5)
        self.strides = (_dlpack.c.c_int64 * 1)(2)
        managed.tensor = _dlpack._DLTensor(
            self._array.ctypes.data, 2, 0, 1, 2, 32, 1, self.dims, self.strides, 0)
        self.managed = managed
        return _dlpack._api.PyCapsule_New(_dlpack.c.addressof(managed),
                                          b"dltensor", None)


refuse("'x' is not contiguous", run, Strided(x))
refuse("output 'y' must be a writable, contiguous", model.bind, {"x": x},
       outputs={"y": [1.]})
refuse("no outputs were bound", model.bind({"x": x}).enqueue)
refuse("input 0 is not in the device's memory",
       model.bind({"x": x}, outputs={"y": host}).enqueue)
refuse("output 'y' is missing", model.bind, {"x": x}, outputs={})
for device in (0, "", b"cuda", ("cuda", 0), "cuda:0\0x"):
    refuse("it is a name as in", lathe.Model, "m.lathe", device=device)
refuse("its number is ' 0'", lathe.Model, "m.lathe", device="cuda: 0")
refuse("its number is '+0'", lathe.Model, "m.lathe", device="cuda:+0")
