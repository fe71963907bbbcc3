// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/base/thread_pool.h"

#include <cerrno>
#include <climits>
#include <cstring>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace lathe::rt {

// Items are claimed in pieces, so that a thread that the system holds up leaves
// the rest to others.
static constexpr int64_t chunksPerThread = 4;
// How long a worker looks for the next job before it sleeps: some 50 µs, the
// length of a serial step between two launches.
static constexpr int spinsBeforeSleep = 1000;
static constexpr int spinsBeforeYield = 2000;
static constexpr uint32_t maxWorkers = 1u << 14;

static constexpr uint64_t openBit = uint64_t(1) << 31;
static constexpr uint64_t activeMask = 0xFFFF;

static uint32_t epochOf(uint64_t state) { return uint32_t(state >> 32); }
static uint32_t limitOf(uint64_t state) { return (state >> 16) & 0x7FFF; }

static void pauseThread() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

static void futex(std::atomic<uint32_t> &word, int operation, uint32_t value) {
  syscall(SYS_futex, &word, operation | FUTEX_PRIVATE_FLAG, value, nullptr,
          nullptr, 0);
}

uint32_t availableCores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0)
    return static_cast<uint32_t>(CPU_COUNT(&set));
  long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count > 0 ? static_cast<uint32_t>(count) : 1;
}

Status ThreadPool::create(const Allocator &allocator, uint32_t numThreads,
                          ThreadPool **result) {
  if (numThreads == 0 || numThreads > maxWorkers)
    return error(LATHE_INVALID_ARGUMENT,
                 "num_threads is %u; 1 to %u are allowed", numThreads,
                 maxWorkers);
  ThreadPool *pool;
  LATHE_TRY(newObject(allocator, &pool));
  Status status = pool->workers.allocate(allocator, numThreads - 1);
  for (uint32_t i = 0; !status.failed() && i + 1 < numThreads; ++i) {
    int code = pthread_create(&pool->workers[i], nullptr, workerMain, pool);
    if (code != 0)
      status = error(LATHE_IO, "thread %u of %u cannot be started: %s", i + 2,
                     numThreads, strerror(code));
    else
      ++pool->started;
  }
  if (status.failed()) {
    destroy(pool);
    return status;
  }
  *result = pool;
  return ok();
}

void ThreadPool::destroy(ThreadPool *pool) {
  if (pool)
    deleteObject(pool->allocator, pool);
}

ThreadPool::~ThreadPool() {
  stopping.store(true);
  epoch.fetch_add(1);
  wake(INT_MAX);
  for (uint32_t i = 0; i < started; ++i)
    pthread_join(workers[i], nullptr);
}

void ThreadPool::wake(uint32_t count) {
  // Paired with awaitJob: either this load sees the sleeper, or the sleeper's
  // futex call sees the new epoch.
  if (sleepers.load() != 0)
    futex(epoch, FUTEX_WAKE, count);
}

void ThreadPool::run(Task task, void *context, int64_t total,
                     uint32_t maxThreads) {
  if (total <= 0)
    return;
  uint32_t threads = maxThreads < numThreads() ? maxThreads : numThreads();
  if (threads > total)
    threads = static_cast<uint32_t>(total);
  if (threads <= 1 || busy.exchange(true, std::memory_order_acquire)) {
    task(context, 0, total);
    return;
  }
  int64_t chunks = threads * chunksPerThread;
  job = {task, context, total, total / chunks + (total % chunks != 0)};
  next.store(0, std::memory_order_relaxed);
  uint32_t current = epoch.load(std::memory_order_relaxed) + 1;
  state.store(uint64_t(current) << 32 | openBit | uint64_t(threads - 1) << 16,
              std::memory_order_release);
  epoch.store(current);
  wake(threads - 1);

  workOff();
  state.fetch_and(~openBit, std::memory_order_acq_rel);
  for (int spins = 0; state.load(std::memory_order_acquire) & activeMask;) {
    pauseThread();
    if (++spins > spinsBeforeYield)
      sched_yield();
  }
  busy.store(false, std::memory_order_release);
}

void ThreadPool::workOff() {
  Job current = job;
  for (;;) {
    int64_t begin = next.fetch_add(current.chunk, std::memory_order_relaxed);
    if (begin >= current.total)
      return;
    int64_t end = current.total - begin > current.chunk ? begin + current.chunk
                                                        : current.total;
    current.task(current.context, begin, end);
  }
}

bool ThreadPool::enter(uint32_t wanted) {
  uint64_t seen = state.load(std::memory_order_acquire);
  while (epochOf(seen) == wanted && (seen & openBit) &&
         (seen & activeMask) < limitOf(seen))
    if (state.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel,
                                    std::memory_order_acquire))
      return true;
  return false;
}

uint32_t ThreadPool::awaitJob(uint32_t seen) {
  for (int i = 0; i < spinsBeforeSleep; ++i) {
    uint32_t now = epoch.load(std::memory_order_acquire);
    if (now != seen)
      return now;
    pauseThread();
  }
  sleepers.fetch_add(1);
  uint32_t now;
  while ((now = epoch.load()) == seen)
    futex(epoch, FUTEX_WAIT, seen);
  sleepers.fetch_sub(1);
  return now;
}

void *ThreadPool::workerMain(void *argument) {
  auto *pool = static_cast<ThreadPool *>(argument);
  uint32_t seen = 0;
  for (;;) {
    seen = pool->awaitJob(seen);
    if (pool->stopping.load())
      return nullptr;
    if (!pool->enter(seen))
      continue;
    pool->workOff();
    pool->state.fetch_sub(1, std::memory_order_acq_rel);
  }
}

} // namespace lathe::rt
