// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Weights to the memory of a device: once per model, those that the programs of
// its variant use, through two pieces of page-locked memory of which one is
// filled from the file while the other is on its way.

#include "runtime/exec/model.h"

#include <cstring>

using namespace lathe::rt;
namespace bundle = lathe::bundle;

static constexpr uint64_t pieceSize = uint64_t(8) << 20;
static constexpr uint64_t unused = UINT64_MAX;

namespace {
/// Two pieces of staging memory that take turns.
class Uploader {
public:
  explicit Uploader(Queue &queue) : queue(queue) {}
  ~Uploader() { queue.deallocateStaging(staging); }

  Status create(uint64_t total) {
    size = total < pieceSize ? total : pieceSize;
    void *memory;
    LATHE_TRY(queue.allocateStaging(2 * size, &memory));
    staging = static_cast<uint8_t *>(memory);
    return ok();
  }

  Status copy(uint8_t *to, const uint8_t *from, uint64_t bytes) {
    for (uint64_t done = 0; done < bytes;) {
      uint64_t part = size - used;
      part = part < bytes - done ? part : bytes - done;
      uint8_t *at = staging + piece * size + used;
      memcpy(at, from + done, part);
      LATHE_TRY(queue.copy(to + done, at, part, Queue::Copy::ToDevice));
      done += part;
      used += part;
      if (used == size)
        LATHE_TRY(turn());
    }
    return ok();
  }

private:
  Status turn() {
    LATHE_TRY(queue.mark(piece));
    started[piece] = true;
    piece = 1 - piece;
    used = 0;
    return started[piece] ? queue.waitFor(piece) : ok();
  }

  Queue &queue;
  uint8_t *staging = nullptr;
  uint64_t size = 0, used = 0;
  uint32_t piece = 0;
  bool started[2] = {};
};
} // namespace

/// Where each constant goes; `unused` for those that no program uses. `total`
/// becomes the bytes of all.
static Status layOutConstants(const bundle::Manifest &manifest,
                              Span<const ProgramPlan> plans,
                              Span<uint64_t> offsets, uint64_t *total) {
  for (uint64_t &offset : offsets)
    offset = unused;
  *total = 0;
  for (const ProgramPlan &plan : plans)
    for (const BufferPlan &buffer : plan.buffers) {
      if (buffer.kind != bundle::BufferKind::Constant ||
          buffer.phase == noIndex || offsets[buffer.index] != unused)
        continue;
      offsets[buffer.index] = *total;
      // Verified: the sizes are those of parts of a file, but these may
      // overlap.
      uint64_t size =
          (manifest.constants()->Get(buffer.index)->size() + 255) / 256 * 256;
      if (__builtin_add_overflow(*total, size, total))
        return error(LATHE_CORRUPT, "constants are larger than any memory");
    }
  return ok();
}

Status lathe_model_t::uploadConstants() {
  const bundle::Manifest &manifest = source->manifest();
  Array<uint64_t> offsets;
  LATHE_TRY(offsets.allocate(allocator, sizeOf(manifest.constants())));
  LATHE_TRY(constants.allocate(allocator, offsets.size()));
  LATHE_TRY(layOutConstants(manifest, {plans.data(), plans.size()},
                            offsets.span(), &uploadedBytes));
  if (uploadedBytes == 0)
    return ok();
  LATHE_TRY(uploads->allocate(uploadedBytes, &uploaded));
  Status status;
  {
    Uploader uploader(*uploads);
    status = uploader.create(uploadedBytes);
    for (uint32_t i = 0; i < offsets.size() && !status.failed(); ++i) {
      if (offsets[i] == unused)
        continue;
      constants[i] = static_cast<uint8_t *>(uploaded) + offsets[i];
      status = uploader.copy(constants[i], source->constant(i),
                             manifest.constants()->Get(i)->size());
    }
    // Staging memory must not go before the copies from it are done.
    Status done = uploads->wait();
    if (!status.failed())
      status = static_cast<Status &&>(done);
  }
  return status;
}
