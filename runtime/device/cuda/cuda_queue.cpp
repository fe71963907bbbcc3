// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A stream, memory in its order, events, and graphs captured from it.

#include "runtime/device/cuda/cuda_device.h"

namespace lathe::rt::cuda {

namespace {
class CudaQueue final : public Queue {
public:
  CudaQueue(const Allocator &allocator, const Gpu &gpu)
      : allocator(allocator), gpu(gpu) {}
  ~CudaQueue();

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

Status CudaQueue::create() {
  Current current(gpu);
  LATHE_TRY(current.status());
  LATHE_TRY(gpu.driver.check(
      gpu.driver.createStream(&stream, streamNonBlocking), "cuStreamCreate"));
  launched = stream;
  return gpu.driver.check(gpu.driver.createEvent(&others, eventWithoutTime),
                          "cuEventCreate");
}

CudaQueue::~CudaQueue() {
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

Status CudaQueue::allocate(uint64_t size, void **memory) {
  Current current(gpu);
  LATHE_TRY(current.status());
  size = size ? size : 1;
  Address address = 0;
  Status status =
      gpu.hasPools
          ? gpu.driver.check(gpu.driver.allocateAsync(&address, size, stream),
                             "cuMemAllocAsync")
          : gpu.driver.check(gpu.driver.allocate(&address, size), "cuMemAlloc");
  if (status.failed())
    return annotate(static_cast<Status &&>(status), "%llu bytes on the device",
                    static_cast<unsigned long long>(size));
  *memory = reinterpret_cast<void *>(address);
  return ok();
}

void CudaQueue::deallocate(void *memory) {
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

Status CudaQueue::allocateStaging(uint64_t size, void **memory) {
  Current current(gpu);
  LATHE_TRY(current.status());
  return gpu.driver.check(gpu.driver.allocateHost(memory, size ? size : 1),
                          "cuMemAllocHost");
}

void CudaQueue::deallocateStaging(void *memory) {
  if (!memory)
    return;
  Current current(gpu);
  gpu.driver.deallocateHost(memory);
}

Status CudaQueue::copy(void *to, const void *from, uint64_t size, Copy way) {
  Current current(gpu);
  LATHE_TRY(current.status());
  switch (way) {
  case Copy::ToDevice:
    return gpu.driver.check(
        gpu.driver.copyToDevice(addressOf(to), from, size, launched),
        "cuMemcpyHtoDAsync");
  case Copy::ToHost:
    return gpu.driver.check(
        gpu.driver.copyToHost(to, addressOf(from), size, launched),
        "cuMemcpyDtoHAsync");
  case Copy::OnDevice:
    break;
  }
  return gpu.driver.check(
      gpu.driver.copyOnDevice(addressOf(to), addressOf(from), size, launched),
      "cuMemcpyDtoDAsync");
}

//===----------------------------------------------------------------------===//
// Order and time
//===----------------------------------------------------------------------===//

Status CudaQueue::wait() {
  Current current(gpu);
  LATHE_TRY(current.status());
  return gpu.driver.check(gpu.driver.synchronizeStream(stream),
                          "cuStreamSynchronize");
}

/// A run in a capture of the host program is launched into its stream: the
/// kernels of runs in a row overlap there, with nothing to wait for in between.
/// This stream becomes a part of the capture all the same, which says how long
/// that takes, and is joined before it has anything to do.
Status CudaQueue::follow(void *other) {
  bool isCaptured = false;
  LATHE_TRY(isCapturing(other, &isCaptured));
  LATHE_TRY(order(other, stream));
  if (!isCaptured)
    return ok();
  LATHE_TRY(order(stream, other));
  launched = static_cast<Stream>(other);
  return ok();
}

Status CudaQueue::lead(void *other) {
  if (launched == stream)
    return order(stream, other);
  launched = stream;
  return ok();
}

/// What comes to `after` waits for what is in `before`.
Status CudaQueue::order(void *before, void *after) {
  Current current(gpu);
  LATHE_TRY(current.status());
  LATHE_TRY(gpu.driver.check(
      gpu.driver.recordEvent(others, static_cast<Stream>(before)),
      "cuEventRecord"));
  return gpu.driver.check(
      gpu.driver.waitForEvent(static_cast<Stream>(after), others, 0),
      "cuStreamWaitEvent");
}

Status CudaQueue::isCapturing(void *other, bool *answer) {
  Current current(gpu);
  LATHE_TRY(current.status());
  int capture = 0;
  LATHE_TRY(
      gpu.driver.check(gpu.driver.isCapturing(other ? other : stream, &capture),
                       "cuStreamIsCapturing"));
  *answer = capture != 0;
  return ok();
}

Status CudaQueue::event(uint32_t number, Event *result) {
  if (number >= events.size()) {
    Array<Event> larger;
    LATHE_TRY(larger.allocate(allocator, 2 * size_t(number) + 2));
    for (size_t i = 0; i < events.size(); ++i)
      larger[i] = events[i];
    events = static_cast<Array<Event> &&>(larger);
  }
  if (!events[number])
    LATHE_TRY(
        gpu.driver.check(gpu.driver.createEvent(&events[number], eventDefault),
                         "cuEventCreate"));
  *result = events[number];
  return ok();
}

Status CudaQueue::mark(uint32_t number) {
  Current current(gpu);
  LATHE_TRY(current.status());
  Event mine;
  LATHE_TRY(event(number, &mine));
  return gpu.driver.check(gpu.driver.recordEvent(mine, stream),
                          "cuEventRecord");
}

Status CudaQueue::waitFor(uint32_t number) {
  Current current(gpu);
  LATHE_TRY(current.status());
  return gpu.driver.check(gpu.driver.synchronizeEvent(events[number]),
                          "cuEventSynchronize");
}

Status CudaQueue::elapsed(uint32_t from, uint32_t to, uint64_t *ns) {
  Current current(gpu);
  LATHE_TRY(current.status());
  float milliseconds = 0;
  LATHE_TRY(gpu.driver.check(
      gpu.driver.elapsedTime(&milliseconds, events[from], events[to]),
      "cuEventElapsedTime"));
  *ns =
      milliseconds > 0 ? static_cast<uint64_t>(double(milliseconds) * 1e6) : 0;
  return ok();
}

//===----------------------------------------------------------------------===//
// Graphs
//===----------------------------------------------------------------------===//

Status CudaQueue::beginRecording() {
  Current current(gpu);
  LATHE_TRY(current.status());
  // Other threads may go on allocating and waiting meanwhile.
  return gpu.driver.check(gpu.driver.beginCapture(stream, captureThreadLocal),
                          "cuStreamBeginCapture");
}

Status CudaQueue::endRecording(void **recording) {
  Current current(gpu);
  LATHE_TRY(current.status());
  Graph graph = nullptr;
  LATHE_TRY(gpu.driver.check(gpu.driver.endCapture(stream, &graph),
                             "cuStreamEndCapture"));
  GraphExec executable = nullptr;
  Status status = gpu.driver.check(
      gpu.driver.instantiateGraph(&executable, graph, 0), "cuGraphInstantiate");
  gpu.driver.destroyGraph(graph);
  if (!status.failed())
    *recording = executable;
  return status;
}

Status CudaQueue::replay(void *recording) {
  Current current(gpu);
  LATHE_TRY(current.status());
  return gpu.driver.check(gpu.driver.launchGraph(recording, stream),
                          "cuGraphLaunch");
}

void CudaQueue::dropRecording(void *recording) {
  if (!recording)
    return;
  Current current(gpu);
  gpu.driver.destroyGraphExec(recording);
}

//===----------------------------------------------------------------------===//
// For the other files of this device
//===----------------------------------------------------------------------===//

Stream streamOf(const Queue &queue) {
  return static_cast<const CudaQueue &>(queue).getStream();
}

Status createQueue(const Allocator &allocator, const Gpu &gpu, Queue **result) {
  CudaQueue *queue;
  LATHE_TRY(newObject(allocator, &queue, gpu));
  Status status = queue->create();
  if (status.failed())
    queue->destroy();
  else
    *result = queue;
  return status;
}

} // namespace lathe::rt::cuda
