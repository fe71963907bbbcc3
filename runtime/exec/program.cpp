// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/exec/program.h"

#include "runtime/bundle/format.h"

namespace lathe::rt {

using namespace bundle;

template <typename T> static T larger(T a, T b) { return a > b ? a : b; }
template <typename T> static T smaller(T a, T b) { return a < b ? a : b; }

Status ProgramPlan::create(const Allocator &allocator, const Entry &entry,
                           const Program &program) {
  entryTable = &entry;
  programTable = &program;
  LATHE_TRY(buffers.allocate(allocator, sizeOf(program.buffers())));
  LATHE_TRY(steps.allocate(allocator, sizeOf(program.steps())));
  LATHE_TRY(exprPhase.allocate(allocator, sizeOf(entry.exprs())));
  LATHE_TRY(symbolPhase.allocate(allocator, sizeOf(entry.symbols())));

  Array<bool> defined;
  LATHE_TRY(findInputSymbols(allocator, entry, defined));
  for (size_t i = 0; i < defined.size(); ++i)
    symbolPhase[i] = defined[i] ? 0 : noIndex;
  LATHE_TRY(analyzeSteps());
  LATHE_TRY(findRanges(allocator));
  computeExprPhases();
  computeUses();
  placeOutputs();
  return ok();
}

void ProgramPlan::countOperands(uint32_t count) {
  maxOperands = larger(maxOperands, count);
}

Status ProgramPlan::analyzeBuiltin(const BuiltinCall &call, uint32_t index) {
  const Builtin *builtin = findBuiltin(textOf(call.callee()));
  if (!builtin)
    return error(LATHE_UNIMPLEMENTED,
                 "step %u ('%s'): this runtime has no built-in '%s'", index,
                 textOf(call.label()), textOf(call.callee()));
  if (sizeOf(call.binds()) && !builtin->shape)
    return error(LATHE_CORRUPT, "step %u: built-in '%s' binds no symbols",
                 index, builtin->name);
  steps[index].builtin = builtin;
  countOperands(sizeOf(call.reads()) + sizeOf(call.writes()));
  return ok();
}

Status ProgramPlan::analyzeSteps() {
  for (uint32_t i = 0; i < steps.size(); ++i) {
    const Step &step = *programTable->steps()->Get(i);
    StepPlan &plan = steps[i];
    plan.phase = numPhases - 1;
    plan.firstChild = numChildren;
    hasHostSteps |= step.body_as_BuiltinCall() || step.body_as_Bind() ||
                    step.body_as_Loop();
    if (const Launch *launch = step.body_as_Launch()) {
      plan.launch = numLaunches++;
      plan.firstScalar = numScalars;
      numScalars += sizeOf(launch->scalars());
      countOperands(sizeOf(launch->reads()) + sizeOf(launch->writes()));
    } else if (const BuiltinCall *call = step.body_as_BuiltinCall()) {
      LATHE_TRY(analyzeBuiltin(*call, i));
    } else if (const Bind *bind = step.body_as_Bind()) {
      plan.binds = true;
      symbolPhase[bind->symbol()] = numPhases;
    } else if (const Call *call = step.body_as_Call()) {
      numChildren += sizeOf(call->callees());
      countOperands(sizeOf(call->reads()) + sizeOf(call->writes()));
    } else if (const Loop *loop = step.body_as_Loop()) {
      numChildren += 2;
      plan.firstStack = numStacks;
      numStacks += sizeOf(loop->writes()) - sizeOf(loop->carried());
      countOperands(1 + sizeOf(loop->carried()) + sizeOf(loop->reads()) +
                    sizeOf(loop->writes()));
    }
    const auto *binds = bindsOf(step);
    plan.binds |= sizeOf(binds) != 0;
    for (uint32_t b = 0; b < sizeOf(binds); ++b)
      symbolPhase[binds->Get(b)] = numPhases;
    numPhases += plan.binds;
  }
  return ok();
}

void ProgramPlan::addHostStepsOfCallees(Span<const ProgramPlan> plans) {
  for (uint32_t i = 0; i < steps.size(); ++i) {
    const Call *call = programTable->steps()->Get(i)->body_as_Call();
    for (uint32_t c = 0; call && c < sizeOf(call->callees()); ++c)
      hasHostSteps |= plans[call->callees()->Get(c)->entry()].hasHostSteps;
  }
}

/// Ranges of launches that nothing of the host comes between.
Status ProgramPlan::findRanges(const Allocator &allocator) {
  auto canJoin = [&](uint32_t i) {
    StepBody body = programTable->steps()->Get(i)->body_type();
    return body == StepBody::Launch || body == StepBody::Check;
  };
  uint32_t count = 0;
  for (uint32_t i = 0; i < steps.size(); ++i) {
    steps[i].range = noIndex;
    count += canJoin(i) && (i == 0 || !canJoin(i - 1));
  }
  LATHE_TRY(ranges.allocate(allocator, count));
  uint32_t index = 0;
  for (uint32_t i = 0; i < steps.size(); ++i) {
    if (!canJoin(i))
      continue;
    RecordedRange &range = ranges[index];
    range = {i, i, index, 0};
    steps[i].range = index++;
    for (; range.end < steps.size() && canJoin(range.end); ++range.end)
      if (const Launch *launch =
              programTable->steps()->Get(range.end)->body_as_Launch())
        range.numWords +=
            size_t(4) + sizeOf(launch->scalars()) +
            2 * (size_t(sizeOf(launch->reads())) + sizeOf(launch->writes()));
    i = range.end - 1;
  }
  return ok();
}

void ProgramPlan::computeExprPhases() {
  for (uint32_t i = 0; i < exprPhase.size(); ++i) {
    const Expr &expr = *entryTable->exprs()->Get(i);
    if (expr.op() == ExprOp::Symbol)
      exprPhase[i] = symbolPhase[static_cast<size_t>(expr.value())];
    else if (isBinary(expr.op()))
      exprPhase[i] = larger(exprPhase[static_cast<size_t>(expr.lhs())],
                            exprPhase[static_cast<size_t>(expr.rhs())]);
  }
}

//===----------------------------------------------------------------------===//
// Lifetimes
//===----------------------------------------------------------------------===//

void ProgramPlan::use(uint32_t buffer, uint32_t step, uint32_t phase) {
  BufferPlan &plan = buffers[buffer];
  plan.phase = smaller(plan.phase, phase);
  plan.firstStep = smaller(plan.firstStep, step);
  plan.lastStep = larger(plan.lastStep, step);
}

void ProgramPlan::computeUses() {
  for (uint32_t i = 0; i < buffers.size(); ++i) {
    const Buffer &buffer = *programTable->buffers()->Get(i);
    auto index = static_cast<uint32_t>(buffer.index());
    bool alias = buffer.kind() == BufferKind::Alias;
    buffers[i] = {buffer.kind(),
                  static_cast<uint32_t>(dtypeSize(buffer.dtype())),
                  index,
                  alias ? buffers[index].root : i,
                  noIndex,
                  noIndex,
                  0,
                  noIndex};
  }

  auto useAll = [&](const flatbuffers::Vector<uint32_t> *list, uint32_t step,
                    uint32_t phase) {
    for (uint32_t i = 0; i < sizeOf(list); ++i)
      if (list->Get(i) != absentOperand)
        use(list->Get(i), step, phase);
  };
  for (uint32_t i = 0; i < steps.size(); ++i) {
    const Step &step = *programTable->steps()->Get(i);
    uint32_t phase = steps[i].phase;
    if (const Launch *launch = step.body_as_Launch()) {
      useAll(launch->reads(), i, phase);
      useAll(launch->writes(), i, phase);
    } else if (const BuiltinCall *call = step.body_as_BuiltinCall()) {
      useAll(call->reads(), i, phase);
      useAll(call->writes(), i, phase + steps[i].binds);
    } else if (const Bind *bind = step.body_as_Bind()) {
      use(bind->source(), i, phase);
    } else if (const Call *call = step.body_as_Call()) {
      useAll(call->reads(), i, phase);
      useAll(call->writes(), i, phase + steps[i].binds);
    } else if (const Loop *loop = step.body_as_Loop()) {
      for (uint32_t scalar : {loop->count(), loop->condition()})
        if (scalar != absentOperand)
          use(scalar, i, phase);
      useAll(loop->carried(), i, phase);
      useAll(loop->reads(), i, phase);
      useAll(loop->writes(), i, phase + steps[i].binds);
    }
  }
  useAll(programTable->outputs(), static_cast<uint32_t>(steps.size()),
         numPhases - 1);

  // Aliases come after their sources: one pass backwards reaches the roots.
  for (size_t i = buffers.size(); i-- > 0;) {
    BufferPlan &plan = buffers[i];
    if (plan.kind != BufferKind::Alias || plan.phase == noIndex)
      continue;
    use(plan.index, plan.firstStep, plan.phase);
    use(plan.index, plan.lastStep, plan.phase);
  }
}

//===----------------------------------------------------------------------===//
// Outputs in place
//===----------------------------------------------------------------------===//

bool ProgramPlan::isKnownIn(const flatbuffers::Vector<int32_t> *exprs,
                            uint32_t phase) const {
  for (uint32_t i = 0; i < sizeOf(exprs); ++i)
    if (exprPhase[static_cast<size_t>(exprs->Get(i))] > phase)
      return false;
  return true;
}

bool ProgramPlan::startsAtSource(const Buffer &alias) const {
  if (alias.offset() < 0)
    return true;
  const Expr &offset =
      *entryTable->exprs()->Get(static_cast<uint32_t>(alias.offset()));
  return offset.op() == ExprOp::Const && offset.value() == 0;
}

/// Can the root of `buffer` be memory of the output? Not if the output starts
/// elsewhere, or if its shape is known too late.
bool ProgramPlan::canPlace(uint32_t output, uint32_t buffer) const {
  const BufferPlan &root = buffers[buffers[buffer].root];
  if (root.kind != BufferKind::Transient && root.kind != BufferKind::Output)
    return false;
  if (root.output != noIndex ||
      !isKnownIn(entryTable->outputs()->Get(output)->dims(), root.phase))
    return false;
  for (uint32_t i = buffer; i != buffers[buffer].root; i = buffers[i].index)
    if (!startsAtSource(*programTable->buffers()->Get(i)))
      return false;
  return true;
}

void ProgramPlan::placeOutputs() {
  for (uint32_t i = 0; i < sizeOf(programTable->outputs()); ++i) {
    uint32_t buffer = programTable->outputs()->Get(i);
    if (canPlace(i, buffer))
      buffers[buffers[buffer].root].output = i;
  }
}

} // namespace lathe::rt
