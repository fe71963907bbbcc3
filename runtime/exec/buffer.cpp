// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The buffer functions of the C API.

#include "runtime/exec/model.h"
#include "runtime/exec/room.h"

#include <cinttypes>
#include <cstring>

using namespace lathe::rt;

struct lathe_buffer_t {
  lathe_buffer_t(const Allocator &allocator, const lathe_model_t &model)
      : allocator(allocator), model(model) {
    model.retain();
  }

  static Status create(const lathe_model_t &model, uint64_t size,
                       lathe_buffer_t **result) {
    lathe_buffer_t *buffer;
    LATHE_TRY(newObject(model.memory(), &buffer, model));
    Status status = model.device().createQueue(&buffer->queue);
    if (!status.failed())
      status = buffer->room.reserve(buffer->allocator, buffer->queue, size);
    // The memory is there for any queue from now on.
    if (!status.failed() && buffer->queue)
      status = buffer->queue->wait();
    buffer->size = size;
    if (status.failed())
      buffer->destroy();
    else
      *result = buffer;
    return status;
  }

  void destroy() {
    const lathe_model_t &owner = model;
    Queue *last = queue;
    deleteObject(allocator, this);
    if (last)
      last->destroy();
    owner.release();
  }

  Status check(uint64_t offset, uint64_t count) const {
    if (offset <= size && count <= size - offset)
      return ok();
    return error(LATHE_INVALID_ARGUMENT,
                 "%" PRIu64 " bytes at %" PRIu64 " exceed a buffer of %" PRIu64,
                 count, offset, size);
  }

  Status copy(void *to, const void *from, uint64_t count, Queue::Copy way) {
    if (count == 0)
      return ok();
    if (!queue) {
      memcpy(to, from, count);
      return ok();
    }
    LATHE_TRY(queue->copy(to, from, count, way));
    return queue->wait();
  }

  Allocator allocator;
  const lathe_model_t &model;
  Queue *queue = nullptr;
  Room room;
  uint64_t size = 0;
};

lathe_status_t lathe_buffer_create(const lathe_model_t *model, uint64_t size,
                                   lathe_buffer_t **buffer) {
  return lathe_buffer_t::create(*model, size, buffer).release();
}

void lathe_buffer_destroy(lathe_buffer_t *self) {
  if (self)
    self->destroy();
}

void *lathe_buffer_data(const lathe_buffer_t *self) {
  return self->room.data();
}

static Status write(lathe_buffer_t *self, uint64_t offset, const void *from,
                    uint64_t size) {
  LATHE_TRY(self->check(offset, size));
  return self->copy(self->room.data() + offset, from, size,
                    Queue::Copy::ToDevice);
}

lathe_status_t lathe_buffer_write(lathe_buffer_t *self, uint64_t offset,
                                  const void *from, uint64_t size) {
  return write(self, offset, from, size).release();
}

static Status read(lathe_buffer_t *self, uint64_t offset, void *to,
                   uint64_t size) {
  LATHE_TRY(self->check(offset, size));
  return self->copy(to, self->room.data() + offset, size, Queue::Copy::ToHost);
}

lathe_status_t lathe_buffer_read(const lathe_buffer_t *self, uint64_t offset,
                                 void *to, uint64_t size) {
  return read(const_cast<lathe_buffer_t *>(self), offset, to, size).release();
}
