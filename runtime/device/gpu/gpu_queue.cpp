// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A stream, memory in its order, events, and graphs captured from it.

#include "runtime/device/gpu/gpu_device.h"

namespace lathe::rt::gpu {

namespace {
class GpuQueue final : public Queue {
public:
  GpuQueue(const Allocator &allocator, const Gpu &gpu)
      : allocator(allocator), gpu(gpu) {}
  ~GpuQueue();

  Status create();
  Stream getStream() const { return launched; }

  Status allocate(uint64_t size, void **memory) override;
  void deallocate(void *memory) override;
  Status allocateStaging(uint64_t size, void **memory) override;
  void deallocateStaging(void *memory) override;
  Status copy(void *to, const void *from, uint64_t size, Copy way) override;
  Status wait() override;
  Status follow(void *other) override;
  Status lead(void *other) override;
  Status isCapturing(void *other, bool *answer) override;
  Status mark(uint32_t number) override;
  Status waitFor(uint32_t number) override;
  Status elapsed(uint32_t from, uint32_t to, uint64_t *ns) override;
  Status beginRecording() override;
  Status endRecording(void **recording) override;
  Status replay(void *recording) override;
  void dropRecording(void *recording) override;
  void destroy() override { deleteObject(allocator, this); }

private:
  Status event(uint32_t number, Event *result);
  Status order(void *before, void *after);

