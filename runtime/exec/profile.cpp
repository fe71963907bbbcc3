// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/exec/profile.h"

#include "runtime/base/options.h"

#include <ctime>

using namespace lathe::rt;

uint64_t lathe::rt::now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return uint64_t(time.tv_sec) * 1000000000 + uint64_t(time.tv_nsec);
}

Status lathe_profile_t::begin(size_t capacity, uint64_t ns) {
  numSteps = 0;
  totalNs = arenaBytes = 0;
  beginNs = ns;
  numMarks = secondMark + 1;
  return steps.size() >= capacity ? ok() : steps.allocate(allocator, capacity);
}

Status lathe_profile_t::beginLaunch(Queue *queue) {
  launchNs = now();
  return queue ? queue->mark(numMarks) : ok();
}

// Until the run is over, a step of a queue has the number of its first mark for
// a time; it is told by its length, which no launch has.
static constexpr uint64_t notYet = UINT64_MAX;

Status lathe_profile_t::endLaunch(lathe_profile_step_t step, Queue *queue) {
  step.ns = queue ? notYet : now() - launchNs;
  step.start_ns = queue ? numMarks : launchNs - beginNs;
  add(step);
  if (!queue)
    return ok();
  numMarks += 2;
  return queue->mark(numMarks - 1);
}

Status lathe_profile_t::end(Queue *queue) {
  totalNs = now() - beginNs;
  uint64_t markNs = 0;
  if (queue)
    LATHE_TRY(queue->elapsed(beginMark, secondMark, &markNs));
  for (size_t i = 0; queue && i < numSteps; ++i) {
    lathe_profile_step_t &step = steps[i];
    if (step.ns != notYet)
      continue;
    auto mark = static_cast<uint32_t>(step.start_ns);
    LATHE_TRY(queue->elapsed(mark, mark + 1, &step.ns));
    step.ns -= step.ns < markNs ? step.ns : markNs;
    LATHE_TRY(queue->elapsed(beginMark, mark, &step.start_ns));
  }
  return ok();
}

void lathe_profile_t::add(const lathe_profile_step_t &step) {
  if (numSteps == steps.size()) {
    Array<lathe_profile_step_t> larger;
    if (larger.allocate(allocator, 2 * numSteps + 16).failed())
      return;
    for (size_t i = 0; i < numSteps; ++i)
      larger[i] = steps[i];
    steps = static_cast<Array<lathe_profile_step_t> &&>(larger);
  }
  steps[numSteps++] = step;
}

static Status createProfile(const lathe_allocator_t *functions,
                            lathe_profile_t **profile) {
  Allocator allocator;
  LATHE_TRY(Allocator::fromC(functions, &allocator));
  return newObject(allocator, profile);
}

lathe_status_t lathe_profile_create(const lathe_allocator_t *allocator,
                                    lathe_profile_t **profile) {
  return createProfile(allocator, profile).release();
}

void lathe_profile_destroy(lathe_profile_t *self) {
  if (self)
    deleteObject(self->allocator, self);
}

lathe_status_t lathe_profile_info(const lathe_profile_t *self,
                                  lathe_profile_info_t *info) {
  lathe_profile_info_t value = {sizeof(value), self->totalNs, self->arenaBytes,
                                self->numSteps};
  return copyInfo(value, "lathe_profile_info_t", info).release();
}

lathe_status_t lathe_profile_step(const lathe_profile_t *self, size_t index,
                                  lathe_profile_step_t *step) {
  if (index >= self->numSteps)
    return error(LATHE_INVALID_ARGUMENT, "step %zu of %zu", index,
                 self->numSteps)
        .release();
  return copyInfo(self->steps[index], "lathe_profile_step_t", step).release();
}
