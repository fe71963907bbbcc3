// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Structs of the C API whose size may differ between caller and library.

#ifndef LATHE_RUNTIME_BASE_OPTIONS_H
#define LATHE_RUNTIME_BASE_OPTIONS_H

#include "runtime/base/status.h"

#include <cstring>

namespace lathe::rt {

/// Reads what the caller filled in; fields that it does not know are zero, as
/// is everything when `options` is NULL.
template <typename T>
Status copyOptions(const T *options, const char *name, T *result) {
  *result = T{};
  result->struct_size = sizeof(T);
  if (!options)
    return ok();
  size_t size = options->struct_size;
  if (size < sizeof(size_t))
    return error(LATHE_INVALID_ARGUMENT, "%s: struct_size is not set", name);
  size = size < sizeof(T) ? size : sizeof(T);
  memcpy(static_cast<void *>(result), options, size);
  result->struct_size = sizeof(T);
  return ok();
}

/// The same for a struct with room for more fields.
template <typename T>
Status readOptions(const T *options, const char *name, T *result) {
  LATHE_TRY(copyOptions(options, name, result));
  return result->reserved
             ? error(LATHE_INVALID_ARGUMENT, "%s: reserved is not 0", name)
             : ok();
}

/// Writes the part of `value` that the caller has room for.
template <typename T>
Status copyInfo(const T &value, const char *name, T *result) {
  if (!result || result->struct_size < sizeof(size_t))
    return error(LATHE_INVALID_ARGUMENT, "%s: struct_size is not set", name);
  size_t size = result->struct_size;
  memcpy(static_cast<void *>(result), &value,
         size < sizeof(T) ? size : sizeof(T));
  result->struct_size = size;
  return ok();
}

} // namespace lathe::rt

#endif // LATHE_RUNTIME_BASE_OPTIONS_H
