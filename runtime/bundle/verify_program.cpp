// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Steps run in order, and symbols come up on the way. Time here is a count of
// steps: `ready` of a symbol, expression or buffer is the first step that may
// use it. What a built-in writes may depend on symbols the same call binds.

#include "runtime/bundle/expr.h"
#include "runtime/bundle/format.h"
#include "runtime/bundle/verify.h"

#include <climits>

namespace lathe::rt {

using namespace bundle;

static constexpr uint32_t never = UINT_MAX;

namespace {
class ProgramVerifier {
public:
  ProgramVerifier(const Manifest &manifest, const Variant &variant,
                  uint32_t index, WorkBudget &budget)
      : manifest(manifest), variant(variant), index(index),
        entry(*manifest.entries()->Get(index)),
        program(*variant.programs()->Get(index)), budget(budget) {}

  Status verify(const Allocator &allocator);

private:
  struct BufferFacts {
    uint32_t root = 0;
    uint32_t ready = 0;    // when its dims and offset are known
    bool written = false;  // of roots; what holds nothing needs no writer
    bool constant = false; // of roots: may not be written
  };

  Status computeReadiness(const Allocator &allocator);
  Status verifyBuffer(uint32_t index);
  Status verifyInputBuffer(const Buffer &buffer);
  Status verifyAlias(uint32_t index);
  Status verifyStep(const Step &step, uint32_t time);
  Status verifyLaunch(const Launch &launch, uint32_t time);
  Status verifyChoice(const Launch &launch, const Choice &choice,
                      uint32_t time);
  Status verifyBuiltin(const BuiltinCall &call, uint32_t time);
  Status verifyOptions(const BuiltinCall &call);
  Status verifyBind(const Bind &bind, uint32_t time);
  Status verifyCall(const Call &call, uint32_t time);
  Status verifyLoop(const Loop &loop, uint32_t time);
  Status verifyCallee(uint32_t callee,
                      const flatbuffers::Vector<int32_t> *symbols,
                      uint32_t numInputs, uint32_t numOutputs);
  Status verifyOperand(uint32_t buffer, const TensorInfo &info,
                       uint32_t extraRank);
  Status verifyScalar(uint32_t buffer, DType dtype, uint32_t time);
  Status verifyRead(uint32_t buffer, uint32_t time);
  Status verifyWrite(uint32_t buffer, uint32_t time);
  Status verifyUse(const flatbuffers::Vector<int32_t> *exprs, uint32_t time,
                   const char *what);
  Status verifyOutputs();
  Status bindSymbol(uint32_t symbol, uint32_t ready);

  uint32_t numBuffers() const { return sizeOf(program.buffers()); }
  uint32_t readyOf(int32_t expr) const {
    return exprReady[static_cast<size_t>(expr)];
  }

