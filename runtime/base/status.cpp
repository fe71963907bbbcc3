// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/base/status.h"

#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

struct lathe_status_impl {
  lathe_code_t code;
  char message[1];
};

namespace lathe::rt {

// What is returned when there is no memory to say anything better. It is never
// written to nor freed.
static lathe_status_impl outOfMemory = {LATHE_OUT_OF_MEMORY, {0}};

static lathe_status_t allocateStatus(lathe_code_t code, size_t length) {
  size_t size = offsetof(lathe_status_impl, message) + length + 1;
  if (size < sizeof(lathe_status_impl))
    size = sizeof(lathe_status_impl);
  auto *status = static_cast<lathe_status_t>(malloc(size));
  if (!status)
    return &outOfMemory;
  status->code = code;
  status->message[0] = 0;
  return status;
}

Status error(lathe_code_t code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  va_list again;
  va_copy(again, args);
  int length = vsnprintf(nullptr, 0, format, args);
  va_end(args);
  size_t size = length < 0 ? 0 : static_cast<size_t>(length);
  lathe_status_t status = allocateStatus(code, size);
  if (status != &outOfMemory)
    vsnprintf(status->message, size + 1, format, again);
  va_end(again);
  return Status(status);
}

Status annotate(Status status, const char *format, ...) {
  if (!status.failed())
    return status;
  char place[512]; // Longer places lose their end.
  va_list args;
  va_start(args, format);
  vsnprintf(place, sizeof(place), format, args);
  va_end(args);
  return error(status.code(), "%s: %s", place, status.message());
}

} // namespace lathe::rt

lathe_code_t lathe_status_code(lathe_status_t status) {
  return status ? status->code : LATHE_OK;
}

const char *lathe_status_message(lathe_status_t status) {
  if (!status)
    return "";
  return status == &lathe::rt::outOfMemory ? "out of memory" : status->message;
}

const char *lathe_code_name(lathe_code_t code) {
  switch (code) {
  case LATHE_OK:
    return "ok";
  case LATHE_INVALID_ARGUMENT:
    return "invalid argument";
  case LATHE_NOT_FOUND:
    return "not found";
  case LATHE_CORRUPT:
    return "corrupt";
  case LATHE_UNSUPPORTED_VERSION:
    return "unsupported version";
  case LATHE_INCOMPATIBLE:
    return "incompatible";
  case LATHE_OUT_OF_MEMORY:
    return "out of memory";
  case LATHE_IO:
    return "input/output";
  case LATHE_FAILED_PRECONDITION:
    return "failed precondition";
  case LATHE_UNIMPLEMENTED:
    return "unimplemented";
  case LATHE_INTERNAL:
    return "internal";
  case LATHE_DEVICE_LOST:
    return "device lost";
  }
  return "unknown";
}

lathe_status_t lathe_status_create(lathe_code_t code, const char *message) {
  if (code == LATHE_OK)
    return nullptr;
  return lathe::rt::error(code, "%s", message ? message : "").release();
}

void lathe_status_destroy(lathe_status_t status) {
  if (status != &lathe::rt::outOfMemory)
    free(status);
}
