// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_RUNTIME_BASE_TEXT_H
#define LATHE_RUNTIME_BASE_TEXT_H

#include <cstdarg>
#include <cstddef>
#include <cstdio>

namespace lathe::rt {

/// A part of a message, put together piece by piece. What exceeds the capacity
/// is cut off.
template <size_t capacity> class Text {
public:
  Text() { text[0] = 0; }
  __attribute__((format(printf, 2, 3))) void add(const char *format, ...) {
    if (length >= capacity)
      return;
    va_list args;
    va_start(args, format);
    int written = vsnprintf(text + length, capacity - length, format, args);
    va_end(args);
    length += written > 0 ? static_cast<size_t>(written) : 0;
  }
  /// Adds ", " between the parts of a list.
  void separate() {
    if (length)
      add(", ");
  }
  bool empty() const { return length == 0; }
  const char *c_str() const { return text; }

private:
  char text[capacity];
  size_t length = 0;
};

} // namespace lathe::rt

#endif // LATHE_RUNTIME_BASE_TEXT_H
