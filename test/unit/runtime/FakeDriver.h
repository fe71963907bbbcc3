// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A libcuda.so.1 and a libamdhip64.so.7 for machines without a GPU: just enough
// of the drivers for runtime/device/gpu, and stricter. Memory of the device
// cannot be touched through its addresses; nothing queued happens before
// somebody waits for it; calls can be made to fail.
//
// Their code objects are shared objects of this machine. A kernel `name` is a
// function void name(const uint64_t *parameters, const uint32_t *grid), which
// runs all programs, with its number of parameters in `uint32_t
// name_parameters`. If there is a `uint32_t name_maps`, so many more follow,
// the addresses of FakeMaps. 2 programs of it run at once on a processor.

#ifndef LATHE_TEST_UNIT_RUNTIME_FAKEDRIVER_H
#define LATHE_TEST_UNIT_RUNTIME_FAKEDRIVER_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace lathe::test {

/// A fake driver in this process: found before any other of its name. Functions
/// have the names of gpu::Driver's members: "launch".
class FakeDriver {
public:
  /// Loads it; it stays. Aborts the test program if it is not there.
  static FakeDriver &cuda();
  static FakeDriver &hip();

  /// As at the start: no calls counted, none to fail. Memory stays.
  void reset() { resetCalls(); }
  /// The call number `after` (1: the next) of a function returns `result`, as
  /// do all calls from then on if that is a fault of a kernel. Of
  /// launch, faults come when the kernel runs.
  void fail(const char *function, int after, int result) {
    failCall(function, after, result);
  }
  int count(const char *function) { return countCalls(function); }
  /// Bytes of the device that are allocated.
  size_t live() { return liveBytes(); }
  /// Makes what comes after fail with out of memory beyond so many bytes.
  void limit(size_t bytes) { limitMemory(bytes); }

  /// One of the driver's own functions, for what host programs do.
  template <typename T> T function(const char *name) {
    return reinterpret_cast<T>(find(name));
  }

private:
  FakeDriver(const char *path, bool isHip);
  void *find(const char *name);
  void *library;
  bool isHip;
  void (*resetCalls)();
  void (*failCall)(const char *, int, int);
  int (*countCalls)(const char *);
  size_t (*liveBytes)();
  void (*limitMemory)(size_t);
};

/// The fake driver's form of a tensor map.
struct FakeMap {
  uint64_t address;
  uint64_t sizes[5];
  uint64_t strides[4]; ///< bytes
  uint32_t box[5];
  uint32_t rank, dtype, swizzle;
};

/// The kernels of commonKernels() for the fake driver, and for a real one: as
/// PTX, 16 threads a program. The fake ones include those with grids, which are
/// PTX for 9.0 and later.
const std::vector<uint8_t> &fakeKernels();
const std::vector<uint8_t> &ptxKernels();
const std::vector<uint8_t> &ptxGridKernels();

} // namespace lathe::test

#endif // LATHE_TEST_UNIT_RUNTIME_FAKEDRIVER_H
