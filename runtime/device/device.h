// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the executor asks of a device. A device is one folder beside cpu/ and a
// line in device.cpp; runtime/conformance holds the tests that each must pass.
//
//   DeviceType   a kind of device that this library knows: static
//   Device       one of them, opened for a model
//   Executable   the code of one variant, loaded
//   Queue        memory, copies and launches of a device that has memory of its
//                own, in order; host devices have none, and the executor hands
//                them host addresses and waits for nothing

#ifndef LATHE_RUNTIME_DEVICE_DEVICE_H
#define LATHE_RUNTIME_DEVICE_DEVICE_H

#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/bundle/schema.h"

namespace lathe::rt {

//===----------------------------------------------------------------------===//
// Queues
//===----------------------------------------------------------------------===//

/// Memory of a device and work on it. What is queued runs in order, and most of
/// it after the call has returned; so errors of it may come from later calls.
/// Used by one thread at a time, but by different ones over time.
class Queue {
public:
  /// Memory at a multiple of 256. It may be used by what is queued from now on.
  virtual Status allocate(uint64_t size, void **memory) = 0;
  /// Takes it back once all that is queued is done. NULL is allowed.
  virtual void deallocate(void *memory) = 0;

  /// Host memory that copies reach fast, at a multiple of 64.
  virtual Status allocateStaging(uint64_t size, void **memory) = 0;
  virtual void deallocateStaging(void *memory) = 0;

  enum class Copy { ToDevice, ToHost, OnDevice };
  /// Copies bytes. From the host: `from` may be used again on return, unless it
  /// is staging memory. To the host: `to` has the bytes after wait().
  virtual Status copy(void *to, const void *from, uint64_t size, Copy way) = 0;

  /// Returns when all that was queued is done, or has failed.
  virtual Status wait() = 0;
  /// What is queued from now on runs after what is in `stream` by now, a stream
  /// of the device's driver.
  virtual Status follow(void *stream) = 0;
  /// What is queued in `stream` from now on runs after what is here by now.
  virtual Status lead(void *stream) = 0;
  /// Are the stream's launches not run but kept, by the host program? So are
  /// ours between follow and lead: nothing can be recorded, replayed or waited
  /// for then. NULL asks for the queue's own stream.
  virtual Status isCapturing(void *stream, bool *answer) = 0;

  /// Points in time, numbered by the caller from 0 on; a number may be used
  /// again.
  virtual Status mark(uint32_t number) = 0;
  /// Returns when the queue has come to the mark.
  virtual Status waitFor(uint32_t number) = 0;
  /// Nanoseconds between two marks that the queue has come to.
  virtual Status elapsed(uint32_t from, uint32_t to, uint64_t *ns) = 0;

  /// Launches between these two calls are not run but kept: replay does them
  /// all at once. Nothing else may be queued meanwhile. After an error there is
  /// no recording, and the queue is as it was.
  virtual Status beginRecording() = 0;
  virtual Status endRecording(void **recording) = 0;
  virtual Status replay(void *recording) = 0;
  /// Takes it back once what is queued is done. NULL is allowed.
  virtual void dropRecording(void *recording) = 0;

  virtual void destroy() = 0;

protected:
  ~Queue() = default;
};

//===----------------------------------------------------------------------===//
// Code
//===----------------------------------------------------------------------===//

/// A kernel call with everything known.
struct LaunchArgs {
  void *const *buffers;  ///< what is read, then what is written
  const uint64_t *sizes; ///< of the buffers, in bytes
  const int64_t *scalars;
  int64_t grid[3]; ///< none is negative, and the product fits int64
  int64_t flops;   ///< an estimate, or -1
  int64_t bytes;   ///< of all operands
};

/// The code of one variant, loaded. Immutable: threads share it.
class Executable {
public:
  /// Called once for each kernel when a model is created. `index` is what
  /// launch takes; the table, which has been verified, stays.
  virtual Status bindKernel(uint32_t index, const bundle::Kernel &kernel) = 0;

  /// Runs a kernel: without a queue to its end, else after what is queued.
  /// Returns in `threads` how many threads it was offered to.
  virtual Status launch(Queue *queue, uint32_t kernel, const LaunchArgs &args,
                        uint32_t *threads) const = 0;

  virtual void destroy() = 0;

protected:
  ~Executable() = default;
};

//===----------------------------------------------------------------------===//
// Devices
//===----------------------------------------------------------------------===//

struct DeviceOptions {
  int32_t index = 0;       ///< which of several
  uint32_t numThreads = 0; ///< of a host; 0: one for each core
  bool adoptContext = false;
};

/// One device, for one model. Immutable once features are enabled.
class Device {
public:
  lathe_memory_t memory = LATHE_MEMORY_HOST; ///< that kernels work in
  int32_t index = 0;
  uint32_t numThreads = 1; ///< that work on a run
  Text<128> description;   ///< the product

  virtual bool hasFeature(const char *feature) const = 0;
  /// Makes a feature of the variant that was chosen usable.
  virtual Status enableFeature(const char *feature) = 0;
  /// Loads a code segment.
  virtual Status load(Span<const uint8_t> code, size_t numKernels,
                      Executable **executable) = 0;
  /// NULL if the device works in host memory.
  virtual Status createQueue(Queue **queue) = 0;

  /// After all that was made of it.
  virtual void destroy() = 0;

protected:
  ~Device() = default;
};

/// One kind of device.
struct DeviceType {
  const char *name;      ///< in lathe_model_options_t, "cpu"
  const char *target;    ///< in the bundle's variants, "x86"
  lathe_memory_t memory; ///< that kernels work in
  /// Fails with LATHE_INCOMPATIBLE if there is no driver, with LATHE_NOT_FOUND
  /// if there is no such device; the message says what is missing.
  Status (*open)(const Allocator &allocator, const DeviceOptions &options,
                 Device **device);
  /// How many there are, or why there are none.
  Status (*count)(uint32_t *count);
  /// Fills in product, memory and its size.
  Status (*describe)(uint32_t index, lathe_device_info_t *info);
};

/// All devices of this library, the preferred first.
Span<const DeviceType *const> deviceTypes();

/// The device that runs a bundle's target, or NULL.
const DeviceType *findDeviceForTarget(const char *target);

/// Splits "cuda:1" and finds the type, or says which there are. `index` is -1
/// if the name has no number.
Status parseDeviceName(const char *name, const DeviceType **type,
                       int32_t *index);

} // namespace lathe::rt

#endif // LATHE_RUNTIME_DEVICE_DEVICE_H
