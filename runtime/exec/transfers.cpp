// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operands between the host and a device with memory of its own: where inputs
// and outputs of a run are, and what a step needs before it can run. None of
// this is called for devices that work in host memory.

#include "runtime/exec/context.h"

#include <cstring>

namespace lathe::rt {

using namespace bundle;

// Kernels are promised this much of inputs and outputs; what the caller's
// memory does not give is copied.
static constexpr uintptr_t operandAlignment = 16;

static bool isAligned(const void *address) {
  return reinterpret_cast<uintptr_t>(address) % operandAlignment == 0;
}

Part Context::partOf(uint32_t buffer) const {
  uint32_t root = plan.buffers[buffer].root;
  return {
      residences[root],
      static_cast<uint64_t>(buffers[buffer].address - buffers[root].address),
      buffers[buffer].bytes};
}

uint8_t *Context::hostAddress(uint32_t buffer) const {
  if (!queue)
    return buffers[buffer].address;
  Part part = partOf(buffer);
  return part.root.host + part.offset;
}

//===----------------------------------------------------------------------===//
// Inputs and outputs
//===----------------------------------------------------------------------===//

/// A phase begins: says what is known of where the root's bytes are.
Status Context::settleRoot(uint32_t index) {
  const BufferPlan &facts = plan.buffers[index];
  if (facts.kind == BufferKind::Alias)
    return ok();
  Residence &root = residences[index];
  root.host = nullptr;
  root.bytes = buffers[index].bytes;
  root.onDevice = root.onHost = false;
  if (facts.kind == BufferKind::Constant) {
    root.host = const_cast<uint8_t *>(owner.bundle().constant(facts.index));
    root.onDevice = root.onHost = true;
  } else if (facts.kind == BufferKind::Input) {
    LATHE_TRY(placeInput(index));
  } else if (buffers[index].placed && outputs[facts.output].toHost) {
    // Steps of the host read and write it in the caller's memory.
    root.host = outputs[facts.output].destination;
  }
  root.device = buffers[index].address;
  return ok();
}

/// Can kernels read the tensor where it is? Of an empty one, they may read what
/// stands at its address, and throw it away.
static bool isInPlace(const lathe_tensor_t &tensor, bool isEmpty) {
  return tensor.memory != LATHE_MEMORY_HOST && isAligned(tensor.data) &&
         !isEmpty;
}

Status Context::placeInput(uint32_t index) {
  uint32_t input = plan.buffers[index].index;
  const lathe_tensor_t &tensor = callerInputs[input];
  BufferState &state = buffers[index];
  Residence &root = residences[index];
  bool isOnHost = tensor.memory == LATHE_MEMORY_HOST;
  if (isInPlace(tensor, state.bytes == 0)) {
    root.onDevice = true;
    root.host = input < callerMirrors.size() ? callerMirrors[input] : nullptr;
    root.onHost = root.host != nullptr;
    return ok();
  }
  Room &room = inputRooms[input];
  LATHE_TRY(room.reserve(allocator, queue, state.bytes));
  state.address = room.data();
  if (state.bytes == 0)
    return ok();
  if (isOnHost) {
    root.host = static_cast<uint8_t *>(tensor.data);
    root.onHost = true;
    return ok();
  }
  root.onDevice = true;
  return queue->copy(state.address, tensor.data, state.bytes,
                     Queue::Copy::OnDevice);
}

/// Does an output that the caller's memory cannot be used for, if some is
/// given, take memory of ours? Not if it is copied from another buffer to the
/// host.
bool Context::needsRoom(const OutputState &output,
                        const lathe_tensor_t *given) const {
  return output.placed || (!given && !output.toHost);
}

/// Decides where an output is computed and where it goes.
Status Context::prepareTransfer(size_t index, const lathe_tensor_t *given) {
  OutputState &state = outputs[index];
  bool isInternal = !ownQueue.queue;
  state.toHost =
      given ? given->memory == LATHE_MEMORY_HOST : !isInternal && !keepResults;
  state.destination = given ? static_cast<uint8_t *>(given->data) : nullptr;
  if (!state.toHost && given && isAligned(given->data)) {
    state.address = state.destination;
  } else if (needsRoom(state, given)) {
    LATHE_TRY(state.room.reserve(allocator, queue, state.bytes));
    state.address = state.room.data();
  }
  if (!given && state.toHost) {
    LATHE_TRY(state.host.reserve(allocator, state.bytes));
    state.destination = state.host.data();
  } else if (!given) {
    state.destination = state.address;
  }
  results[index].data = state.destination;
  if (!state.toHost) {
    results[index].memory = owner.device().memory;
    results[index].device_index = owner.device().index;
  }
  return ok();
}

/// Will a run of what bindShapes has bound allocate nothing? Then the last run
/// was of the same sizes, and what it need not have copied has room, too.
bool Context::hasRoomFor(Span<const lathe_tensor_t> inputTensors,
                         Span<const lathe_tensor_t> outputTensors) const {
  if (!isComplete || numPrepared != plan.numPhases)
    return false;
  auto has = [](const Room &room, uint64_t bytes) {
    return room.data() && room.size() >= bytes;
  };
  for (size_t i = 0; i < inputTensors.size(); ++i) {
    const lathe_tensor_t &tensor = inputTensors[i];
    size_t size = lathe_dtype_size(tensor.dtype);
    int64_t elements;
    if (countElements(tensor.dims, tensor.rank, size, &elements).failed())
      return false;
    if (!isInPlace(tensor, elements == 0) &&
        !has(inputRooms[i], uint64_t(elements) * size))
      return false;
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    const lathe_tensor_t *given =
        outputTensors.empty() ? nullptr : &outputTensors[i];
    bool isUsed = given && isAligned(given->data);
    if (!isUsed && needsRoom(outputs[i], given) &&
        !has(outputs[i].room, outputs[i].bytes))
      return false;
  }
  return true;
}

/// Takes what the program has computed to where it belongs.
Status Context::deliver(const OutputState &output, uint32_t buffer) {
  Part part = partOf(buffer);
  uint8_t *onHost = part.root.host ? part.root.host + part.offset : nullptr;
  uint8_t *onDevice = part.root.device + part.offset;
  if (output.toHost) {
    if (onHost == output.destination)
      return residences.toHost(part);
    if (!part.root.onHost)
      return queue->copy(output.destination, onDevice, output.bytes,
                         Queue::Copy::ToHost);
    LATHE_TRY(residences.settle());
    memcpy(output.destination, onHost, output.bytes);
    return ok();
  }
  if (onDevice == output.destination)
    return residences.toDevice(part);
  return part.root.onDevice ? queue->copy(output.destination, onDevice,
                                          output.bytes, Queue::Copy::OnDevice)
                            : queue->copy(output.destination, onHost,
                                          output.bytes, Queue::Copy::ToDevice);
}

//===----------------------------------------------------------------------===//
// Steps of the device
//===----------------------------------------------------------------------===//

Status Context::moveOperands(const Launch &launch) {
  for (uint32_t i = 0; i < sizeOf(launch.reads()); ++i)
    LATHE_TRY(residences.toDevice(partOf(launch.reads()->Get(i))));
  for (uint32_t i = 0; i < sizeOf(launch.writes()); ++i)
    LATHE_TRY(residences.writeOnDevice(partOf(launch.writes()->Get(i))));
  return ok();
}

Status Context::copyTensor(uint8_t *to, const lathe_tensor_t &from,
                           uint64_t size) {
  if (size == 0)
    return ok();
  if (!queue) {
    memcpy(to, from.data, size);
    return ok();
  }
  return queue->copy(to, from.data, size,
                     from.memory == LATHE_MEMORY_HOST ? Queue::Copy::ToDevice
                                                      : Queue::Copy::OnDevice);
}

//===----------------------------------------------------------------------===//
// Steps of the host
//===----------------------------------------------------------------------===//

/// Of a step of the host: false for one that the device has a part in.
static bool isOnHost(const Step &step) {
  switch (step.body_type()) {
  case StepBody::Bind:
  case StepBody::BuiltinCall:
  case StepBody::Check:
    return true;
  default:
    return false;
  }
}

Status Context::fetchReads(uint32_t index, bool isAhead, uint32_t phase) {
  const Step &step = *plan.program().steps()->Get(index);
  auto fetch = [&](uint32_t buffer) {
    // What no step has written yet will come in its time.
    if (buffer == absentOperand ||
        (isAhead && plan.buffers[plan.buffers[buffer].root].phase > phase))
      return ok();
    Part part = partOf(buffer);
    if (isAhead && !Residences::isSmall(part.root))
      return ok();
    return residences.toHost(part);
  };
  if (const Bind *bind = step.body_as_Bind())
    return fetch(bind->source());
  if (const BuiltinCall *call = step.body_as_BuiltinCall())
    for (uint32_t i = 0; i < sizeOf(call->reads()); ++i)
      LATHE_TRY(fetch(call->reads()->Get(i)));
  if (const Loop *loop = step.body_as_Loop())
    for (uint32_t scalar : {loop->count(), loop->condition()})
      LATHE_TRY(fetch(scalar));
  return ok();
}

Status Context::bringToHost(const StepPlan &step) {
  auto index = static_cast<uint32_t>(&step - plan.steps.data());
  LATHE_TRY(fetchReads(index, /*isAhead=*/false, step.phase));
  for (uint32_t i = index + 1; i < plan.steps.size(); ++i) {
    if (!isOnHost(*plan.program().steps()->Get(i)))
      break;
    LATHE_TRY(fetchReads(i, /*isAhead=*/true, step.phase));
  }
  return residences.settle();
}

Status Context::writeOnHost(Indices writes, bool done) {
  for (uint32_t i = 0; i < sizeOf(writes); ++i) {
    if (writes->Get(i) == absentOperand)
      continue;
    Part part = partOf(writes->Get(i));
    LATHE_TRY(done ? residences.endWriteOnHost(part)
                   : residences.beginWriteOnHost(part));
  }
  return ok();
}

} // namespace lathe::rt
