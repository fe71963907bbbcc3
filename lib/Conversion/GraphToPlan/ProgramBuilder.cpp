// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Conversion/GraphToPlan/ProgramBuilder.h"
#include "lib/Conversion/GraphToPlan/PrepareGroups.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;

ProgramBuilder::ProgramBuilder(func::FuncOp function,
                               const Capability &capability,
                               const Schedules &schedules,
                               ArrayRef<std::unique_ptr<Strategy>> strategies,
                               KernelCache &cache, bool emitRemarks)
    : function(function), strategies(strategies), emitRemarks(emitRemarks),
      shapes(function),
      context{capability, schedules, cache,
              [this](Value value) { return shapes.getDims(value); }},
      builder(function.getContext()) {}

//===----------------------------------------------------------------------===//
// Types and buffers
//===----------------------------------------------------------------------===//

AffineMap ProgramBuilder::getMap(ArrayRef<AffineExpr> exprs) {
  return AffineMap::get(0, shapes.getSymbols().size(), exprs,
                        builder.getContext());
}

plan::BufferType ProgramBuilder::getBufferType(Type elementType,
                                               ArrayRef<AffineExpr> dims) {
  return plan::BufferType::get(builder.getContext(), elementType, getMap(dims));
}

Value ProgramBuilder::createAlloc(Location loc, Type elementType,
                                  ArrayRef<AffineExpr> dims) {
  return plan::AllocOp::create(builder, loc, getBufferType(elementType, dims));
}

Value ProgramBuilder::getBuffer(Value value) {
  if (auto constant = value.getDefiningOp<graph::ConstantOp>())
    return getConstant(constant, BufferRef::operand(0));
  return buffers.lookup(value);
}

Value ProgramBuilder::getBuffer(graph::GroupOp group, const BufferRef &ref,
                                ArrayRef<Value> temporaries) {
  switch (ref.kind) {
  case BufferRef::Kind::Result:
    return buffers.lookup(group->getResult(ref.index));
  case BufferRef::Kind::Temporary:
    return temporaries[ref.index];
  case BufferRef::Kind::Constant:
    return getConstant(ref.constant, group.getLoc());
  case BufferRef::Kind::Operand:
    break;
  }
  Value operand = group->getOperand(ref.index);
  if (auto constant = operand.getDefiningOp<graph::ConstantOp>())
    return getConstant(constant, ref);
  return buffers.lookup(operand);
}

/// What a constant is stored as before packing.
static RankedTensorType getStoredType(graph::ConstantOp op,
                                      StringRef encodedBuffer) {
  RankedTensorType type = op.getType();
  if (encodedBuffer.empty())
    return graph::getDenseType(type);
  auto encoding = cast<graph::EncodingInterface>(type.getEncoding());
  for (graph::EncodedBuffer &buffer :
       encoding.getBuffers(graph::getDenseType(type)))
    if (buffer.name == encodedBuffer)
      return buffer.type;
  llvm_unreachable("a strategy names a buffer that the encoding has");
}

Value ProgramBuilder::getConstant(graph::ConstantOp op, const BufferRef &ref) {
  MLIRContext *mlirContext = builder.getContext();
  RankedTensorType stored = getStoredType(op, ref.encodedBuffer);
  plan::PackAttr pack;
  SmallVector<int64_t> shape(stored.getShape());
  if (ref.packing) {
    pack = plan::PackAttr::get(mlirContext, ref.packing->blocks,
                               ref.packing->outer, ref.packing->inner,
                               ref.packing->winograd);
    shape = pack.getStoredShape(shape);
  }
  bool isEncoded = !ref.encodedBuffer.empty();
  StringAttr encodedBuffer =
      isEncoded ? builder.getStringAttr(ref.encodedBuffer) : StringAttr();
  Value &buffer = constants[{op.getResult(), encodedBuffer, pack}];
  if (buffer)
    return buffer;
  graph::Dims dims;
  for (int64_t size : shape)
    dims.push_back(getAffineConstantExpr(size, mlirContext));
  std::string label = getLabel(op.getLoc());
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(&program.getBody().front());
  buffer = plan::ConstantOp::create(
      builder, op.getLoc(), getBufferType(stored.getElementType(), dims),
      op.getValue(), isEncoded ? op.getType().getEncoding() : Attribute(),
      encodedBuffer, pack,
      label.empty() ? StringAttr() : builder.getStringAttr(label));
  return buffer;
}

