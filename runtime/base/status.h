// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// lathe_status_t as an owning C++ value.
//
//   Status open(const char *path) {
//     LATHE_TRY(map(path));
//     if (size < 64)
//       return error(LATHE_CORRUPT, "%s: %zu bytes are too few", path, size);
//     return ok();
//   }

#ifndef LATHE_RUNTIME_BASE_STATUS_H
#define LATHE_RUNTIME_BASE_STATUS_H

#include "lathe-c/status.h"

namespace lathe::rt {

/// Success, or an error that it owns. Moving leaves success behind.
class [[nodiscard]] Status {
public:
  Status() = default;
  explicit Status(lathe_status_t raw) : raw(raw) {}
  Status(Status &&other) : raw(other.release()) {}
  Status &operator=(Status &&other) {
    lathe_status_destroy(raw);
    raw = other.release();
    return *this;
  }
  ~Status() { lathe_status_destroy(raw); }

  bool failed() const { return raw != nullptr; }
  lathe_code_t code() const { return lathe_status_code(raw); }
  const char *message() const { return lathe_status_message(raw); }

  /// Hands the error to the caller, as the C API does on its way out.
  lathe_status_t release() {
    lathe_status_t result = raw;
    raw = nullptr;
    return result;
  }

private:
  lathe_status_t raw = nullptr;
};

inline Status ok() { return Status(); }

/// An error with a printf-formatted message. Never succeeds: when memory is
/// short, the result is LATHE_OUT_OF_MEMORY.
Status error(lathe_code_t code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/// The same error with where it happened, formatted, and ": " before its
/// message. Success stays success.
Status annotate(Status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define LATHE_TRY(expression)                                                  \
  do {                                                                         \
    if (::lathe::rt::Status status_ = (expression); status_.failed())          \
      return status_;                                                          \
  } while (0)

} // namespace lathe::rt

#endif // LATHE_RUNTIME_BASE_STATUS_H
