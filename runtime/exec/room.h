// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_RUNTIME_EXEC_ROOM_H
#define LATHE_RUNTIME_EXEC_ROOM_H

#include "runtime/device/device.h"

namespace lathe::rt {

/// Memory that kernels work in and that only grows: a Block of the host, or,
/// with a queue, memory of its device. The queue must outlive it.
class Room {
public:
  Room() = default;
  Room(const Room &) = delete;
  Room &operator=(const Room &) = delete;
  ~Room() {
    if (queue)
      queue->deallocate(memory);
  }

  /// Makes room for `size` bytes; growing drops the contents.
  Status reserve(const Allocator &from, Queue *on, uint64_t size) {
    return on ? reserveOn(*on, size) : block.reserve(from, size);
  }
  /// The same, keeping the first `kept` bytes; grows by a half at least.
  Status extend(const Allocator &from, Queue *on, uint64_t size,
                uint64_t kept) {
    return on ? extendOn(*on, size, kept) : block.extend(from, size, kept);
  }

  /// Not NULL after reserve, even for 0 bytes.
  uint8_t *data() const { return queue ? memory : block.data(); }
  uint64_t size() const { return queue ? capacity : block.size(); }

private:
  Status reserveOn(Queue &on, uint64_t size);
  Status extendOn(Queue &on, uint64_t size, uint64_t kept);

  Block block;
  Queue *queue = nullptr;
  uint8_t *memory = nullptr;
  uint64_t capacity = 0;
};

} // namespace lathe::rt

#endif // LATHE_RUNTIME_EXEC_ROOM_H