Value ProgramBuilder::getConstant(DenseElementsAttr value, Location loc) {
  Value &buffer = tables[value];
  if (buffer)
    return buffer;
  graph::Dims dims;
  for (int64_t size : value.getType().getShape())
    dims.push_back(builder.getAffineConstantExpr(size));
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(&program.getBody().front());
  buffer = plan::ConstantOp::create(
      builder, loc, getBufferType(value.getElementType(), dims), value,
      Attribute(), StringAttr(), plan::PackAttr(), StringAttr());
  return buffer;
}

//===----------------------------------------------------------------------===//
// Symbols and checks
//===----------------------------------------------------------------------===//

/// The symbols that `expr` uses are all defined.
static bool usesOnly(AffineExpr expr, ArrayRef<bool> isDefined) {
  bool result = true;
  expr.walk([&](AffineExpr part) {
    if (auto symbol = dyn_cast<AffineSymbolExpr>(part))
      result &= isDefined[symbol.getPosition()];
  });
  return result;
}

void ProgramBuilder::createChecks() {
  for (auto [i, requirement] : llvm::enumerate(shapes.getRequirements())) {
    if (isChecked[i] || !usesOnly(requirement.expr, isDefined))
      continue;
    isChecked[i] = true;
    std::string label = getLabel(requirement.loc);
    plan::CheckOp::create(
        builder, requirement.loc,
        IntegerSetAttr::get(requirement.getSet(shapes.getSymbols().size())),
        builder.getStringAttr(label.empty()
                                  ? requirement.message
                                  : label + ": " + requirement.message));
  }
}

void ProgramBuilder::define(ArrayRef<int64_t> symbols) {
  for (int64_t symbol : symbols)
    isDefined[symbol] = true;
  createChecks();
}

//===----------------------------------------------------------------------===//
// Groups
//===----------------------------------------------------------------------===//

void ProgramBuilder::createLaunch(graph::GroupOp group,
                                  const LaunchSpec &launch,
                                  ArrayRef<Value> temporaries) {
  MLIRContext *mlirContext = builder.getContext();
  unsigned numSymbols = shapes.getSymbols().size();
  SmallVector<Attribute> choices;
  for (const KernelChoice &choice : launch.choices) {
    IntegerSetAttr when;
    SmallVector<AffineExpr> exprs;
    SmallVector<bool> equalities;
    for (const Condition &condition : choice.when) {
      exprs.push_back(condition.expr);
      equalities.push_back(condition.isEquality);
    }
    if (!exprs.empty())
      when = IntegerSetAttr::get(
          IntegerSet::get(0, numSymbols, exprs, equalities));
    auto kernel = choice.kernel;
    choices.push_back(plan::ChoiceAttr::get(
        mlirContext, FlatSymbolRefAttr::get(kernel.getSymNameAttr()),
        getMap(choice.grid), when));
  }
  auto toBuffers = [&](ArrayRef<BufferRef> refs) {
    return llvm::map_to_vector(refs, [&](const BufferRef &ref) {
      return getBuffer(group, ref, temporaries);
    });
  };
  AffineMapAttr flops;
  if (launch.flops)
    flops = AffineMapAttr::get(getMap(launch.flops));
  SmallVector<Value> reads = toBuffers(launch.reads);
  SmallVector<Value> writes = toBuffers(launch.writes);
  plan::LaunchOp::create(builder, group.getLoc(), builder.getArrayAttr(choices),
                         AffineMapAttr::get(getMap(launch.scalars)), reads,
                         writes, builder.getStringAttr(launch.label), flops);
}

void ProgramBuilder::createLaunches(graph::GroupOp group,
                                    const LoweredGroup &lowered) {
  for (Value result : group.getResults())
    buffers[result] = createAlloc(group.getLoc(), getElementTypeOrSelf(result),
                                  shapes.getDims(result));
  SmallVector<Value> temporaries;
  for (const Temporary &temporary : lowered.temporaries)
    temporaries.push_back(
        createAlloc(group.getLoc(), temporary.elementType, temporary.dims));
  if (emitRemarks && !lowered.remark.empty())
    emitRemark(group.getLoc()) << lowered.remark;
  for (const LaunchSpec &launch : lowered.launches) {
    createLaunch(group, launch, temporaries);
    if (!emitRemarks)
      continue;
    for (const KernelChoice &choice : launch.choices) {
      tile::KernelOp kernel = choice.kernel;
      emitRemark(group.getLoc())
          << "kernel @" << kernel.getSymName() << " " << kernel.getSchedule();
    }
  }
}

