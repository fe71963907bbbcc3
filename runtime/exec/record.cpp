// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/exec/record.h"

#include "runtime/exec/context.h"

#include <cstring>

namespace lathe::rt {

using namespace bundle;

Recordings::~Recordings() {
  for (Slot &slot : slots)
    queue->dropRecording(slot.recording);
}

Status Recordings::create(const Allocator &allocator, Queue &onto,
                          const ProgramPlan &plan) {
  queue = &onto;
  size_t longest = 0, total = 0;
  for (const RecordedRange &range : plan.ranges) {
    longest = longest < range.numWords ? range.numWords : longest;
    total += range.numWords;
  }
  LATHE_TRY(words.allocate(allocator, longest + total * capacity));
  LATHE_TRY(slots.allocate(allocator, plan.ranges.size() * capacity));
  uint64_t *next = words.data() + longest;
  for (const RecordedRange &range : plan.ranges)
    for (uint32_t i = 0; i < capacity; ++i, next += range.numWords)
      slots[range.index * capacity + i].key = next;
  return ok();
}

/// Is `a` the better one to give up? What has no recording goes first, so that
/// sizes that come once do not drive out those that come again.
static bool isLessUseful(const Recordings::Slot &a, const Recordings::Slot &b) {
  bool hasA = a.recording != nullptr, hasB = b.recording != nullptr;
  return hasA != hasB ? hasB : a.lastUse < b.lastUse;
}

Recordings::Slot &Recordings::find(const RecordedRange &range, bool *isKnown) {
  Slot *first = &slots[range.index * capacity], *oldest = first;
  size_t size = range.numWords * sizeof(uint64_t);
  *isKnown = true;
  for (Slot *slot = first; slot != first + capacity; ++slot) {
    if (slot->lastUse && memcmp(slot->key, words.data(), size) == 0) {
      slot->lastUse = ++clock;
      return *slot;
    }
    if (isLessUseful(*slot, *oldest))
      oldest = slot;
  }
  *isKnown = false;
  queue->dropRecording(oldest->recording);
  oldest->recording = nullptr;
  oldest->lastUse = ++clock;
  memcpy(oldest->key, words.data(), size);
  return *oldest;
}

//===----------------------------------------------------------------------===//
// Running a range
//===----------------------------------------------------------------------===//

/// Writes what the launches depend on; false if fewer than two do something.
bool Context::describeRange(const RecordedRange &range) {
  uint64_t *next = recordings.scratch();
  uint32_t numLaunches = 0;
  for (uint32_t i = range.first; i < range.end; ++i) {
    const Launch *launch = plan.program().steps()->Get(i)->body_as_Launch();
    if (!launch)
      continue;
    const StepPlan &step = plan.steps[i];
    const LaunchState &state = launches[step.launch];
    *next++ = state.kernel;
    // Empty grids are alike.
    for (int64_t size : state.grid)
      *next++ = state.programs ? static_cast<uint64_t>(size) : 0;
    for (uint32_t s = 0; s < sizeOf(launch->scalars()); ++s)
      *next++ = static_cast<uint64_t>(scalars[step.firstScalar + s]);
    for (Indices list : {launch->reads(), launch->writes()})
      for (uint32_t b = 0; b < sizeOf(list); ++b) {
        const BufferState &buffer = buffers[list->Get(b)];
        *next++ = reinterpret_cast<uintptr_t>(buffer.address);
        *next++ = buffer.bytes;
      }
    numLaunches += state.programs != 0;
  }
  return numLaunches > 1;
}

Status Context::issueRange(const RecordedRange &range) {
  uint32_t threads;
  for (uint32_t i = range.first; i < range.end; ++i)
    if (const Launch *step = plan.program().steps()->Get(i)->body_as_Launch())
      LATHE_TRY(issue(*step, plan.steps[i], &threads));
  return ok();
}

Status Context::recordRange(const RecordedRange &range, void **recording) {
  LATHE_TRY(queue->beginRecording());
  void *recorded = nullptr;
  Status status = issueRange(range);
  Status ended = queue->endRecording(&recorded);
  if (!status.failed())
    status = static_cast<Status &&>(ended);
  if (status.failed()) // What was recorded may be a part.
    queue->dropRecording(recorded);
  else
    *recording = recorded;
  return status;
}

Status Context::runRecorded(const RecordedRange &range) {
  // Copies first: what a launch reads and the host has, no launch before it in
  // the range has written.
  for (uint32_t i = range.first; i < range.end; ++i)
    if (const Launch *step = plan.program().steps()->Get(i)->body_as_Launch())
      LATHE_TRY(moveOperands(*step));
  if (recordings.isRefused || !describeRange(range))
    return issueRange(range);
  bool isKnown;
  Recordings::Slot &slot = recordings.find(range, &isKnown);
  if (!isKnown)
    return issueRange(range);
  if (slot.recording)
    return queue->replay(slot.recording);
  Status status = recordRange(range, &slot.recording);
  if (!status.failed())
    return queue->replay(slot.recording);
  // Nothing of it has run. Drivers for CUDA 11.8 to 12.2 know launches that
  // overlap, but not in graphs.
  recordings.isRefused = status.code() != LATHE_OUT_OF_MEMORY;
  return issueRange(range);
}

} // namespace lathe::rt
