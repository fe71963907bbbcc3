// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/exec/context.h"
#include "runtime/exec/guard.h"

#include <cinttypes>
#include <cstring>

namespace lathe::rt {

using namespace bundle;

Context::Context(const Allocator &allocator, const lathe_model_t &model,
                 size_t entry)
    : allocator(allocator), owner(model), entryIndex(entry),
      plan(model.plan(entry)), residences(allocator) {
  handle.context = this;
}

Status Context::create(Queue *given) {
  if (!given)
    LATHE_TRY(owner.device().createQueue(&ownQueue.queue));
  queue = given ? given : ownQueue.queue;
  size_t numBuffers = plan.buffers.size(), numOutputs = 0;
  numOutputs = sizeOf(plan.entry().outputs());
  LATHE_TRY(symbols.allocate(allocator, plan.symbolPhase.size()));
  LATHE_TRY(definedBy.allocate(allocator, plan.symbolPhase.size()));
  LATHE_TRY(shapes.allocate(allocator, plan.maxOperands));
  LATHE_TRY(exprs.allocate(allocator, plan.exprPhase.size()));
  for (uint32_t i = 0; i < exprs.size(); ++i)
    if (plan.entry().exprs()->Get(i)->op() == ExprOp::Const)
      exprs[i] = ExprValue::known(plan.entry().exprs()->Get(i)->value());
  LATHE_TRY(buffers.allocate(allocator, numBuffers));
  LATHE_TRY(items.allocate(allocator, numBuffers));
  LATHE_TRY(itemOrder.allocate(allocator, 2 * numBuffers));
  LATHE_TRY(launches.allocate(allocator, plan.numLaunches));
  LATHE_TRY(scalars.allocate(allocator, plan.numScalars));
  LATHE_TRY(pointers.allocate(allocator, plan.maxOperands));
  LATHE_TRY(sizes.allocate(allocator, plan.maxOperands));
  LATHE_TRY(operands.allocate(allocator, plan.maxOperands));
  LATHE_TRY(arenas.allocate(allocator, plan.numPhases));
  LATHE_TRY(children.allocate(allocator, plan.numChildren));
  LATHE_TRY(stacks.allocate(allocator, plan.numStacks));
  size_t numTensors = plan.numChildren ? plan.maxOperands : 0;
  LATHE_TRY(tensors.allocate(allocator, numTensors));
  LATHE_TRY(mirrors.allocate(allocator, numTensors));
  LATHE_TRY(tensorDims.allocate(allocator, numTensors * maxRank));
  LATHE_TRY(outputs.allocate(allocator, numOutputs));
  if (queue) {
    LATHE_TRY(residences.create(*queue, numBuffers));
    LATHE_TRY(inputRooms.allocate(allocator, sizeOf(plan.entry().inputs())));
    LATHE_TRY(recordings.create(allocator, *queue, plan));
  }
  return results.allocate(allocator, numOutputs);
}

Context::~Context() {
  for (Context *context : children)
    if (context)
      context->destroy();
}

/// Nobody but the device may have work left when a run is only queued.
Status Context::checkEnqueue(Span<const lathe_tensor_t> inputTensors,
                             Span<const lathe_tensor_t> outputTensors,
                             const lathe_run_options_t &options) const {
  if (!queue)
    return error(LATHE_INVALID_ARGUMENT,
                 "enqueue: the device '%s' runs calls as they come",
                 owner.deviceType().name);
  if (!options.stream || options.profile || options.device_ns)
    return error(LATHE_INVALID_ARGUMENT,
                 options.stream ? "enqueue: there is no profile and no "
                                  "device_ns of a run that is only queued"
                                : "enqueue: no stream is given");
  if (outputTensors.empty() && !options.device_results)
    return error(LATHE_INVALID_ARGUMENT,
                 "enqueue: the results must stay on the device");
  auto check = [&](const lathe_tensor_t &tensor, const char *what,
                   size_t index) -> Status {
    if (tensor.memory == owner.device().memory)
      return ok();
    return error(LATHE_INVALID_ARGUMENT,
                 "enqueue: %s %zu is not in the device's memory", what, index);
  };
  for (size_t i = 0; i < inputTensors.size(); ++i)
    LATHE_TRY(check(inputTensors[i], "input", i));
  for (size_t i = 0; i < outputTensors.size(); ++i)
    LATHE_TRY(check(outputTensors[i], "output", i));
  return ok();
}

bool Context::isHeldFor(void *stream) const {
  bool isCapturing = false;
  return heldFor == stream &&
         !queue->isCapturing(nullptr, &isCapturing).failed() && isCapturing;
}

/// Begins after what is in the caller's stream, and inside of its capture. What
/// can be refused is, before the queue is a part of that: nobody but the caller
/// can take it out again.
Status Context::followStream(Span<const lathe_tensor_t> inputTensors,
                             Span<const lathe_tensor_t> outputTensors,
                             const lathe_run_options_t &options) {
  LATHE_TRY(queue->isCapturing(options.stream, &isCaptured));
  if (isCaptured && !options.enqueue)
    return error(LATHE_INVALID_ARGUMENT,
                 "the stream is being captured: only a run that is queued "
                 "(lathe_run_options_t.enqueue) can be a part of that");
  if (isCaptured && plan.hasHostSteps)
    return error(
        LATHE_INVALID_ARGUMENT,
        "the stream is being captured, and the model has steps that run "
        "on the host: indices or sizes that are data, loops, other "
        "built-ins");
  if (isCaptured) {
    LATHE_TRY(bindShapes(inputTensors, true));
    if (!hasRoomFor(inputTensors, outputTensors))
      return error(LATHE_FAILED_PRECONDITION,
                   "the stream is being captured, and no memory can be made "
                   "for a run meanwhile: before each capture, run once with "
                   "the same shapes and options");
    heldFor = options.stream;
  }
  return queue->follow(options.stream);
}

/// The caller's memory is in use until the work is done, also after an error.
Status Context::leaveQueue(const lathe_run_options_t &options, bool hasFailed) {
  // Nobody can wait in a capture, and one that a stream does not come back to
  // is of no use.
  if (isCaptured || (options.enqueue && !hasFailed))
    return queue->lead(options.stream);
  return queue->wait();
}

Status Context::run(Span<const lathe_tensor_t> inputTensors,
                    Span<const lathe_tensor_t> outputTensors,
                    const lathe_run_options_t &options) {
  if (options.enqueue)
    LATHE_TRY(checkEnqueue(inputTensors, outputTensors, options));
  lathe_profile_t *profile = options.profile;
  keepResults = options.device_results != 0 && queue;
  isTimed = profile || options.device_ns;
  isCaptured = false;
  uint64_t begin = isTimed ? now() : 0;
  if (profile)
    LATHE_TRY(profile->begin(plan.steps.size(), begin));
  if (queue && options.stream)
    LATHE_TRY(followStream(inputTensors, outputTensors, options));
  Status status = runInternal({}, inputTensors, outputTensors, profile);
  if (queue && isTimed && !status.failed())
    status = queue->mark(lathe_profile_t::endMark);
  if (queue) {
    Status done = leaveQueue(options, status.failed());
    if (!status.failed())
      status = static_cast<Status &&>(done);
  }
  if (status.failed() && profile)
    profile->numSteps = 0; // They have no times.
  if (status.failed() || !isTimed)
    return status;
  uint64_t ns = now() - begin;
  if (queue)
    LATHE_TRY(queue->elapsed(lathe_profile_t::beginMark,
                             lathe_profile_t::endMark, &ns));
  if (options.device_ns)
    *options.device_ns = ns;
  if (!profile)
    return ok();
  profile->arenaBytes = arenaBytes();
  return profile->end(queue);
}

Status Context::runInternal(Span<const int64_t> symbolValues,
                            Span<const lathe_tensor_t> inputTensors,
                            Span<const lathe_tensor_t> outputTensors,
                            lathe_profile_t *profile,
                            Span<uint8_t *const> inputMirrors) {
  givenSymbols = symbolValues;
  callerMirrors = inputMirrors;
  callerInputs = inputTensors;
  callerOutputs = outputTensors;
  isComplete = false;
  LATHE_TRY(bindShapes(inputTensors, true));
  LATHE_TRY(beginPhase(0));
  if (queue && isTimed) {
    LATHE_TRY(queue->mark(lathe_profile_t::beginMark));
    // The device, idle until now, has come there at once.
    if (profile) {
      LATHE_TRY(queue->mark(lathe_profile_t::secondMark));
      profile->beginNs = now();
    }
  }
  LATHE_TRY(runSteps(profile));
  LATHE_TRY(finishOutputs());
  isComplete = true;
  return ok();
}

Status Context::readOutput(size_t output, void *to, size_t size) {
  uint32_t buffer =
      plan.program().outputs()->Get(static_cast<uint32_t>(output));
  if (queue) {
    LATHE_TRY(residences.toHost(partOf(buffer)));
    LATHE_TRY(residences.settle());
  }
  memcpy(to, hostAddress(buffer), size);
  return ok();
}

uint64_t Context::arenaBytes() const {
  uint64_t bytes = 0;
  for (const Room &arena : arenas)
    bytes += arena.size();
  for (const Room &room : inputRooms)
    bytes += room.size();
  for (const OutputState &output : outputs)
    bytes += output.room.size();
  for (const Stack &stack : stacks)
    bytes += stack.room.size();
  for (const Context *context : children)
    bytes += context ? context->arenaBytes() : 0;
  return bytes;
}

Status Context::runSteps(lathe_profile_t *profile) {
  for (uint32_t i = 0; i < plan.steps.size(); ++i) {
    uint32_t range = plan.steps[i].range;
    if (queue && !profile && !isCaptured && range != noIndex) {
      LATHE_TRY(runRecorded(plan.ranges[range]));
      i = plan.ranges[range].end - 1;
      continue;
    }
    LATHE_TRY(runStep(i, profile));
  }
  return ok();
}

Status Context::runStep(uint32_t index, lathe_profile_t *profile) {
  const Step &step = *plan.program().steps()->Get(index);
  const StepPlan &facts = plan.steps[index];
  switch (step.body_type()) {
  case StepBody::Launch:
    return launch(*step.body_as_Launch(), facts, profile);
  case StepBody::BuiltinCall: {
    const BuiltinCall &call = *step.body_as_BuiltinCall();
    return annotate(callBuiltin(call, facts, profile), "%s '%s'",
                    textOf(call.callee()), textOf(call.label()));
  }
  case StepBody::Bind:
    if (queue)
      LATHE_TRY(bringToHost(facts));
    LATHE_TRY(bindFromBuffer(*step.body_as_Bind()));
    return beginPhase(facts.phase + 1);
  case StepBody::Call: {
    const Call &step = *plan.program().steps()->Get(index)->body_as_Call();
    return annotate(call(step, facts, profile), "call '%s'",
                    textOf(step.label()));
  }
  case StepBody::Loop: {
    const Loop &step = *plan.program().steps()->Get(index)->body_as_Loop();
    return annotate(loop(step, facts, profile), "loop '%s'",
                    textOf(step.label()));
  }
  default:
    return ok(); // Checks were made when the phase began.
  }
}

//===----------------------------------------------------------------------===//
// Launches
//===----------------------------------------------------------------------===//

/// The launch between guard pages.
Status Context::launchChecked(const Launch &launch, uint32_t kernel,
                              const LaunchArgs &args) const {
  uint32_t numReads = sizeOf(launch.reads());
  Array<GuardedOperand> guarded;
  LATHE_TRY(guarded.allocate(allocator, numReads + sizeOf(launch.writes())));
  for (uint32_t i = 0; i < guarded.size(); ++i) {
    bool written = i >= numReads;
    uint32_t buffer =
        written ? launch.writes()->Get(i - numReads) : launch.reads()->Get(i);
    guarded[i] = {buffers[buffer].address, buffers[buffer].bytes, written};
  }
  return annotate(
      launchGuarded(owner.executable(), kernel, args,
                    {guarded.data(), guarded.size()}, allocator),
      "launch '%s': kernel '%s'", textOf(launch.label()),
      textOf(owner.variantTable().kernels()->Get(kernel)->symbol()));
}

Status Context::issue(const Launch &launch, const StepPlan &step,
                      uint32_t *threads) {
  const LaunchState &state = launches[step.launch];
  if (!state.programs)
    return ok();
  uint32_t numReads = sizeOf(launch.reads());
  auto pass = [&](uint32_t operand, uint32_t buffer) {
    pointers[operand] = buffers[buffer].address;
    sizes[operand] = buffers[buffer].bytes;
  };
  for (uint32_t i = 0; i < numReads; ++i)
    pass(i, launch.reads()->Get(i));
  for (uint32_t i = 0; i < sizeOf(launch.writes()); ++i)
    pass(numReads + i, launch.writes()->Get(i));
  LaunchArgs args = {pointers.data(),
                     sizes.data(),
                     scalars.data() + step.firstScalar,
                     {state.grid[0], state.grid[1], state.grid[2]},
                     state.flops,
                     state.bytes};
  if (owner.isGuarded())
    return launchChecked(launch, state.kernel, args);
  Status status = owner.executable().launch(queue, state.kernel, args, threads);
  if (!status.failed())
    return ok();
  return annotate(static_cast<Status &&>(status), "launch '%s'",
                  textOf(launch.label()));
}

Status Context::launch(const Launch &launch, const StepPlan &step,
                       lathe_profile_t *profile) {
  if (queue)
    LATHE_TRY(moveOperands(launch));
  uint32_t threads = 1;
  if (!profile)
    return issue(launch, step, &threads);
  const LaunchState &state = launches[step.launch];
  const Kernel &kernel = *owner.variantTable().kernels()->Get(state.kernel);
  LATHE_TRY(profile->beginLaunch(queue));
  LATHE_TRY(issue(launch, step, &threads));
  return profile->endLaunch({sizeof(lathe_profile_step_t),
                             textOf(launch.label()), textOf(kernel.symbol()),
                             textOf(kernel.schedule()), 0, state.flops,
                             state.bytes, state.programs, threads, 0},
                            queue);
}

//===----------------------------------------------------------------------===//
// Built-ins and symbols
//===----------------------------------------------------------------------===//

Status Context::fillOperand(uint32_t index, Operand &operand) const {
  operand = Operand();
  if (index == absentOperand)
    return ok();
  const Buffer &buffer = *plan.program().buffers()->Get(index);
  operand.data = hostAddress(index);
  operand.dtype = buffer.dtype();
  operand.rank = sizeOf(buffer.dims());
  operand.elements = buffers[index].elements;
  for (uint32_t d = 0; d < operand.rank; ++d)
    LATHE_TRY(checkedValue(buffer.dims()->Get(d), "a dim", &operand.dims[d]));
  return ok();
}

Status Context::callBuiltin(const BuiltinCall &call, const StepPlan &step,
                            lathe_profile_t *profile) {
  // What is queued has steps of its own: the wait for it is not this one's.
  if (queue)
    LATHE_TRY(bringToHost(step));
  uint64_t begin = profile ? now() : 0;
  uint32_t numReads = sizeOf(call.reads()), numWrites = sizeOf(call.writes());
  for (uint32_t i = 0; i < numReads; ++i)
    LATHE_TRY(fillOperand(call.reads()->Get(i), operands[i]));
  BuiltinArgs args(call, allocator, scratch);
  args.reads = {operands.data(), numReads};
  if (step.binds) {
    // Asks the built-in for the shapes of its results.
    args.shapes = {shapes.data(), numWrites};
    for (ResultShape &shape : args.shapes)
      shape = ResultShape();
    LATHE_TRY(step.builtin->shape(args));
    args.shapes = {};
    LATHE_TRY(bindResults(call.binds(), call.writes(), step.phase));
  }
  if (queue)
    LATHE_TRY(writeOnHost(call.writes(), /*done=*/false));
  for (uint32_t i = 0; i < numWrites; ++i)
    LATHE_TRY(fillOperand(call.writes()->Get(i), operands[numReads + i]));
  args.writes = {operands.data() + numReads, numWrites};
  LATHE_TRY(step.builtin->run(args));
  if (queue)
    LATHE_TRY(writeOnHost(call.writes(), /*done=*/true));
  if (!profile)
    return ok();
  int64_t bytes = 0;
  for (uint32_t i = 0; i < numReads + numWrites; ++i)
    bytes += operands[i].elements * int64_t(dtypeSize(operands[i].dtype));
  profile->add({sizeof(lathe_profile_step_t), textOf(call.label()),
                step.builtin->name, "", now() - begin, -1, bytes, 1, 1,
                begin - profile->beginNs});
  return ok();
}

/// Dims of results that are a symbol of the step define it.
Status Context::bindResults(Indices binds, Indices writes, uint32_t phase) {
  for (uint32_t b = 0; b < sizeOf(binds); ++b) {
    int64_t size;
    LATHE_TRY(findResultDim(writes, binds->Get(b), &size));
    LATHE_TRY(bindSymbol(binds->Get(b), size));
  }
  return beginPhase(phase + 1);
}

Status Context::findResultDim(Indices writes, uint32_t symbol,
                              int64_t *size) const {
  for (uint32_t w = 0; w < sizeOf(writes); ++w) {
    const auto *dims = plan.program().buffers()->Get(writes->Get(w))->dims();
    for (uint32_t d = 0; d < sizeOf(dims) && d < shapes[w].rank; ++d) {
      const Expr &expr =
          *plan.entry().exprs()->Get(static_cast<uint32_t>(dims->Get(d)));
      if (expr.op() != ExprOp::Symbol ||
          expr.value() != static_cast<int64_t>(symbol))
        continue;
      *size = shapes[w].dims[d];
      return ok();
    }
  }
  return error(LATHE_CORRUPT, "symbol '%s' is no dim of a result",
               textOf(plan.entry().symbols()->Get(symbol)));
}

Status Context::bindSymbol(uint32_t symbol, int64_t value) {
  ExprValue &state = symbols[symbol];
  if (value < 0)
    return error(LATHE_FAILED_PRECONDITION,
                 "the run computed %" PRId64 " for '%s', a size", value,
                 textOf(plan.entry().symbols()->Get(symbol)));
  if (state.state != ExprValue::Known || state.value != value) {
    uint32_t phase = plan.symbolPhase[symbol];
    numPrepared = numPrepared < phase ? numPrepared : phase;
  }
  state = ExprValue::known(value);
  return ok();
}

Status Context::bindFromBuffer(const Bind &bind) {
  const BufferState &source = buffers[bind.source()];
  const char *name = textOf(plan.entry().symbols()->Get(bind.symbol()));
  if (bind.element() >= static_cast<uint64_t>(source.elements))
    return error(LATHE_FAILED_PRECONDITION,
                 "'%s' is element %" PRIu64 " of a tensor of %" PRId64, name,
                 bind.element(), source.elements);
  int64_t value;
  const uint8_t *address = hostAddress(bind.source());
  if (plan.buffers[bind.source()].elementSize == sizeof(int64_t)) {
    memcpy(&value, address + bind.element() * sizeof(int64_t), sizeof(value));
  } else if (plan.buffers[bind.source()].elementSize == 1) {
    value = address[bind.element()] != 0;
  } else {
    int32_t narrow;
    memcpy(&narrow, address + bind.element() * sizeof(int32_t), sizeof(narrow));
    value = narrow;
  }
  return bindSymbol(bind.symbol(), value);
}

//===----------------------------------------------------------------------===//
// Outputs
//===----------------------------------------------------------------------===//

Status Context::finishOutputs() {
  for (uint32_t i = 0; i < outputs.size(); ++i) {
    uint32_t index = plan.program().outputs()->Get(i);
    const BufferPlan &root = plan.buffers[plan.buffers[index].root];
    bool isPlaced = root.output == i && outputs[i].placed;
    if (!isPlaced) {
      LATHE_TRY(outputDims(i));
      if (outputs[i].bytes != buffers[index].bytes)
        return error(LATHE_CORRUPT,
                     "output %u: its buffer has %" PRIu64
                     " bytes and its dims make %" PRIu64,
                     i, buffers[index].bytes, outputs[i].bytes);
      LATHE_TRY(prepareOutput(i));
    }
    if (outputs[i].bytes == 0)
      continue;
    if (queue)
      LATHE_TRY(deliver(outputs[i], index));
    else if (!isPlaced)
      memcpy(outputs[i].address, buffers[index].address, buffers[index].bytes);
  }
  return ok();
}

} // namespace lathe::rt