LogicalResult ProgramBuilder::convertGroup(graph::GroupOp group) {
  std::string reason = "no strategy for groups of this kind";
  for (const std::unique_ptr<Strategy> &strategy : strategies) {
    if (strategy->getKind() != group.getKind() ||
        failed(strategy->match(group, context, reason)))
      continue;
    FailureOr<LoweredGroup> lowered = strategy->lower(group, context);
    if (failed(lowered))
      return failure();
    createLaunches(group, *lowered);
    return success();
  }
  auto ops = group.getBody().front().without_terminator();
  if (std::distance(ops.begin(), ops.end()) > 1)
    return splitGroup(group, reason);
  Operation *op = ops.empty() ? group.getOperation() : &*ops.begin();
  return op->emitError("cannot be compiled: ") << reason;
}

LogicalResult ProgramBuilder::splitGroup(graph::GroupOp group,
                                         StringRef reason) {
  if (emitRemarks)
    emitRemark(group.getLoc()) << "group taken apart: " << reason;
  // Results are replaced by the body's values, whose buffers follow below.
  for (Operation *op : dissolveGroup(group))
    if (failed(convertAlone(op)))
      return failure();
  return success();
}

LogicalResult ProgramBuilder::convertAlone(Operation *op) {
  if (isa<graph::ConstantOp>(op) || convertAlias(op))
    return success();
  graph::GroupOp group = wrapInGroup(op, [&](Value copy, Value original) {
    shapes.setDims(copy, graph::Dims(shapes.getDims(original)));
  });
  return convertGroup(group);
}

//===----------------------------------------------------------------------===//
// Other ops
//===----------------------------------------------------------------------===//

bool ProgramBuilder::convertAlias(Operation *op) {
  if (!graph::isView(op))
    return false;
  Value source = op->getOperand(0), result = op->getResult(0);
  graph::StridedView view = graph::StridedView::getContiguous(
      builder.getContext(), shapes.getDims(source));
  if (!graph::ViewStep::get(op, context.dimsOf).apply(view))
    return false;
  AffineExpr offset = view.offset;
  view.offset = builder.getAffineConstantExpr(0);
  if (!view.isContiguous())
    return false;
  AffineMapAttr offsetAttr;
  if (offset != view.offset)
    offsetAttr = AffineMapAttr::get(getMap(offset));
  buffers[result] = plan::AliasOp::create(
      builder, op->getLoc(),
      getBufferType(getElementTypeOrSelf(result), shapes.getDims(result)),
      getBuffer(source), offsetAttr);
  return true;
}

SmallVector<Value> ProgramBuilder::getBuffers(ValueRange values) {
  return llvm::map_to_vector(values,
                             [&](Value value) { return getBuffer(value); });
}

/// Buffers for the results. Their dims may use symbols that `op` itself
/// defines.
SmallVector<Value> ProgramBuilder::createResults(Operation *op) {
  return llvm::map_to_vector(op->getResults(), [&](Value result) {
    return buffers[result] =
               createAlloc(op->getLoc(), getElementTypeOrSelf(result),
                           shapes.getDims(result));
  });
}

LogicalResult ProgramBuilder::convertBuiltin(graph::BuiltinOp op) {
  SmallVector<Value> reads = getBuffers(op.getInputs());
  SmallVector<Value> writes = createResults(op);
  plan::BuiltinOp::create(builder, op.getLoc(), op.getCalleeAttr(), reads,
                          writes, op.getOptionsAttr(), op.getBindsAttr(),
                          builder.getStringAttr(getLabel(op.getLoc())));
  if (op.getBinds())
    define(*op.getBinds());
  return success();
}

/// A kernel that copies `value`, for an output that would otherwise be an
/// input, a constant, or a second name of another output.
Value ProgramBuilder::copy(Value value, Location loc) {
  OpBuilder graphBuilder(function.getBody().front().getTerminator());
  auto group =
      graph::GroupOp::create(graphBuilder, loc, TypeRange(value.getType()),
                             graph::GroupKind::pointwise, value);
  if (group.getBody().empty())
    group.getBody().emplaceBlock();
  Block &body = group.getBody().front();
  if (!body.empty())
    body.back().erase();
  BlockArgument argument = body.addArgument(value.getType(), loc);
  graphBuilder.setInsertionPointToEnd(&body);
  graph::YieldOp::create(graphBuilder, loc, ValueRange(argument));
  graph::Dims dims(shapes.getDims(value));
  shapes.setDims(argument, dims);
  shapes.setDims(group.getResult(0), dims);
  if (failed(convertGroup(group)))
    return Value();
  return buffers.lookup(group.getResult(0));
}

/// The buffer that `buffer` is a view of.
static Value getStorage(Value buffer) {
  while (auto alias = buffer.getDefiningOp<plan::AliasOp>())
    buffer = alias.getSource();
  return buffer;
}

