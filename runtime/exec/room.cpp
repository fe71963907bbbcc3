// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/exec/room.h"

namespace lathe::rt {

Status Room::reserveOn(Queue &on, uint64_t size) {
  if (memory && size <= capacity)
    return ok();
  if (queue)
    queue->deallocate(memory);
  memory = nullptr;
  capacity = 0;
  queue = &on;
  void *result;
  LATHE_TRY(on.allocate(size, &result));
  memory = static_cast<uint8_t *>(result);
  capacity = size;
  return ok();
}

Status Room::extendOn(Queue &on, uint64_t size, uint64_t kept) {
  if (memory && size <= capacity)
    return ok();
  uint64_t generous = capacity + capacity / 2;
  Room larger;
  LATHE_TRY(larger.reserveOn(on, size > generous ? size : generous));
  if (kept)
    LATHE_TRY(on.copy(larger.memory, memory, kept, Queue::Copy::OnDevice));
  std::swap(queue, larger.queue);
  std::swap(memory, larger.memory);
  std::swap(capacity, larger.capacity);
  return ok();
}

} // namespace lathe::rt
