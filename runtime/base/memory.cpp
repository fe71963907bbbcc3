// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/base/memory.h"

#include "runtime/base/options.h"

#include <cstdlib>

namespace lathe::rt {

static void *mallocAligned(void *, size_t size, size_t alignment) {
  if (alignment <= alignof(max_align_t))
    return malloc(size);
  void *memory = nullptr;
  return posix_memalign(&memory, alignment, size) == 0 ? memory : nullptr;
}

static void freeAligned(void *, void *memory, size_t, size_t) { free(memory); }

Allocator::Allocator()
    : functions{sizeof(lathe_allocator_t), mallocAligned, freeAligned,
                nullptr} {}

Status Allocator::fromC(const lathe_allocator_t *allocator, Allocator *result) {
  *result = Allocator();
  if (!allocator)
    return ok();
  lathe_allocator_t copy;
  LATHE_TRY(copyOptions(allocator, "lathe_allocator_t", &copy));
  if (!copy.allocate || !copy.deallocate)
    return error(LATHE_INVALID_ARGUMENT,
                 "lathe_allocator_t: both functions must be set");
  result->functions = copy;
  return ok();
}

Status Block::reserve(const Allocator &from, uint64_t size) {
  if (memory && size <= capacity)
    return ok();
  allocator.deallocate(memory, capacity, alignment);
  memory = nullptr;
  capacity = 0;
  // Beyond PTRDIFF_MAX an address difference has no meaning.
  if (size <= PTRDIFF_MAX)
    memory = static_cast<uint8_t *>(from.allocate(size, alignment));
  if (!memory)
    return error(LATHE_OUT_OF_MEMORY, "no memory for %llu bytes",
                 static_cast<unsigned long long>(size));
  allocator = from;
  capacity = size;
  return ok();
}

Status Block::extend(const Allocator &from, uint64_t size, uint64_t kept) {
  if (memory && size <= capacity)
    return ok();
  Block larger;
  uint64_t generous = capacity + capacity / 2;
  LATHE_TRY(larger.reserve(from, size > generous ? size : generous));
  if (kept)
    memcpy(larger.memory, memory, kept);
  std::swap(allocator, larger.allocator);
  std::swap(memory, larger.memory);
  std::swap(capacity, larger.capacity);
  return ok();
}

} // namespace lathe::rt
