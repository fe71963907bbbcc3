// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Memory from the caller's allocator: objects, arrays of a size known when they
// are made, blocks that grow. Every allocation can fail and says so.

#ifndef LATHE_RUNTIME_BASE_MEMORY_H
#define LATHE_RUNTIME_BASE_MEMORY_H

#include "lathe-c/runtime.h"
#include "runtime/base/status.h"

#include <atomic>
#include <cstdint>
#include <new>
#include <utility>

namespace lathe::rt {

/// A validated copy of a lathe_allocator_t.
class Allocator {
public:
  /// malloc and free.
  Allocator();
  /// NULL gives malloc. An allocator without functions is refused.
  static Status fromC(const lathe_allocator_t *allocator, Allocator *result);

  /// NULL when there is no memory. `size` may be 0.
  void *allocate(size_t size, size_t alignment) const {
    return functions.allocate(functions.context, size ? size : 1, alignment);
  }
  void deallocate(void *memory, size_t size, size_t alignment) const {
    if (memory)
      functions.deallocate(functions.context, memory, size ? size : 1,
                           alignment);
  }

private:
  lathe_allocator_t functions;
};

/// Makes a T with `allocator` as the first argument of its constructor, which T
/// keeps and destroys itself with (deleteObject).
template <typename T, typename... Args>
Status newObject(const Allocator &allocator, T **result, Args &&...args) {
  void *memory = allocator.allocate(sizeof(T), alignof(T));
  if (!memory)
    return error(LATHE_OUT_OF_MEMORY, "out of memory (%zu bytes)", sizeof(T));
  *result = new (memory) T(allocator, std::forward<Args>(args)...);
  return ok();
}

template <typename T> void deleteObject(const Allocator &allocator, T *object) {
  Allocator copy = allocator; // It may live in the object.
  object->~T();
  copy.deallocate(object, sizeof(T), alignof(T));
}

/// Elements in a row; owns nothing.
template <typename T> class Span {
public:
  Span() = default;
  constexpr Span(T *data, size_t size) : first(data), count(size) {}
  T *data() const { return first; }
  size_t size() const { return count; }
  bool empty() const { return count == 0; }
  T &operator[](size_t i) const { return first[i]; }
  T *begin() const { return first; }
  T *end() const { return first + count; }

private:
  T *first = nullptr;
  size_t count = 0;
};

/// An array that is allocated once. Elements start value-initialized.
template <typename T> class Array {
public:
  Array() = default;
  Array(Array &&other)
      : allocator(other.allocator), first(other.first), count(other.count) {
    other.first = nullptr;
    other.count = 0;
  }
  Array &operator=(Array &&other) {
    clear();
    allocator = other.allocator;
    first = other.first;
    count = other.count;
    other.first = nullptr;
    other.count = 0;
    return *this;
  }
  ~Array() { clear(); }

  /// May be called again, which drops the old elements.
  Status allocate(const Allocator &from, size_t size) {
    clear();
    size_t bytes;
    void *memory = nullptr;
    if (!__builtin_mul_overflow(size, sizeof(T), &bytes))
      memory = from.allocate(bytes, alignof(T));
    if (!memory)
      return error(LATHE_OUT_OF_MEMORY, "out of memory (%zu elements)", size);
    allocator = from;
    first = static_cast<T *>(memory);
    count = size;
    for (size_t i = 0; i < size; ++i)
      new (first + i) T();
    return ok();
  }

  void clear() {
    if (!first)
      return;
    for (size_t i = 0; i < count; ++i)
      first[i].~T();
    allocator.deallocate(first, count * sizeof(T), alignof(T));
    first = nullptr;
    count = 0;
  }

  T *data() const { return first; }
  size_t size() const { return count; }
  T &operator[](size_t i) const { return first[i]; }
  T *begin() const { return first; }
  T *end() const { return first + count; }
  Span<T> span() const { return {first, count}; }

private:
  Allocator allocator;
  T *first = nullptr;
  size_t count = 0;
};

/// Raw memory at a multiple of 64 that only grows; growing drops the contents.
class Block {
public:
  static constexpr size_t alignment = 64;

  Block() = default;
  Block(const Block &) = delete;
  Block &operator=(const Block &) = delete;
  ~Block() { allocator.deallocate(memory, capacity, alignment); }

  /// Makes room for `size` bytes.
  Status reserve(const Allocator &from, uint64_t size);
  /// The same, keeping the first `kept` bytes; grows by a half at least.
  Status extend(const Allocator &from, uint64_t size, uint64_t kept);
  /// Not NULL after reserve, even for 0 bytes.
  uint8_t *data() const { return memory; }
  uint64_t size() const { return capacity; }

private:
  Allocator allocator;
  uint8_t *memory = nullptr;
  uint64_t capacity = 0;
};

/// A count of holders; the last to let go destroys the object.
class RefCount {
public:
  void retain() const { count.fetch_add(1, std::memory_order_relaxed); }
  /// True for the last holder.
  bool release() const {
    return count.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }

private:
  mutable std::atomic<uint32_t> count{1};
};

} // namespace lathe::rt

#endif // LATHE_RUNTIME_BASE_MEMORY_H
