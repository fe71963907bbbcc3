// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_RUNTIME_BASE_SYNC_H
#define LATHE_RUNTIME_BASE_SYNC_H

#include <pthread.h>

namespace lathe::rt {

/// std::mutex without the C++ library.
class Mutex {
public:
  Mutex() = default;
  Mutex(const Mutex &) = delete;
  Mutex &operator=(const Mutex &) = delete;
  ~Mutex() { pthread_mutex_destroy(&raw); }
  void lock() { pthread_mutex_lock(&raw); }
  void unlock() { pthread_mutex_unlock(&raw); }

private:
  pthread_mutex_t raw = PTHREAD_MUTEX_INITIALIZER;
};

class Lock {
public:
  explicit Lock(Mutex &mutex) : mutex(mutex) { mutex.lock(); }
  Lock(const Lock &) = delete;
  Lock &operator=(const Lock &) = delete;
  ~Lock() { mutex.unlock(); }

private:
  Mutex &mutex;
};

} // namespace lathe::rt

#endif // LATHE_RUNTIME_BASE_SYNC_H