  const Manifest &manifest;
  const Variant &variant;
  const uint32_t index;
  const Entry &entry;
  const Program &program;
  WorkBudget &budget;
  Array<uint32_t> symbolReady;
  Array<uint32_t> exprReady;
  Array<BufferFacts> buffers;
};
} // namespace

Status ProgramVerifier::verify(const Allocator &allocator) {
  uint32_t numSteps = sizeOf(program.steps());
  LATHE_TRY(budget.spend(uint64_t(numBuffers()) + numSteps +
                         sizeOf(entry.symbols()) + sizeOf(entry.exprs())));
  for (uint32_t i = 0; i < numSteps; ++i)
    if (!program.steps()->Get(i)->body())
      return error(LATHE_CORRUPT,
                   "step %u is of no kind that this runtime "
                   "knows",
                   i);
  LATHE_TRY(computeReadiness(allocator));
  LATHE_TRY(buffers.allocate(allocator, numBuffers()));
  for (uint32_t i = 0; i < numBuffers(); ++i)
    LATHE_TRY(annotate(verifyBuffer(i), "buffer %u", i));
  for (uint32_t i = 0; i < numSteps; ++i)
    LATHE_TRY(annotate(verifyStep(*program.steps()->Get(i), i), "step %u", i));
  return verifyOutputs();
}

Status ProgramVerifier::bindSymbol(uint32_t symbol, uint32_t ready) {
  LATHE_TRY(verifyIndex(symbol, symbolReady.size(), "symbol"));
  if (symbolReady[symbol] != never)
    return error(LATHE_CORRUPT, "symbol '%s' is bound twice",
                 textOf(entry.symbols()->Get(symbol)));
  symbolReady[symbol] = ready;
  return ok();
}

Status ProgramVerifier::computeReadiness(const Allocator &allocator) {
  Array<bool> defined;
  LATHE_TRY(findInputSymbols(allocator, entry, defined));
  LATHE_TRY(symbolReady.allocate(allocator, defined.size()));
  for (size_t i = 0; i < defined.size(); ++i)
    symbolReady[i] = defined[i] ? 0 : never;

  for (uint32_t i = 0; i < sizeOf(program.steps()); ++i) {
    const Step &step = *program.steps()->Get(i);
    if (const Bind *bind = step.body_as_Bind())
      LATHE_TRY(annotate(bindSymbol(bind->symbol(), i + 1), "step %u", i));
    const auto *binds = bindsOf(step);
    LATHE_TRY(budget.spend(sizeOf(binds)));
    for (uint32_t b = 0; b < sizeOf(binds); ++b)
      LATHE_TRY(annotate(bindSymbol(binds->Get(b), i + 1), "step %u", i));
  }

  LATHE_TRY(exprReady.allocate(allocator, sizeOf(entry.exprs())));
  for (uint32_t i = 0; i < exprReady.size(); ++i) {
    const Expr &expr = *entry.exprs()->Get(i);
    if (expr.op() == ExprOp::Symbol)
      exprReady[i] = symbolReady[static_cast<size_t>(expr.value())];
    else if (isBinary(expr.op()))
      exprReady[i] = readyOf(expr.lhs()) > readyOf(expr.rhs())
                         ? readyOf(expr.lhs())
                         : readyOf(expr.rhs());
  }
  return ok();
}

//===----------------------------------------------------------------------===//
// Buffers
//===----------------------------------------------------------------------===//

Status ProgramVerifier::verifyBuffer(uint32_t index) {
  const Buffer &buffer = *program.buffers()->Get(index);
  BufferFacts &facts = buffers[index];
  facts.root = index;
  if (!dtypeSize(buffer.dtype()))
    return error(LATHE_CORRUPT, "unknown dtype %u",
                 static_cast<unsigned>(buffer.dtype()));
  if (sizeOf(buffer.dims()) > maxRank)
    return error(LATHE_CORRUPT, "rank %u is above %u", sizeOf(buffer.dims()),
                 maxRank);
  LATHE_TRY(verifyExprs(buffer.dims(), entry, "dim", budget));
  for (uint32_t d = 0; d < sizeOf(buffer.dims()); ++d) {
    int32_t dim = buffer.dims()->Get(d);
    facts.ready = facts.ready > readyOf(dim) ? facts.ready : readyOf(dim);
    const Expr &expr = *entry.exprs()->Get(static_cast<uint32_t>(dim));
    facts.written |= expr.op() == ExprOp::Const && expr.value() == 0;
  }

  switch (buffer.kind()) {
  case BufferKind::Input:
    facts.written = facts.constant = true;
    return verifyInputBuffer(buffer);
  case BufferKind::Output:
    return verifyIndex(buffer.index(), sizeOf(entry.outputs()), "output");
  case BufferKind::Constant:
    facts.written = facts.constant = true;
    return verifyIndex(buffer.index(), sizeOf(manifest.constants()),
                       "constant");
  case BufferKind::Transient:
    return ok();
  case BufferKind::Alias:
    return verifyAlias(index);
  }
  return error(LATHE_CORRUPT, "unknown kind %u",
               static_cast<unsigned>(buffer.kind()));
}

Status ProgramVerifier::verifyInputBuffer(const Buffer &buffer) {
  LATHE_TRY(verifyIndex(buffer.index(), sizeOf(entry.inputs()), "input"));
  const TensorInfo &input =
      *entry.inputs()->Get(static_cast<uint32_t>(buffer.index()));
  if (input.dtype() != buffer.dtype())
    return error(LATHE_CORRUPT, "its dtype is not that of input '%s'",
                 textOf(input.name()));
  return ok();
}

Status ProgramVerifier::verifyAlias(uint32_t index) {
  const Buffer &buffer = *program.buffers()->Get(index);
  LATHE_TRY(verifyIndex(buffer.index(), index, "earlier buffer"));
  auto source = static_cast<uint32_t>(buffer.index());
  if (dtypeSize(program.buffers()->Get(source)->dtype()) !=
      dtypeSize(buffer.dtype()))
    return error(LATHE_CORRUPT, "its dtype differs in width from buffer %u",
                 source);
  BufferFacts &facts = buffers[index];
  facts.root = buffers[source].root;
  if (facts.ready < buffers[source].ready)
    facts.ready = buffers[source].ready;
  if (buffer.offset() < 0)
    return ok();
  LATHE_TRY(verifyIndex(buffer.offset(), sizeOf(entry.exprs()), "expression"));
  if (facts.ready < readyOf(buffer.offset()))
    facts.ready = readyOf(buffer.offset());
  return ok();
}

Status ProgramVerifier::verifyRead(uint32_t buffer, uint32_t time) {
  LATHE_TRY(verifyIndex(buffer, numBuffers(), "buffer"));
  if (buffers[buffer].ready > time)
    return error(LATHE_CORRUPT, "the shape of buffer %u is not known yet",
                 buffer);
  if (!buffers[buffers[buffer].root].written)
    return error(LATHE_CORRUPT, "buffer %u is read before it is written",
                 buffer);
  return ok();
}

Status ProgramVerifier::verifyWrite(uint32_t buffer, uint32_t time) {
  LATHE_TRY(verifyIndex(buffer, numBuffers(), "buffer"));
  if (buffers[buffer].ready > time)
    return error(LATHE_CORRUPT, "the shape of buffer %u is not known yet",
                 buffer);
  BufferFacts &root = buffers[buffers[buffer].root];
  if (root.constant)
    return error(LATHE_CORRUPT, "buffer %u is read-only", buffer);
  root.written = true;
  return ok();
}

//===----------------------------------------------------------------------===//
// Steps
//===----------------------------------------------------------------------===//

Status ProgramVerifier::verifyUse(const flatbuffers::Vector<int32_t> *exprs,
                                  uint32_t time, const char *what) {
  LATHE_TRY(verifyExprs(exprs, entry, what, budget));
  for (uint32_t i = 0; i < sizeOf(exprs); ++i)
    if (readyOf(exprs->Get(i)) > time)
      return error(LATHE_CORRUPT, "%s %u uses a symbol that is not bound yet",
                   what, i);
  return ok();
}

Status ProgramVerifier::verifyStep(const Step &step, uint32_t time) {
  switch (step.body_type()) {
  case StepBody::Launch: {
    const Launch &launch = *step.body_as_Launch();
    return annotate(verifyLaunch(launch, time), "launch '%s'",
                    textOf(launch.label()));
  }
  case StepBody::BuiltinCall: {
    const BuiltinCall &call = *step.body_as_BuiltinCall();
    return annotate(verifyBuiltin(call, time), "built-in '%s'",
                    textOf(call.callee()));
  }
  case StepBody::Bind:
    return verifyBind(*step.body_as_Bind(), time);
  case StepBody::Check:
    LATHE_TRY(verifyUse(step.body_as_Check()->conditions(), time, "condition"));
    return verifyUse(step.body_as_Check()->equalities(), time, "equality");
  case StepBody::Call: {
    const Call &call = *step.body_as_Call();
    return annotate(verifyCall(call, time), "call '%s'", textOf(call.label()));
  }
  case StepBody::Loop: {
    const Loop &loop = *step.body_as_Loop();
    return annotate(verifyLoop(loop, time), "loop '%s'", textOf(loop.label()));
  }
  case StepBody::NONE:
    break;
  }
  return error(LATHE_CORRUPT, "it is of no kind that this runtime knows");
}

Status ProgramVerifier::verifyLaunch(const Launch &launch, uint32_t time) {
  uint32_t numReads = sizeOf(launch.reads()),
           numWrites = sizeOf(launch.writes());
  uint32_t numChoices = sizeOf(launch.choices());
  LATHE_TRY(budget.spend(uint64_t(numReads) + numWrites + numChoices));
  if (numChoices == 0)
    return error(LATHE_CORRUPT, "it has no kernel");
  LATHE_TRY(verifyUse(launch.scalars(), time, "scalar"));
  if (launch.flops() >= 0) {
    LATHE_TRY(verifyIndex(launch.flops(), sizeOf(entry.exprs()), "expression"));
    if (readyOf(launch.flops()) > time)
      return error(LATHE_CORRUPT, "flops use a symbol that is not bound yet");
  }
  for (uint32_t i = 0; i < numChoices; ++i)
    LATHE_TRY(annotate(verifyChoice(launch, *launch.choices()->Get(i), time),
                       "choice %u", i));
  for (uint32_t i = 0; i < numReads; ++i)
    LATHE_TRY(annotate(verifyRead(launch.reads()->Get(i), time), "read %u", i));
  for (uint32_t i = 0; i < numWrites; ++i)
    LATHE_TRY(
        annotate(verifyWrite(launch.writes()->Get(i), time), "write %u", i));
  return ok();
}

Status ProgramVerifier::verifyChoice(const Launch &launch, const Choice &choice,
                                     uint32_t time) {
  LATHE_TRY(verifyIndex(choice.kernel(), sizeOf(variant.kernels()), "kernel"));
  const Kernel &kernel = *variant.kernels()->Get(choice.kernel());
  uint64_t operands =
      uint64_t(sizeOf(launch.reads())) + sizeOf(launch.writes());
  if (operands != kernel.buffers())
    return error(LATHE_CORRUPT,
                 "kernel '%s' takes %u buffers and is given %llu",
                 textOf(kernel.symbol()), kernel.buffers(),
                 static_cast<unsigned long long>(operands));
  if (sizeOf(launch.scalars()) != kernel.scalars())
    return error(LATHE_CORRUPT, "kernel '%s' takes %u scalars and is given %u",
                 textOf(kernel.symbol()), kernel.scalars(),
                 sizeOf(launch.scalars()));
  if (sizeOf(choice.grid()) != 3)
    return error(LATHE_CORRUPT, "the grid has %u dims instead of 3",
                 sizeOf(choice.grid()));
  LATHE_TRY(verifyUse(choice.grid(), time, "grid dim"));
  return verifyUse(choice.conditions(), time, "condition");
}

Status ProgramVerifier::verifyBuiltin(const BuiltinCall &call, uint32_t time) {
  uint32_t numReads = sizeOf(call.reads()), numWrites = sizeOf(call.writes());
  LATHE_TRY(budget.spend(uint64_t(numReads) + numWrites));
  if (!*textOf(call.callee()))
    return error(LATHE_CORRUPT, "it has no name");
  if (numReads > maxOperands || numWrites > maxOperands)
    return error(LATHE_CORRUPT, "it has more than %u operands", maxOperands);
  for (uint32_t i = 0; i < numReads; ++i)
    if (call.reads()->Get(i) != absentOperand)
      LATHE_TRY(annotate(verifyRead(call.reads()->Get(i), time), "read %u", i));
  uint32_t writeTime = sizeOf(call.binds()) ? time + 1 : time;
  for (uint32_t i = 0; i < numWrites; ++i)
    LATHE_TRY(
        annotate(verifyWrite(call.writes()->Get(i), writeTime), "write %u", i));
  return verifyOptions(call);
}

Status ProgramVerifier::verifyOptions(const BuiltinCall &call) {
  LATHE_TRY(budget.spend(sizeOf(call.options())));
  for (uint32_t i = 0; i < sizeOf(call.options()); ++i) {
    const Option &option = *call.options()->Get(i);
    if (!*textOf(option.name()))
      return error(LATHE_CORRUPT, "option %u has no name", i);
    LATHE_TRY(budget.spend(uint64_t(sizeOf(option.ints())) +
                           sizeOf(option.floats())));
  }
  return ok();
}

Status ProgramVerifier::verifyBind(const Bind &bind, uint32_t time) {
  LATHE_TRY(verifyRead(bind.source(), time));
  DType dtype = program.buffers()->Get(bind.source())->dtype();
  if (dtype != DType::I64 && dtype != DType::I32 && dtype != DType::Bool)
    return error(LATHE_CORRUPT,
                 "buffer %u holds neither i64 nor i32 nor truth values",
                 bind.source());
  return ok();
}

//===----------------------------------------------------------------------===//
// Steps that run entries
//===----------------------------------------------------------------------===//

Status
ProgramVerifier::verifyCallee(uint32_t callee,
                              const flatbuffers::Vector<int32_t> *symbols,
                              uint32_t numInputs, uint32_t numOutputs) {
  LATHE_TRY(verifyIndex(callee, sizeOf(manifest.entries()), "entry"));
  const Entry &target = *manifest.entries()->Get(callee);
  if (!target.internal() || callee <= index)
    return error(LATHE_CORRUPT,
                 "entry %u is not internal, or does not stand after its caller",
                 callee);
  if (sizeOf(symbols) != target.given())
    return error(LATHE_CORRUPT, "entry %u is given %u symbols instead of %u",
                 callee, sizeOf(symbols), target.given());
  if (numInputs != sizeOf(target.inputs()) ||
      numOutputs != sizeOf(target.outputs()))
    return error(LATHE_CORRUPT,
                 "entry %u takes %u inputs and gives %u outputs instead of %u "
                 "and %u",
                 callee, sizeOf(target.inputs()), sizeOf(target.outputs()),
                 numInputs, numOutputs);
  if (numInputs > maxOperands || numOutputs > maxOperands)
    return error(LATHE_CORRUPT, "it has more than %u operands", maxOperands);
  return ok();
}

/// A buffer that has been verified as read or written against an input or
/// output of a callee, which has `extraRank` dims less.
Status ProgramVerifier::verifyOperand(uint32_t buffer, const TensorInfo &info,
                                      uint32_t extraRank) {
  const Buffer &operand = *program.buffers()->Get(buffer);
  if (operand.dtype() == info.dtype() &&
      sizeOf(operand.dims()) == sizeOf(info.dims()) + extraRank)
    return ok();
  return error(LATHE_CORRUPT,
               "buffer %u differs in dtype or rank from '%s' of the callee",
               buffer, textOf(info.name()));
}

/// A buffer of one element, or none.
Status ProgramVerifier::verifyScalar(uint32_t buffer, DType dtype,
                                     uint32_t time) {
  if (buffer == absentOperand)
    return ok();
  LATHE_TRY(verifyRead(buffer, time));
  if (program.buffers()->Get(buffer)->dtype() != dtype)
    return error(LATHE_CORRUPT, "buffer %u is of the wrong dtype", buffer);
  return ok();
}

Status ProgramVerifier::verifyCall(const Call &call, uint32_t time) {
  uint32_t numReads = sizeOf(call.reads()), numWrites = sizeOf(call.writes());
  uint32_t numCallees = sizeOf(call.callees());
  LATHE_TRY(verifyUse(call.symbols(), time, "symbol"));
  LATHE_TRY(
      budget.spend((uint64_t(numReads) + numWrites + 1) * (numCallees + 1)));
  if (numCallees == 0)
    return error(LATHE_CORRUPT, "it has no callee");
  for (uint32_t i = 0; i < numCallees; ++i) {
    const Callee &callee = *call.callees()->Get(i);
    LATHE_TRY(verifyUse(callee.conditions(), time, "condition"));
    LATHE_TRY(
        verifyCallee(callee.entry(), call.symbols(), numReads, numWrites));
  }
  for (uint32_t i = 0; i < numReads; ++i)
    LATHE_TRY(annotate(verifyRead(call.reads()->Get(i), time), "read %u", i));
  uint32_t writeTime = sizeOf(call.binds()) ? time + 1 : time;
  for (uint32_t i = 0; i < numWrites; ++i)
    LATHE_TRY(
        annotate(verifyWrite(call.writes()->Get(i), writeTime), "write %u", i));
  for (uint32_t c = 0; c < numCallees; ++c) {
    const Entry &callee =
        *manifest.entries()->Get(call.callees()->Get(c)->entry());
    for (uint32_t i = 0; i < numReads; ++i)
      LATHE_TRY(
          verifyOperand(call.reads()->Get(i), *callee.inputs()->Get(i), 0));
    for (uint32_t i = 0; i < numWrites; ++i)
      LATHE_TRY(
          verifyOperand(call.writes()->Get(i), *callee.outputs()->Get(i), 0));
  }
  return ok();
}

Status ProgramVerifier::verifyLoop(const Loop &loop, uint32_t time) {
  uint32_t numCarried = sizeOf(loop.carried()), numReads = sizeOf(loop.reads());
  uint32_t numWrites = sizeOf(loop.writes());
  LATHE_TRY(budget.spend(uint64_t(numCarried) + numReads + numWrites));
  LATHE_TRY(verifyUse(loop.symbols(), time, "symbol"));
  if (numCarried > maxOperands || numReads > maxOperands ||
      numWrites > maxOperands || numWrites < numCarried)
    return error(LATHE_CORRUPT, "%u carried values, %u reads, %u writes",
                 numCarried, numReads, numWrites);
  LATHE_TRY(verifyCallee(loop.body(), loop.symbols(), 1 + numCarried + numReads,
                         1 + numWrites));
  LATHE_TRY(verifyScalar(loop.count(), DType::I64, time));
  LATHE_TRY(verifyScalar(loop.condition(), DType::Bool, time));
  const Entry &body = *manifest.entries()->Get(loop.body());
  const TensorInfo &number = *body.inputs()->Get(0);
  const TensorInfo &goOn = *body.outputs()->Get(0);
  if (number.dtype() != DType::I64 || sizeOf(number.dims()) ||
      goOn.dtype() != DType::Bool || sizeOf(goOn.dims()))
    return error(LATHE_CORRUPT,
                 "the body's first input must be an i64 scalar and its first "
                 "output a truth value");
  auto read = [&](uint32_t buffer, uint32_t input) -> Status {
    LATHE_TRY(annotate(verifyRead(buffer, time), "input %u", input));
    return verifyOperand(buffer, *body.inputs()->Get(input), 0);
  };
  for (uint32_t i = 0; i < numCarried; ++i) {
    LATHE_TRY(read(loop.carried()->Get(i), 1 + i));
    if (body.inputs()->Get(1 + i)->dtype() !=
            body.outputs()->Get(1 + i)->dtype() ||
        sizeOf(body.inputs()->Get(1 + i)->dims()) !=
            sizeOf(body.outputs()->Get(1 + i)->dims()))
      return error(LATHE_CORRUPT, "carried value %u changes dtype or rank", i);
  }
  for (uint32_t i = 0; i < numReads; ++i)
    LATHE_TRY(read(loop.reads()->Get(i), 1 + numCarried + i));
  uint32_t writeTime = sizeOf(loop.binds()) ? time + 1 : time;
  for (uint32_t i = 0; i < numWrites; ++i) {
    LATHE_TRY(
        annotate(verifyWrite(loop.writes()->Get(i), writeTime), "write %u", i));
    LATHE_TRY(verifyOperand(loop.writes()->Get(i), *body.outputs()->Get(1 + i),
                            i < numCarried ? 0 : 1));
  }
  return ok();
}

Status ProgramVerifier::verifyOutputs() {
  LATHE_TRY(budget.spend(sizeOf(program.outputs())));
  uint32_t end = sizeOf(program.steps());
  if (sizeOf(program.outputs()) != sizeOf(entry.outputs()))
    return error(LATHE_CORRUPT, "%u outputs instead of %u",
                 sizeOf(program.outputs()), sizeOf(entry.outputs()));
  for (uint32_t i = 0; i < sizeOf(program.outputs()); ++i) {
    uint32_t buffer = program.outputs()->Get(i);
    const TensorInfo &output = *entry.outputs()->Get(i);
    LATHE_TRY(annotate(verifyRead(buffer, end), "output '%s'",
                       textOf(output.name())));
    if (program.buffers()->Get(buffer)->dtype() != output.dtype())
      return error(LATHE_CORRUPT, "output '%s': its buffer is of another dtype",
                   textOf(output.name()));
    LATHE_TRY(annotate(verifyUse(output.dims(), end, "dim"), "output '%s'",
                       textOf(output.name())));
  }
  return ok();
}

Status verifyProgram(const Allocator &allocator, const Manifest &manifest,
                     const Variant &variant, uint32_t index,
                     WorkBudget &budget) {
  ProgramVerifier verifier(manifest, variant, index, budget);
  return verifier.verify(allocator);
}

} // namespace lathe::rt
