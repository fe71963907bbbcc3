// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_RUNTIME_BASE_FILE_H
#define LATHE_RUNTIME_BASE_FILE_H

#include "runtime/base/status.h"

#include <cstddef>
#include <cstdint>

namespace lathe::rt {

/// A whole file, mapped read-only and shared with the page cache.
class MappedFile {
public:
  MappedFile() = default;
  MappedFile(const MappedFile &) = delete;
  MappedFile &operator=(const MappedFile &) = delete;
  ~MappedFile();

  /// Refuses what is not a regular file, and empty files.
  Status open(const char *path);
  const uint8_t *data() const { return bytes; }
  size_t size() const { return count; }

private:
  const uint8_t *bytes = nullptr;
  size_t count = 0;
};

} // namespace lathe::rt

#endif // LATHE_RUNTIME_BASE_FILE_H