LogicalResult ProgramBuilder::convertReturn(func::ReturnOp op) {
  SmallVector<Value> outputs;
  llvm::SmallPtrSet<Value, 4> storages;
  for (Value value : op.getOperands()) {
    Value buffer = getBuffer(value);
    Value storage = getStorage(buffer);
    if (isa<BlockArgument>(storage) ||
        storage.getDefiningOp<plan::ConstantOp>() ||
        !storages.insert(storage).second)
      buffer = copy(value, op.getLoc());
    if (!buffer)
      return failure();
    outputs.push_back(buffer);
  }
  plan::ReturnOp::create(builder, op.getLoc(), outputs);
  return success();
}

LogicalResult ProgramBuilder::convert(Operation *op) {
  if (isa<graph::ConstantOp>(op) || convertAlias(op))
    return success();
  if (auto group = dyn_cast<graph::GroupOp>(op))
    return convertGroup(group);
  if (auto builtin = dyn_cast<graph::BuiltinOp>(op))
    return convertBuiltin(builtin);
  if (auto result = dyn_cast<func::ReturnOp>(op))
    return convertReturn(result);
  if (needsGroup(op))
    return convertAlone(op);
  bool isConverted =
      llvm::TypeSwitch<Operation *, bool>(op)
          .Case([&](graph::BindOp bind) { return convertBind(bind), true; })
          .Case([&](graph::IfOp branch) { return convertIf(branch), true; })
          .Case([&](graph::CallOp call) { return convertCall(call), true; })
          .Case([&](graph::LoopOp loop) { return convertLoop(loop), true; })
          .Default([](Operation *) { return false; });
  if (isConverted)
    return success();
  return op->emitError("cannot be compiled: graph ops are expected here");
}

//===----------------------------------------------------------------------===//
// The program
//===----------------------------------------------------------------------===//

/// `graph.name` of each argument or result, else `prefix` and its number.
static ArrayAttr getNames(OpBuilder &builder, unsigned count, StringRef prefix,
                          llvm::function_ref<Attribute(unsigned)> nameOf) {
  SmallVector<Attribute> names;
  for (unsigned i = 0; i < count; ++i) {
    Attribute name = nameOf(i);
    names.push_back(name ? name : builder.getStringAttr(prefix + Twine(i)));
  }
  return builder.getArrayAttr(names);
}

void ProgramBuilder::defineInputs() {
  isDefined.assign(shapes.getSymbols().size(), false);
  if (auto given = function->getAttrOfType<IntegerAttr>(graph::kGivenAttr))
    std::fill_n(isDefined.begin(), given.getInt(), true);
  for (BlockArgument argument : function.getArguments())
    for (AffineExpr dim : shapes.getDims(argument))
      if (auto symbol = dyn_cast<AffineSymbolExpr>(dim))
        isDefined[symbol.getPosition()] = true;
}

LogicalResult ProgramBuilder::createProgram() {
  SmallVector<StringRef> symbols(shapes.getSymbols().begin(),
                                 shapes.getSymbols().end());
  builder.setInsertionPoint(function);
  ArrayAttr inputs =
      getNames(builder, function.getNumArguments(), "input", [&](unsigned i) {
        return function.getArgAttr(i, graph::kNameAttr);
      });
  ArrayAttr outputs =
      getNames(builder, function.getNumResults(), "output", [&](unsigned i) {
        return function.getResultAttr(i, graph::kNameAttr);
      });
  program = plan::ProgramOp::create(
      builder, function.getLoc(), function.getSymName(),
      builder.getStrArrayAttr(symbols), inputs, outputs,
      function->getAttrOfType<IntegerAttr>(graph::kGivenAttr));
  Block &body = program.getBody().emplaceBlock();
  builder.setInsertionPointToEnd(&body);
  defineInputs();
  isChecked.assign(shapes.getRequirements().size(), false);
  for (BlockArgument argument : function.getArguments())
    buffers[argument] = body.addArgument(
        getBufferType(getElementTypeOrSelf(argument), shapes.getDims(argument)),
        argument.getLoc());
  return success();
}

LogicalResult ProgramBuilder::build() {
  if (!llvm::hasSingleElement(function.getBody()))
    return function.emitError("must have a body of one block");
  prepareGroups(function);
  if (failed(shapes.run()) || failed(createProgram()))
    return failure();
  createChecks();
  bool isComplete = true;
  for (Operation &op : llvm::make_early_inc_range(function.getBody().front())) {
    // Go on after an error to report all of them, but not what follows from it.
    bool hasOperands = llvm::all_of(op.getOperands(), [&](Value operand) {
      return operand.getDefiningOp<graph::ConstantOp>() ||
             buffers.contains(operand);
    });
    isComplete &= hasOperands && succeeded(convert(&op));
  }
  if (!isComplete)
    program.erase();
  return success(isComplete);
}
