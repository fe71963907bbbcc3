// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/exec/guard.h"

#include <atomic>
#include <cerrno>
#include <cinttypes>
#include <csignal>
#include <cstring>
#include <pthread.h>
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

  /// Opens the page before or behind if it holds `address`. Called by a signal
  /// handler.
  bool open(const uint8_t *address) const {
    bool isBefore = address >= base && address < base + page;
    bool isBehind =
        address >= base + page + body && address < base + 2 * page + body;
    return (isBefore || isBehind) &&
           mprotect(isBefore ? base : base + page + body, page,
                    PROT_READ | PROT_WRITE) == 0;
  }

private:
  uint8_t *base = nullptr;
  size_t page = 0, body = 0, size = 0;
};

/// The launch that runs now, and its first access outside of an operand.
struct Watch {
  Span<const Fence> fences;
  Side side;
  size_t operand = 0;
  int64_t byte = 0;
  std::atomic<bool> isHit{false};

  /// Lets an access into a fence pass: the kernel runs on, to be reported.
  bool handle(const uint8_t *address) {
    for (size_t i = 0; i < fences.size(); ++i) {
      if (!fences[i].open(address))
        continue;
      if (!isHit.exchange(true)) {
        operand = i;
        byte = address - fences[i].data(side);
      }
      return true;
    }
    return false;
  }
};
} // namespace

// Signals belong to the process: so does what handles them.
static pthread_mutex_t watchMutex = PTHREAD_MUTEX_INITIALIZER;
static std::atomic<Watch *> currentWatch{nullptr};
static struct sigaction previousAction;

static void handleFault(int signal, siginfo_t *info, void *context) {
  Watch *watch = currentWatch.load();
  if (watch && watch->handle(static_cast<const uint8_t *>(info->si_addr)))
    return;
  // Not ours, but of another thread perhaps: for who was there before. Without
  // anybody, the access happens again and ends the process.
  if (previousAction.sa_flags & SA_SIGINFO)
    previousAction.sa_sigaction(signal, info, context);
  else if (previousAction.sa_handler != SIG_DFL &&
           previousAction.sa_handler != SIG_IGN)
    previousAction.sa_handler(signal);
  else
    sigaction(SIGSEGV, &previousAction, nullptr);
}

static void launchWatched(const Executable &executable, uint32_t kernel,
                          const LaunchArgs &args, Watch &watch) {
  pthread_mutex_lock(&watchMutex);
  currentWatch = &watch;
  struct sigaction action = {};
  action.sa_sigaction = handleFault;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, &previousAction);
  uint32_t threads;
  // Host devices, which alone can be guarded, do not fail here.
  Status status = executable.launch(nullptr, kernel, args, &threads);
  (void)status;
  sigaction(SIGSEGV, &previousAction, nullptr);
  currentWatch = nullptr;
  pthread_mutex_unlock(&watchMutex);
}

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
      if (operands[i].bytes)
        memcpy(pointers[i], operands[i].data, operands[i].bytes);
    }
    Watch watch;
    watch.fences = {fences.data(), fences.size()};
    watch.side = side;
    launchWatched(executable, kernel, guarded, watch);
    if (watch.isHit)
      return error(LATHE_INTERNAL,
                   "it touches byte %" PRId64
                   " of operand %zu, which has %" PRIu64 " and is %s",
                   watch.byte, watch.operand, operands[watch.operand].bytes,
                   operands[watch.operand].written ? "written" : "read");
  }
  for (size_t i = 0; i < operands.size(); ++i)
    if (operands[i].written && operands[i].bytes)
      memcpy(operands[i].data, pointers[i], operands[i].bytes);
  return ok();
}

} // namespace lathe::rt
