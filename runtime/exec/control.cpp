// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Steps that run other entries: calls and loops. A callee runs in a context of
// its own, which stays for the next run; it takes inputs in place, as the
// model takes its caller's.

#include "runtime/exec/context.h"

#include <cinttypes>
#include <cstring>

namespace lathe::rt {

using namespace bundle;

/// The context at `index` among the children, made when it is first used.
Status Context::child(uint32_t index, uint32_t entry, Context **context) {
  if (!children[index])
    LATHE_TRY(owner.createContext(entry, queue, &children[index]));
  *context = children[index];
  children[index]->isCaptured = isCaptured;
  return ok();
}

/// Evaluates what the callee's first symbols are.
Status Context::giveSymbols(const flatbuffers::Vector<int32_t> *exprs) {
  if (given.size() < sizeOf(exprs))
    LATHE_TRY(given.allocate(allocator, sizeOf(exprs)));
  for (uint32_t i = 0; i < sizeOf(exprs); ++i)
    LATHE_TRY(checkedValue(exprs->Get(i), "a symbol", &given[i]));
  return ok();
}

/// `tensors[tensor]` becomes the memory of `buffer`, for a callee to read, or
/// to write.
Status Context::describeBuffer(uint32_t buffer, uint32_t tensor, bool toWrite) {
  const Buffer &facts = *plan.program().buffers()->Get(buffer);
  int64_t *dims = tensorDims.data() + size_t(tensor) * maxRank;
  for (uint32_t d = 0; d < sizeOf(facts.dims()); ++d)
    LATHE_TRY(checkedValue(facts.dims()->Get(d), "a dim", &dims[d]));
  tensors[tensor] = {
      buffers[buffer].address, static_cast<lathe_dtype_t>(facts.dtype()),
      sizeOf(facts.dims()),    dims,
      owner.device().memory,   owner.device().index};
  if (!queue)
    return ok();
  Part part = partOf(buffer);
  mirrors[tensor] = nullptr;
  if (toWrite)
    return residences.writeOnDevice(part);
  if (!part.root.onHost)
    return ok();
  if (part.root.onDevice) {
    mirrors[tensor] = hostAddress(buffer);
  } else {
    tensors[tensor].data = hostAddress(buffer);
    tensors[tensor].memory = LATHE_MEMORY_HOST;
    tensors[tensor].device_index = 0;
  }
  return ok();
}

/// Copies what a callee has computed, whose dtype and rank were verified.
Status Context::copyResult(const lathe_tensor_t &from, uint32_t buffer) {
  const auto *dims = plan.program().buffers()->Get(buffer)->dims();
  for (uint32_t d = 0; d < from.rank; ++d) {
    int64_t expected;
    LATHE_TRY(checkedValue(dims->Get(d), "a dim", &expected));
    if (from.dims[d] != expected)
      return error(LATHE_FAILED_PRECONDITION,
                   "dim %u of a result is %" PRId64 " and should be %" PRId64,
                   d, from.dims[d], expected);
  }
  if (queue)
    LATHE_TRY(residences.writeOnDevice(partOf(buffer)));
  return copyTensor(buffers[buffer].address, from, buffers[buffer].bytes);
}

//===----------------------------------------------------------------------===//
// Calls
//===----------------------------------------------------------------------===//

Status Context::chooseCallee(const Call &call, uint32_t *chosen) const {
  for (uint32_t i = 0; i < sizeOf(call.callees()); ++i) {
    const auto *conditions = call.callees()->Get(i)->conditions();
    bool holds = true;
    for (uint32_t c = 0; c < sizeOf(conditions); ++c) {
      int64_t found;
      LATHE_TRY(checkedValue(conditions->Get(c), "a condition", &found));
      holds &= found >= 0;
    }
    *chosen = i;
    if (holds)
      return ok();
  }
  return error(LATHE_FAILED_PRECONDITION, "no callee takes these sizes (%s)",
               describeSymbols().c_str());
}

Status Context::call(const Call &call, const StepPlan &step,
                     lathe_profile_t *profile) {
  uint32_t numReads = sizeOf(call.reads()), numWrites = sizeOf(call.writes());
  uint32_t chosen;
  LATHE_TRY(chooseCallee(call, &chosen));
  Context *callee;
  LATHE_TRY(child(step.firstChild + chosen,
                  call.callees()->Get(chosen)->entry(), &callee));
  LATHE_TRY(giveSymbols(call.symbols()));
  for (uint32_t i = 0; i < numReads; ++i)
    LATHE_TRY(describeBuffer(call.reads()->Get(i), i, /*toWrite=*/false));
  Span<const int64_t> symbolValues = {given.data(), sizeOf(call.symbols())};
  Span<const lathe_tensor_t> inputs = {tensors.data(), numReads};
  if (!step.binds) {
    // The callee writes to where its results belong.
    for (uint32_t i = 0; i < numWrites; ++i)
      LATHE_TRY(describeBuffer(call.writes()->Get(i), numReads + i,
                               /*toWrite=*/true));
    return callee->runInternal(symbolValues, inputs,
                               {tensors.data() + numReads, numWrites}, profile,
                               {mirrors.data(), numReads});
  }
  LATHE_TRY(callee->runInternal(symbolValues, inputs, {}, profile,
                                {mirrors.data(), numReads}));
  Span<const lathe_tensor_t> results = callee->outputTensors();
  for (uint32_t i = 0; i < numWrites; ++i) {
    shapes[i].rank = results[i].rank;
    for (uint32_t d = 0; d < results[i].rank; ++d)
      shapes[i].dims[d] = results[i].dims[d];
  }
  LATHE_TRY(bindResults(call.binds(), call.writes(), step.phase));
  for (uint32_t i = 0; i < numWrites; ++i)
    LATHE_TRY(annotate(copyResult(results[i], call.writes()->Get(i)),
                       "result %u", i));
  return ok();
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

// `tensors` holds the body's inputs: the number, carried values, reads. Two
// contexts take turns, so that an iteration reads the last one's results in
// place.

Status Context::loop(const Loop &loop, const StepPlan &step,
                     lathe_profile_t *profile) {
  uint32_t numCarried = sizeOf(loop.carried());
  LATHE_TRY(giveSymbols(loop.symbols()));
  for (uint32_t i = 0; i < numCarried; ++i)
    LATHE_TRY(describeBuffer(loop.carried()->Get(i), 1 + i, /*toWrite=*/false));
  for (uint32_t i = 0; i < sizeOf(loop.reads()); ++i) {
    // Once, and not in each iteration.
    if (queue)
      LATHE_TRY(residences.toDevice(partOf(loop.reads()->Get(i))));
    LATHE_TRY(describeBuffer(loop.reads()->Get(i), 1 + numCarried + i,
                             /*toWrite=*/false));
  }
  for (uint32_t i = 0; i < sizeOf(loop.writes()) - numCarried; ++i) {
    Stack &stack = stacks[step.firstStack + i];
    stack.bytes = 0;
    memset(stack.dims, 0, sizeof(stack.dims));
  }
  int64_t iterations;
  LATHE_TRY(iterate(loop, step, &iterations, profile));
  return finishLoop(loop, step, iterations);
}

Status Context::iterate(const Loop &loop, const StepPlan &step,
                        int64_t *iterations, lathe_profile_t *profile) {
  uint32_t numCarried = sizeOf(loop.carried());
  uint32_t numInputs = 1 + numCarried + sizeOf(loop.reads());
  int64_t limit = INT64_MAX;
  if (queue)
    LATHE_TRY(bringToHost(step));
  if (loop.count() != absentOperand) {
    if (buffers[loop.count()].elements != 1)
      return error(LATHE_FAILED_PRECONDITION, "the count is not one number");
    memcpy(&limit, hostAddress(loop.count()), sizeof(limit));
  }
  bool goOn = true;
  if (loop.condition() != absentOperand) {
    if (buffers[loop.condition()].elements != 1)
      return error(LATHE_FAILED_PRECONDITION, "the condition is not one value");
    goOn = *hostAddress(loop.condition()) != 0;
  }
  int64_t i = 0;
  for (; goOn && i < limit; ++i) {
    Context *body;
    LATHE_TRY(child(step.firstChild + (i & 1), loop.body(), &body));
    tensors[0] = {&i, LATHE_DTYPE_I64, 0, nullptr, LATHE_MEMORY_HOST, 0};
    LATHE_TRY(annotate(body->runInternal({given.data(), sizeOf(loop.symbols())},
                                         {tensors.data(), numInputs}, {},
                                         profile, {mirrors.data(), numInputs}),
                       "iteration %" PRId64, i));
    Span<const lathe_tensor_t> results = body->outputTensors();
    uint8_t condition;
    LATHE_TRY(body->readOutput(0, &condition, sizeof(condition)));
    goOn = condition != 0;
    for (uint32_t c = 1; c <= numCarried; ++c) {
      tensors[c] = results[c];
      mirrors[c] = nullptr;
    }
    LATHE_TRY(collect(loop, step, i, results));
  }
  *iterations = i;
  return ok();
}

/// Appends what iteration `number` gives to the collected results.
Status Context::collect(const Loop &loop, const StepPlan &step, int64_t number,
                        Span<const lathe_tensor_t> results) {
  uint32_t numCarried = sizeOf(loop.carried());
  for (uint32_t i = 0; i < sizeOf(loop.writes()) - numCarried; ++i) {
    const lathe_tensor_t &result = results[1 + numCarried + i];
    Stack &stack = stacks[step.firstStack + i];
    for (uint32_t d = 0; d < result.rank; ++d) {
      int64_t &size = stack.dims[1 + d];
      if (number && size != result.dims[d])
        return error(LATHE_FAILED_PRECONDITION,
                     "collected result %u: dim %u is %" PRId64
                     " in iteration %" PRId64 " and was %" PRId64,
                     i, d, result.dims[d], number, size);
      size = result.dims[d];
    }
    int64_t elements;
    size_t elementSize = lathe_dtype_size(result.dtype);
    LATHE_TRY(countElements(result.dims, result.rank, elementSize, &elements));
    uint64_t size = uint64_t(elements) * elementSize;
    LATHE_TRY(
        stack.room.extend(allocator, queue, stack.bytes + size, stack.bytes));
    LATHE_TRY(copyTensor(stack.room.data() + stack.bytes, result, size));
    stack.bytes += size;
  }
  return ok();
}

/// What the loop gives, as tensors behind the body's inputs.
Status Context::finishLoop(const Loop &loop, const StepPlan &step,
                           int64_t iterations) {
  uint32_t numCarried = sizeOf(loop.carried());
  uint32_t numWrites = sizeOf(loop.writes());
  lathe_tensor_t *results =
      tensors.data() + 1 + numCarried + sizeOf(loop.reads());
  for (uint32_t i = 0; i < numWrites; ++i) {
    const Buffer &write = *plan.program().buffers()->Get(loop.writes()->Get(i));
    if (i < numCarried) {
      results[i] = tensors[1 + i];
    } else {
      Stack &stack = stacks[step.firstStack + i - numCarried];
      stack.dims[0] = iterations;
      results[i] = {
          stack.room.data(),     static_cast<lathe_dtype_t>(write.dtype()),
          sizeOf(write.dims()),  stack.dims,
          owner.device().memory, owner.device().index};
    }
    shapes[i].rank = results[i].rank;
    for (uint32_t d = 0; d < results[i].rank; ++d)
      shapes[i].dims[d] = results[i].dims[d];
  }
  if (step.binds)
    LATHE_TRY(bindResults(loop.binds(), loop.writes(), step.phase));
  for (uint32_t i = 0; i < numWrites; ++i) {
    // Elements that never were have no dims to compare.
    bool isEmptyStack = i >= numCarried && iterations == 0;
    if (isEmptyStack && buffers[loop.writes()->Get(i)].bytes == 0)
      continue;
    LATHE_TRY(annotate(copyResult(results[i], loop.writes()->Get(i)),
                       "result %u", i));
  }
  return ok();
}

} // namespace lathe::rt
