// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/exec/residence.h"

namespace lathe::rt {

// Roots up to this size come to the host whole when a part of them is needed:
// a copy costs some microseconds whatever its size, and the next step may read
// the rest.
static constexpr uint64_t smallRoot = 16384;

bool Residences::isSmall(const Residence &root) {
  return root.bytes <= smallRoot;
}

Status Residences::toDevice(const Part &part) {
  Residence &root = part.root;
  if (root.onDevice || !root.onHost)
    return ok();
  root.onDevice = true;
  if (root.bytes == 0)
    return ok();
  return queue->copy(root.device, root.host, root.bytes, Queue::Copy::ToDevice);
}

Status Residences::writeOnDevice(const Part &part) {
  // A launch may write less than it names: a piece of a concatenation, or what
  // indices say. What the host wrote to the rest must not be lost.
  LATHE_TRY(toDevice(part));
  part.root.onDevice = true;
  part.root.onHost = false;
  return ok();
}

Status Residences::giveHostPlace(Residence &root) {
  if (root.host)
    return ok();
  LATHE_TRY(root.mirror.reserve(allocator, root.bytes));
  root.host = root.mirror.data();
  return ok();
}

Status Residences::toHost(const Part &part) {
  Residence &root = part.root;
  LATHE_TRY(giveHostPlace(root));
  if (root.onHost || !root.onDevice)
    return ok();
  bool whole = part.isWhole() || isSmall(root);
  uint64_t offset = whole ? 0 : part.offset;
  uint64_t bytes = whole ? root.bytes : part.bytes;
  root.onHost = whole;
  if (bytes == 0)
    return ok();
  isPending = true;
  return queue->copy(root.host + offset, root.device + offset, bytes,
                     Queue::Copy::ToHost);
}

Status Residences::settle() {
  if (!isPending)
    return ok();
  isPending = false;
  return queue->wait();
}

Status Residences::beginWriteOnHost(const Part &part) {
  LATHE_TRY(giveHostPlace(part.root));
  return part.isWhole() ? ok() : toDevice(part);
}

Status Residences::endWriteOnHost(const Part &part) {
  Residence &root = part.root;
  if (part.isWhole()) {
    root.onHost = true;
    root.onDevice = false;
    return ok();
  }
  // The device has the other parts, or nobody has. Where the host has them too,
  // its copy is now complete again.
  root.onDevice = true;
  if (part.bytes == 0)
    return ok();
  return queue->copy(root.device + part.offset, root.host + part.offset,
                     part.bytes, Queue::Copy::ToDevice);
}

} // namespace lathe::rt
