// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From the values of symbols to sizes, addresses and grids.

#include "runtime/exec/context.h"

#include <cinttypes>

namespace lathe::rt {

using namespace bundle;

// Where buffers without elements are.
alignas(Block::alignment) static uint8_t nothing[Block::alignment];

Status checkMemory(const lathe_tensor_t &tensor, const Device &device) {
  if (tensor.memory == LATHE_MEMORY_HOST)
    return ok();
  if (tensor.memory == device.memory && tensor.device_index == device.index)
    return ok();
  return error(
      LATHE_INVALID_ARGUMENT,
      "it is in memory of kind %d of device %d, and the model works in "
      "memory of kind %d of device %d and of the host",
      int(tensor.memory), tensor.device_index, int(device.memory),
      device.index);
}

static constexpr int64_t maxPrograms = int64_t(1) << 48;

Status Context::beginPhase(uint32_t phase) {
  if (numPrepared <= phase) {
    LATHE_TRY(preparePhase(phase));
    numPrepared = phase + 1;
  }
  return assignAddresses(phase);
}

Status Context::preparePhase(uint32_t phase) {
  evaluatePhase(phase);
  LATHE_TRY(runChecks(phase));
  LATHE_TRY(sizeBuffers(phase));
  LATHE_TRY(placeBuffers(phase));
  return prepareLaunches(phase);
}

//===----------------------------------------------------------------------===//
// Expressions
//===----------------------------------------------------------------------===//

void Context::evaluatePhase(uint32_t phase) {
  for (uint32_t i = 0; i < exprs.size(); ++i)
    if (plan.exprPhase[i] == phase)
      exprs[i] =
          evaluate(*plan.entry().exprs()->Get(i), exprs.data(), symbols.data());
}

Text<256> Context::describeSymbols() const {
  Text<256> text;
  for (uint32_t i = 0; i < symbols.size(); ++i) {
    if (symbols[i].state != ExprValue::Known)
      continue;
    text.separate();
    text.add("%s = %" PRId64, textOf(plan.entry().symbols()->Get(i)),
             symbols[i].value);
  }
  return text;
}

Status Context::checkedValue(int32_t expr, const char *what,
                             int64_t *result) const {
  ExprValue found = value(expr);
  *result = found.value;
  if (found.state == ExprValue::Known)
    return ok();
  const char *why = found.state == ExprValue::Overflow
                        ? "overflows"
                        : "divides by a number that is not positive";
  return error(LATHE_FAILED_PRECONDITION, "%s %s (%s)", what, why,
               describeSymbols().c_str());
}

Status Context::check(const Check &check) const {
  bool holds = true;
  int64_t found;
  for (uint32_t i = 0; i < sizeOf(check.conditions()); ++i) {
    LATHE_TRY(checkedValue(check.conditions()->Get(i), "a condition", &found));
    holds &= found >= 0;
  }
  for (uint32_t i = 0; i < sizeOf(check.equalities()); ++i) {
    LATHE_TRY(checkedValue(check.equalities()->Get(i), "a condition", &found));
    holds &= found == 0;
  }
  if (holds)
    return ok();
  return error(LATHE_FAILED_PRECONDITION, "%s (%s)", textOf(check.message()),
               describeSymbols().c_str());
}

/// Checks come first: their messages say more than a size that overflows.
Status Context::runChecks(uint32_t phase) {
  for (uint32_t i = 0; i < plan.steps.size(); ++i)
    if (plan.steps[i].phase == phase)
      if (const Check *step = plan.program().steps()->Get(i)->body_as_Check())
        LATHE_TRY(check(*step));
  return ok();
}

//===----------------------------------------------------------------------===//
// Buffers
//===----------------------------------------------------------------------===//

Status Context::sizeBuffers(uint32_t phase) {
  for (uint32_t i = 0; i < buffers.size(); ++i)
    if (plan.buffers[i].phase == phase)
      LATHE_TRY(annotate(sizeBuffer(i), "buffer %u", i));
  return ok();
}

Status Context::sizeBuffer(uint32_t index) {
  const BufferPlan &facts = plan.buffers[index];
  const auto *dimExprs = plan.program().buffers()->Get(index)->dims();
  BufferState &state = buffers[index];
  int64_t dims[maxRank];
  for (uint32_t d = 0; d < sizeOf(dimExprs); ++d)
    LATHE_TRY(checkedValue(dimExprs->Get(d), "a dim", &dims[d]));
  LATHE_TRY(countElements(dims, sizeOf(dimExprs), facts.elementSize,
                          &state.elements));
  state.bytes = uint64_t(state.elements) * facts.elementSize;

  switch (facts.kind) {
  case BufferKind::Alias:
    return sizeAlias(index);
  case BufferKind::Constant: {
    const Constant &constant =
        *owner.bundle().manifest().constants()->Get(facts.index);
    if (state.bytes > constant.size())
      return error(LATHE_CORRUPT,
                   "%" PRIu64 " bytes of a constant that has %" PRIu64,
                   state.bytes, constant.size());
    return ok();
  }
  case BufferKind::Input: {
    const auto *inputDims = plan.entry().inputs()->Get(facts.index)->dims();
    int64_t elements;
    for (uint32_t d = 0; d < sizeOf(inputDims); ++d)
      dims[d] = value(inputDims->Get(d)).value;
    LATHE_TRY(
        countElements(dims, sizeOf(inputDims), facts.elementSize, &elements));
    if (elements != state.elements)
      return error(LATHE_CORRUPT, "its size is not that of the input");
    return ok();
  }
  default:
    return ok();
  }
}

Status Context::sizeAlias(uint32_t index) {
  BufferState &state = buffers[index];
  const BufferState &source = buffers[plan.buffers[index].index];
  int32_t expr = plan.program().buffers()->Get(index)->offset();
  int64_t offset = 0;
  if (expr >= 0)
    LATHE_TRY(checkedValue(expr, "the offset", &offset));
  if (offset < 0 || offset > source.elements ||
      state.elements > source.elements - offset)
    return error(LATHE_CORRUPT,
                 "%" PRId64 " elements at %" PRId64
                 " exceed their source of %" PRId64,
                 state.elements, offset, source.elements);
  state.offset = uint64_t(offset) * plan.buffers[index].elementSize;
  return ok();
}

/// Decides whether the root of an output is written right into it.
Status Context::placeOutput(uint32_t buffer, bool *placed) {
  uint32_t output = plan.buffers[buffer].output;
  *placed = false;
  if (output == noIndex)
    return ok();
  LATHE_TRY(outputDims(output));
  *placed = outputs[output].placed =
      outputs[output].bytes == buffers[buffer].bytes;
  return ok();
}

Status Context::placeBuffers(uint32_t phase) {
  uint32_t numItems = 0;
  auto isItem = [&](uint32_t i) {
    BufferKind kind = plan.buffers[i].kind;
    return plan.buffers[i].phase == phase && !buffers[i].placed &&
           (kind == BufferKind::Transient || kind == BufferKind::Output);
  };
  for (uint32_t i = 0; i < buffers.size(); ++i) {
    const BufferPlan &facts = plan.buffers[i];
    if (facts.phase != phase)
      continue;
    LATHE_TRY(placeOutput(i, &buffers[i].placed));
    if (isItem(i))
      items[numItems++] = {buffers[i].bytes, facts.firstStep, facts.lastStep,
                           0};
  }
  uint64_t total;
  LATHE_TRY(layOut({items.data(), numItems}, itemOrder.span(), &total));
  LATHE_TRY(arenas[phase].reserve(allocator, queue, total));
  uint32_t item = 0;
  for (uint32_t i = 0; i < buffers.size(); ++i)
    if (isItem(i))
      buffers[i].offset = items[item++].offset;
  return ok();
}

Status Context::assignAddresses(uint32_t phase) {
  for (uint32_t i = 0; i < buffers.size(); ++i)
    if (plan.buffers[i].phase == phase)
      LATHE_TRY(assignAddress(i));
  return ok();
}

Status Context::assignAddress(uint32_t index) {
  const BufferPlan &facts = plan.buffers[index];
  BufferState &state = buffers[index];
  switch (facts.kind) {
  case BufferKind::Alias:
    state.address = buffers[facts.index].address + state.offset;
    return ok();
  case BufferKind::Constant:
    state.address = owner.constant(facts.index);
    break;
  case BufferKind::Input:
    state.address = static_cast<uint8_t *>(callerInputs[facts.index].data);
    if (!state.elements)
      state.address = nothing;
    break;
  case BufferKind::Transient:
  case BufferKind::Output:
    if (state.placed) {
      LATHE_TRY(prepareOutput(facts.output));
      state.address = outputs[facts.output].address;
    } else {
      state.address = arenas[facts.phase].data() + state.offset;
    }
    break;
  }
  return queue ? settleRoot(index) : ok();
}

//===----------------------------------------------------------------------===//
// Outputs
//===----------------------------------------------------------------------===//

Status Context::outputDims(size_t index) {
  const TensorInfo &info =
      *plan.entry().outputs()->Get(static_cast<uint32_t>(index));
  OutputState &state = outputs[index];
  int64_t elements;
  for (uint32_t d = 0; d < sizeOf(info.dims()); ++d)
    LATHE_TRY(checkedValue(info.dims()->Get(d), "a dim", &state.dims[d]));
  LATHE_TRY(annotate(countElements(state.dims, sizeOf(info.dims()),
                                   dtypeSize(info.dtype()), &elements),
                     "output '%s'", textOf(info.name())));
  state.bytes = uint64_t(elements) * dtypeSize(info.dtype());
  return ok();
}

/// The caller's tensor for an output must be exactly what the output is.
static Status checkOutputTensor(const TensorInfo &info,
                                const lathe_tensor_t &tensor,
                                const int64_t *dims, uint64_t bytes,
                                const Device &device) {
  const char *name = textOf(info.name());
  auto dtype = static_cast<lathe_dtype_t>(info.dtype());
  if (tensor.dtype != dtype)
    return error(LATHE_INVALID_ARGUMENT,
                 "output '%s' is %s, and the buffer for it %s", name,
                 lathe_dtype_name(dtype), lathe_dtype_name(tensor.dtype));
  if (tensor.rank != sizeOf(info.dims()) || (tensor.rank && !tensor.dims))
    return error(LATHE_INVALID_ARGUMENT,
                 "output '%s' has rank %u, and the buffer for it %u", name,
                 sizeOf(info.dims()), tensor.rank);
  for (uint32_t d = 0; d < tensor.rank; ++d)
    if (tensor.dims[d] != dims[d])
      return error(LATHE_INVALID_ARGUMENT,
                   "output '%s': dim %u is %" PRId64
                   ", and that of the buffer for it %" PRId64,
                   name, d, dims[d], tensor.dims[d]);
  if (bytes && !tensor.data)
    return error(LATHE_INVALID_ARGUMENT, "output '%s': no buffer was given",
                 name);
  LATHE_TRY(annotate(checkMemory(tensor, device), "output '%s'", name));
  if (reinterpret_cast<uintptr_t>(tensor.data) % lathe_dtype_size(dtype))
    return error(LATHE_INVALID_ARGUMENT,
                 "output '%s': its buffer is not aligned to %zu bytes", name,
                 lathe_dtype_size(dtype));
  return ok();
}

Status Context::prepareOutput(size_t index) {
  const TensorInfo &info =
      *plan.entry().outputs()->Get(static_cast<uint32_t>(index));
  OutputState &state = outputs[index];
  results[index] = {nullptr,
                    static_cast<lathe_dtype_t>(info.dtype()),
                    sizeOf(info.dims()),
                    state.dims,
                    LATHE_MEMORY_HOST,
                    0};
  const lathe_tensor_t *given =
      callerOutputs.empty() ? nullptr : &callerOutputs[index];
  if (given)
    LATHE_TRY(checkOutputTensor(info, *given, state.dims, state.bytes,
                                owner.device()));
  if (queue)
    return prepareTransfer(index, given);
  if (given) {
    state.address = state.bytes ? static_cast<uint8_t *>(given->data) : nothing;
  } else {
    LATHE_TRY(state.room.reserve(allocator, nullptr, state.bytes));
    state.address = state.room.data();
  }
  results[index].data = state.address;
  return ok();
}

Status Context::outputShape(size_t index, int64_t *dims, uint32_t *rank) {
  if (index >= outputs.size())
    return error(LATHE_INVALID_ARGUMENT, "output %zu of %zu", index,
                 outputs.size());
  const auto *info =
      plan.entry().outputs()->Get(static_cast<uint32_t>(index))->dims();
  LATHE_TRY(runChecks(0));
  for (uint32_t d = 0; d < sizeOf(info); ++d) {
    dims[d] = -1;
    if (plan.exprPhase[static_cast<size_t>(info->Get(d))] == 0)
      LATHE_TRY(checkedValue(info->Get(d), "a dim", &dims[d]));
  }
  *rank = sizeOf(info);
  return ok();
}

//===----------------------------------------------------------------------===//
// Launches
//===----------------------------------------------------------------------===//

Status Context::prepareLaunches(uint32_t phase) {
  for (uint32_t i = 0; i < plan.steps.size(); ++i) {
    const Launch *step = plan.program().steps()->Get(i)->body_as_Launch();
    if (step && plan.steps[i].phase == phase)
      LATHE_TRY(annotate(prepareLaunch(*step, plan.steps[i]), "launch '%s'",
                         textOf(step->label())));
  }
  return ok();
}

static bool sameConditions(const Choice &a, const Choice &b) {
  if (sizeOf(a.conditions()) != sizeOf(b.conditions()))
    return false;
  for (uint32_t i = 0; i < sizeOf(a.conditions()); ++i)
    if (a.conditions()->Get(i) != b.conditions()->Get(i))
      return false;
  return true;
}

uint32_t Context::alternativeOf(const Launch &launch, uint32_t first) const {
  uint32_t wanted = owner.alternative();
  if (wanted == 0)
    return 0;
  uint32_t count = 1;
  while (first + count < sizeOf(launch.choices()) &&
         sameConditions(*launch.choices()->Get(first),
                        *launch.choices()->Get(first + count)))
    ++count;
  return wanted % count;
}

Status Context::choose(const Launch &launch, const Choice **chosen) const {
  for (uint32_t i = 0; i < sizeOf(launch.choices()); ++i) {
    const Choice &choice = *launch.choices()->Get(i);
    bool holds = true;
    for (uint32_t c = 0; c < sizeOf(choice.conditions()); ++c) {
      int64_t found;
      LATHE_TRY(
          checkedValue(choice.conditions()->Get(c), "a condition", &found));
      holds &= found >= 0;
    }
    if (holds) {
      *chosen = launch.choices()->Get(i + alternativeOf(launch, i));
      return ok();
    }
  }
  return error(LATHE_FAILED_PRECONDITION, "no kernel takes these sizes (%s)",
               describeSymbols().c_str());
}

Status Context::prepareLaunch(const Launch &launch, const StepPlan &step) {
  const Choice *choice;
  LATHE_TRY(choose(launch, &choice));
  LaunchState &state = launches[step.launch];
  state.kernel = choice->kernel();
  state.programs = 1;
  bool empty = false;
  for (uint32_t d = 0; d < 3; ++d) {
    LATHE_TRY(checkedValue(choice->grid()->Get(d), "the grid", &state.grid[d]));
    if (state.grid[d] < 0 || state.grid[d] > maxPrograms ||
        (state.grid[d] && state.programs > maxPrograms / state.grid[d]))
      return error(LATHE_CORRUPT, "grid dim %u is %" PRId64, d, state.grid[d]);
    empty |= state.grid[d] == 0;
    state.programs *= state.grid[d] ? state.grid[d] : 1;
  }
  if (empty)
    state.programs = 0;
  for (uint32_t i = 0; i < sizeOf(launch.scalars()); ++i)
    LATHE_TRY(checkedValue(launch.scalars()->Get(i), "a scalar",
                           &scalars[step.firstScalar + i]));

  ExprValue flops = launch.flops() < 0 ? ExprValue() : value(launch.flops());
  state.flops =
      flops.state == ExprValue::Known && flops.value >= 0 ? flops.value : -1;
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < sizeOf(launch.reads()); ++i)
    bytes += buffers[launch.reads()->Get(i)].bytes;
  for (uint32_t i = 0; i < sizeOf(launch.writes()); ++i)
    bytes += buffers[launch.writes()->Get(i)].bytes;
  state.bytes = bytes > INT64_MAX ? INT64_MAX : static_cast<int64_t>(bytes);
  return ok();
}

} // namespace lathe::rt
