// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/base/file.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace lathe::rt {

static Status mapDescriptor(int descriptor, const uint8_t **data,
                            size_t *size) {
  struct stat info;
  if (fstat(descriptor, &info) != 0)
    return error(LATHE_IO, "%s", strerror(errno));
  if (!S_ISREG(info.st_mode))
    return error(LATHE_IO, "not a regular file");
  if (info.st_size == 0)
    return error(LATHE_CORRUPT, "the file is empty");
  *size = static_cast<size_t>(info.st_size);
  void *memory = mmap(nullptr, *size, PROT_READ, MAP_SHARED, descriptor, 0);
  if (memory == MAP_FAILED)
    return error(LATHE_IO, "cannot be mapped: %s", strerror(errno));
  *data = static_cast<const uint8_t *>(memory);
  return ok();
}

Status MappedFile::open(const char *path) {
  // Without O_NONBLOCK, a pipe in place of the file would hang the process.
  int descriptor = ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0)
    return error(errno == ENOENT ? LATHE_NOT_FOUND : LATHE_IO, "%s",
                 strerror(errno));
  Status status = mapDescriptor(descriptor, &bytes, &count);
  close(descriptor);
  return status;
}

MappedFile::~MappedFile() {
  if (bytes)
    munmap(const_cast<uint8_t *>(bytes), count);
}

} // namespace lathe::rt
