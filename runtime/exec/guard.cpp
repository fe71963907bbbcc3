// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/exec/guard.h"

#include <cerrno>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

namespace lathe::rt {

namespace {
enum class Side { Begin, End };

/// Whole pages for an operand, and one before and after them.
class Fence {
public:
  ~Fence() {
    if (base)
      munmap(base, body + 2 * page);
  }

  Status create(uint64_t bytes) {
    size = bytes;
    page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    body = (size + page - 1) / page * page;
    void *memory = mmap(nullptr, body + 2 * page, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
      return error(LATHE_OUT_OF_MEMORY, "out of memory (%zu bytes)", body);
    base = static_cast<uint8_t *>(memory);
    if (body && mprotect(base + page, body, PROT_READ | PROT_WRITE) != 0)
      return error(LATHE_OUT_OF_MEMORY, "mprotect: %s", strerror(errno));
    return ok();
  }

  uint8_t *data(Side side) const {
    return base + page + (side == Side::End ? body - size : 0);
  }

private:
  uint8_t *base = nullptr;
  size_t page = 0, body = 0, size = 0;
};
} // namespace

Status launchGuarded(const Executable &executable, uint32_t kernel,
                     const LaunchArgs &args,
                     Span<const GuardedOperand> operands,
                     const Allocator &allocator) {
  Array<Fence> fences;
  Array<void *> pointers;
  LATHE_TRY(fences.allocate(allocator, operands.size()));
  LATHE_TRY(pointers.allocate(allocator, operands.size()));
  for (size_t i = 0; i < operands.size(); ++i)
    LATHE_TRY(fences[i].create(operands[i].bytes));
  LaunchArgs guarded = args;
  guarded.buffers = pointers.data();
  for (Side side : {Side::Begin, Side::End}) {
    for (size_t i = 0; i < operands.size(); ++i) {
      pointers[i] = fences[i].data(side);
      memcpy(pointers[i], operands[i].data, operands[i].bytes);
    }
    executable.launch(kernel, guarded);
  }
  for (size_t i = 0; i < operands.size(); ++i)
    if (operands[i].written)
      memcpy(operands[i].data, pointers[i], operands[i].bytes);
  return ok();
}

} // namespace lathe::rt
