// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Fork-join parallelism for launches of a few microseconds and up.
//
// pthreadpool was the model. It is not used because Debian ships it only as a
// shared library, and because it makes concurrent callers wait for each other:
// here a caller that finds the workers busy does its work alone.

#ifndef LATHE_RUNTIME_BASE_THREAD_POOL_H
#define LATHE_RUNTIME_BASE_THREAD_POOL_H

#include "runtime/base/memory.h"

#include <pthread.h>

namespace lathe::rt {

/// How many cores the process may use (its affinity mask).
uint32_t availableCores();

class ThreadPool {
public:
  /// Does the items [begin, end); called by several threads at a time.
  using Task = void (*)(void *context, int64_t begin, int64_t end);

  /// `numThreads` counts the caller of run: 1 makes no threads at all.
  static Status create(const Allocator &allocator, uint32_t numThreads,
                       ThreadPool **pool);
  static void destroy(ThreadPool *pool);

  uint32_t numThreads() const {
    return static_cast<uint32_t>(workers.size()) + 1;
  }

  /// Calls `task` on pieces that together make up [0, total), each once, with
  /// at most `maxThreads` threads, the caller among them. Returns when all are
  /// done. May be called by any number of threads; allocates nothing.
  void run(Task task, void *context, int64_t total, uint32_t maxThreads);

  // For newObject.
  explicit ThreadPool(const Allocator &allocator) : allocator(allocator) {}
  ~ThreadPool();

private:
  struct Job {
    Task task;
    void *context;
    int64_t total;
    int64_t chunk;
  };

  static void *workerMain(void *pool);
  uint32_t awaitJob(uint32_t seen);
  bool enter(uint32_t epoch);
  void workOff();
  void wake(uint32_t count);

  Allocator allocator;
  Array<pthread_t> workers;
  uint32_t started = 0;

  // The three words below are written by different threads at high rates.
  // `state` is epoch:32 | open:1 | limit:15 | active:16. Workers enter an open
  // job by counting themselves in; the caller closes it when no items are left
  // and waits only for those inside, never for a worker that sleeps.
  alignas(64) std::atomic<uint64_t> state{0};
  alignas(64) std::atomic<int64_t> next{0};
  alignas(64) std::atomic<uint32_t> epoch{0}; // futex
  std::atomic<uint32_t> sleepers{0};
  std::atomic<bool> stopping{false};
  std::atomic<bool> busy{false};
  Job job = {};
};

} // namespace lathe::rt

#endif // LATHE_RUNTIME_BASE_THREAD_POOL_H
