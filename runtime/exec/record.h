// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Launches in a row, recorded once and replayed as one (a CUDA graph): a launch
// costs the host some microseconds, a replay of hundreds hardly more than one.
//
// A recording is found by all that its launches depend on: kernels, grids,
// scalars, addresses and sizes of buffers. So it is right whatever changed, and
// a shape that comes again, with inputs and outputs where they were, is a hit.
// What comes for the first time is launched as it is, since it may not come
// again.

#ifndef LATHE_RUNTIME_EXEC_RECORD_H
#define LATHE_RUNTIME_EXEC_RECORD_H

#include "runtime/device/device.h"

namespace lathe::rt {

class ProgramPlan;

/// Steps of a program that are launches (or checks, which do nothing) of one
/// phase and can be recorded together.
struct RecordedRange {
  uint32_t first, end; ///< steps
  uint32_t index;
  size_t numWords; ///< what the launches depend on
};

/// The recordings of one context: a few per range, those used last. Shapes that
/// came once give way first.
class Recordings {
public:
  Recordings() = default;
  Recordings(const Recordings &) = delete;
  Recordings &operator=(const Recordings &) = delete;
  ~Recordings();

  /// So many shapes of a range are kept.
  static constexpr uint32_t capacity = 8;

  Status create(const Allocator &allocator, Queue &queue,
                const ProgramPlan &plan);

  struct Slot {
    uint64_t *key = nullptr;
    void *recording = nullptr;
    uint64_t lastUse = 0; ///< 0: never
  };

  /// Where the words of a range are to be written, for find().
  uint64_t *scratch() const { return words.data(); }

  /// The slot for scratch(). `isKnown` is false if it was not there and has
  /// taken the place of another.
  Slot &find(const RecordedRange &range, bool *isKnown);

  /// The device has refused to record: launches are queued as they are from
  /// now on.
  bool isRefused = false;

private:
  Queue *queue = nullptr;
  Array<uint64_t> words; // scratch, then the keys of all slots
  Array<Slot> slots;     // `capacity` for each range
  uint64_t clock = 0;
};

} // namespace lathe::rt

#endif // LATHE_RUNTIME_EXEC_RECORD_H
