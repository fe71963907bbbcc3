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

Status lathe_profile_t::begin(size_t capacity) {
  numSteps = 0;
  totalNs = arenaBytes = 0;
  return steps.size() >= capacity ? ok() : steps.allocate(allocator, capacity);
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
