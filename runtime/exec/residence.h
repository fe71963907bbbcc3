// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where the bytes of a program's buffers are, when its device has memory of its
// own. Each root has a place on the device, and one on the host once a step of
// the host needs it; either or both hold what was written last. Copies are made
// when a step needs what is on the other side, and no sooner.

#ifndef LATHE_RUNTIME_EXEC_RESIDENCE_H
#define LATHE_RUNTIME_EXEC_RESIDENCE_H

#include "runtime/exec/room.h"

namespace lathe::rt {

/// Where one root is.
struct Residence {
  uint8_t *device = nullptr;
  uint8_t *host = nullptr; ///< NULL: no place yet
  uint64_t bytes = 0;
  bool onDevice = false; ///< All its bytes are those written last.
  bool onHost = false;
  Block mirror; ///< the host's place where nobody else gave one
};

/// A part of a root: a buffer, or an element of one.
struct Part {
  Residence &root;
  uint64_t offset;
  uint64_t bytes;
  bool isWhole() const { return offset == 0 && bytes == root.bytes; }
};

class Residences {
public:
  explicit Residences(const Allocator &allocator) : allocator(allocator) {}
  /// Roots that are fetched whole, whatever part of them is needed.
  static bool isSmall(const Residence &root);

  Status create(Queue &onto, size_t numBuffers) {
    queue = &onto;
    return roots.allocate(allocator, numBuffers);
  }

  Residence &operator[](uint32_t root) const { return roots[root]; }

  /// A step of the device is about to read the part.
  Status toDevice(const Part &part);
  /// A step of the device is about to write to the part, and to nothing else.
  Status writeOnDevice(const Part &part);

  /// A step of the host is about to read the part, after settle().
  Status toHost(const Part &part);
  /// Waits for the copies that toHost has begun, if there are any.
  Status settle();
  /// A step of the host is about to write the part: gives it a place.
  Status beginWriteOnHost(const Part &part);
  /// And has done so.
  Status endWriteOnHost(const Part &part);

private:
  Status giveHostPlace(Residence &root);

  Allocator allocator;
  Queue *queue = nullptr;
  Array<Residence> roots; // by buffer; those of aliases are not used
  bool isPending = false;
};

} // namespace lathe::rt

#endif // LATHE_RUNTIME_EXEC_RESIDENCE_H