  Allocator allocator;
  const Gpu &gpu;
  Stream stream = nullptr;
  Stream launched = nullptr; ///< where work goes: `stream`, or a capture's
  Event others = nullptr;    ///< between this stream and others
  Array<Event> events;       ///< by mark; NULL: not made yet
};
} // namespace

static Address addressOf(const void *memory) {
  return reinterpret_cast<uintptr_t>(memory);
}

Status GpuQueue::create() {
  Current current(gpu);
  LATHE_TRY(current.status());
  LATHE_TRY(gpu.driver.call(&Driver::createStream, &stream, streamNonBlocking));
  launched = stream;
  return gpu.driver.call(&Driver::createEvent, &others, eventWithoutTime);
}

GpuQueue::~GpuQueue() {
  Current current(gpu);
  for (Event known : events)
    if (known)
      gpu.driver.destroyEvent(known);
  if (others)
    gpu.driver.destroyEvent(others);
  if (stream)
    gpu.driver.destroyStream(stream);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Status GpuQueue::allocate(uint64_t size, void **memory) {
  Current current(gpu);
  LATHE_TRY(current.status());
  size = size ? size : 1;
  Address address = 0;
  Status status =
      gpu.hasPools
          ? gpu.driver.call(&Driver::allocateAsync, &address, size, stream)
          : gpu.driver.call(&Driver::allocate, &address, size);
  if (status.failed())
    return annotate(static_cast<Status &&>(status), "%llu bytes on the device",
                    static_cast<unsigned long long>(size));
  *memory = reinterpret_cast<void *>(address);
  return ok();
}

void GpuQueue::deallocate(void *memory) {
  if (!memory)
    return;
  Current current(gpu);
  if (gpu.hasPools)
    gpu.driver.deallocateAsync(addressOf(memory), stream);
  else {
    gpu.driver.synchronizeStream(stream);
    gpu.driver.deallocate(addressOf(memory));
  }
}

Status GpuQueue::allocateStaging(uint64_t size, void **memory) {
  Current current(gpu);
  LATHE_TRY(current.status());
  return gpu.driver.call(&Driver::allocateHost, memory, size ? size : 1, 0u);
}

void GpuQueue::deallocateStaging(void *memory) {
  if (!memory)
    return;
  Current current(gpu);
  gpu.driver.deallocateHost(memory);
}

Status GpuQueue::copy(void *to, const void *from, uint64_t size, Copy way) {
  Current current(gpu);
  LATHE_TRY(current.status());
  switch (way) {
  case Copy::ToDevice:
    return gpu.driver.call(&Driver::copyToDevice, addressOf(to), from, size,
                           launched);
  case Copy::ToHost:
    return gpu.driver.call(&Driver::copyToHost, to, addressOf(from), size,
                           launched);
  case Copy::OnDevice:
    break;
  }
  return gpu.driver.call(&Driver::copyOnDevice, addressOf(to), addressOf(from),
                         size, launched);
}

//===----------------------------------------------------------------------===//
// Order and time
//===----------------------------------------------------------------------===//

Status GpuQueue::wait() {
  Current current(gpu);
  LATHE_TRY(current.status());
  return gpu.driver.call(&Driver::synchronizeStream, stream);
}

/// A run in a capture of the host program is launched into its stream: the
/// kernels of runs in a row overlap there, with nothing to wait for in between.
/// This stream becomes a part of the capture all the same, which says how long
/// that takes, and is joined before it has anything to do.
Status GpuQueue::follow(void *other) {
  bool isCaptured = false;
  LATHE_TRY(isCapturing(other, &isCaptured));
  LATHE_TRY(order(other, stream));
  if (!isCaptured)
    return ok();
  LATHE_TRY(order(stream, other));
  launched = static_cast<Stream>(other);
  return ok();
}

Status GpuQueue::lead(void *other) {
  if (launched == stream)
    return order(stream, other);
  launched = stream;
  return ok();
}

/// What comes to `after` waits for what is in `before`.
Status GpuQueue::order(void *before, void *after) {
  Current current(gpu);
  LATHE_TRY(current.status());
  LATHE_TRY(gpu.driver.call(&Driver::recordEvent, others,
                            static_cast<Stream>(before)));
  return gpu.driver.call(&Driver::waitForEvent, static_cast<Stream>(after),
                         others, 0);
}

Status GpuQueue::isCapturing(void *other, bool *answer) {
  Current current(gpu);
  LATHE_TRY(current.status());
  int capture = 0;
  LATHE_TRY(
      gpu.driver.call(&Driver::isCapturing, other ? other : stream, &capture));
  *answer = capture != 0;
  return ok();
}

Status GpuQueue::event(uint32_t number, Event *result) {
  if (number >= events.size()) {
    Array<Event> larger;
    LATHE_TRY(larger.allocate(allocator, 2 * size_t(number) + 2));
    for (size_t i = 0; i < events.size(); ++i)
      larger[i] = events[i];
    events = static_cast<Array<Event> &&>(larger);
  }
  if (!events[number])
    LATHE_TRY(
        gpu.driver.call(&Driver::createEvent, &events[number], eventDefault));
  *result = events[number];
  return ok();
}

Status GpuQueue::mark(uint32_t number) {
  Current current(gpu);
  LATHE_TRY(current.status());
  Event mine;
  LATHE_TRY(event(number, &mine));
  return gpu.driver.call(&Driver::recordEvent, mine, stream);
}

Status GpuQueue::waitFor(uint32_t number) {
  Current current(gpu);
  LATHE_TRY(current.status());
  return gpu.driver.call(&Driver::synchronizeEvent, events[number]);
}

Status GpuQueue::elapsed(uint32_t from, uint32_t to, uint64_t *ns) {
  Current current(gpu);
  LATHE_TRY(current.status());
  float milliseconds = 0;
  LATHE_TRY(gpu.driver.call(&Driver::elapsedTime, &milliseconds, events[from],
                            events[to]));
  *ns =
      milliseconds > 0 ? static_cast<uint64_t>(double(milliseconds) * 1e6) : 0;
  return ok();
}

//===----------------------------------------------------------------------===//
// Graphs
//===----------------------------------------------------------------------===//

Status GpuQueue::beginRecording() {
  Current current(gpu);
  LATHE_TRY(current.status());
  // Other threads may go on allocating and waiting meanwhile.
  return gpu.driver.call(&Driver::beginCapture, stream, captureThreadLocal);
}

Status GpuQueue::endRecording(void **recording) {
  Current current(gpu);
  LATHE_TRY(current.status());
  Graph graph = nullptr;
  LATHE_TRY(gpu.driver.call(&Driver::endCapture, stream, &graph));
  GraphExec executable = nullptr;
  Status status =
      gpu.driver.call(&Driver::instantiateGraph, &executable, graph, 0);
  gpu.driver.destroyGraph(graph);
  if (!status.failed())
    *recording = executable;
  return status;
}

Status GpuQueue::replay(void *recording) {
  Current current(gpu);
  LATHE_TRY(current.status());
  return gpu.driver.call(&Driver::launchGraph, recording, stream);
}

void GpuQueue::dropRecording(void *recording) {
  if (!recording)
    return;
  Current current(gpu);
  gpu.driver.destroyGraphExec(recording);
}

//===----------------------------------------------------------------------===//
// For the other files of this device
//===----------------------------------------------------------------------===//

Stream streamOf(const Queue &queue) {
  return static_cast<const GpuQueue &>(queue).getStream();
}

Status createQueue(const Allocator &allocator, const Gpu &gpu, Queue **result) {
  GpuQueue *queue;
  LATHE_TRY(newObject(allocator, &queue, gpu));
  Status status = queue->create();
  if (status.failed())
    queue->destroy();
  else
    *result = queue;
  return status;
}

} // namespace lathe::rt::gpu
