// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Pipeline/Manifest.h"
#include "dialects/Graph/IR/Graph.h"
#include "lib/Pipeline/Stages.h"
#include "lib/Support/MappedFile.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace lathe;
using llvm::Error;
using llvm::Expected;

//===----------------------------------------------------------------------===//
// Expressions
//===----------------------------------------------------------------------===//

int32_t ExpressionTable::append(bundle::ExprOp op, int64_t value, int32_t lhs,
                                int32_t rhs) {
  entry.exprs.emplace_back(value, lhs, rhs, op);
  return entry.exprs.size() - 1;
}

static bundle::ExprOp getExprOp(AffineExprKind kind) {
  switch (kind) {
  case AffineExprKind::Add:
    return bundle::ExprOp::Add;
  case AffineExprKind::Mul:
    return bundle::ExprOp::Mul;
  case AffineExprKind::FloorDiv:
    return bundle::ExprOp::FloorDiv;
  case AffineExprKind::CeilDiv:
    return bundle::ExprOp::CeilDiv;
  case AffineExprKind::Mod:
    return bundle::ExprOp::Mod;
  case AffineExprKind::SymbolId:
  case AffineExprKind::DimId:
    return bundle::ExprOp::Symbol;
  case AffineExprKind::Constant:
    return bundle::ExprOp::Const;
  }
  llvm_unreachable("all kinds of affine expressions are listed");
}

int32_t ExpressionTable::add(AffineExpr expr) {
  auto it = known.find(expr);
  if (it != known.end())
    return it->second;
  int32_t index;
  if (auto constant = dyn_cast<AffineConstantExpr>(expr)) {
    index = append(bundle::ExprOp::Const, constant.getValue(), -1, -1);
  } else if (auto symbol = dyn_cast<AffineSymbolExpr>(expr)) {
    index = append(bundle::ExprOp::Symbol, symbol.getPosition(), -1, -1);
  } else {
    auto binary = cast<AffineBinaryOpExpr>(expr);
    int32_t lhs = add(binary.getLHS()), rhs = add(binary.getRHS());
    index = append(getExprOp(expr.getKind()), 0, lhs, rhs);
  }
  known[expr] = index;
  return index;
}

std::vector<int32_t> ExpressionTable::add(ArrayRef<AffineExpr> exprs) {
  std::vector<int32_t> indices;
  for (AffineExpr expr : exprs)
    indices.push_back(add(expr));
  return indices;
}

std::vector<int32_t> ExpressionTable::addConditions(IntegerSet set) {
  std::vector<int32_t> indices;
  for (auto [i, expr] : llvm::enumerate(set.getConstraints())) {
    indices.push_back(add(expr));
    if (set.isEq(i))
      indices.push_back(add(-expr));
  }
  return indices;
}

//===----------------------------------------------------------------------===//
// Programs
//===----------------------------------------------------------------------===//

bundle::DType lathe::getDType(Type type) {
  if (auto integer = dyn_cast<IntegerType>(type)) {
    bool isUnsigned = integer.isUnsigned();
    switch (integer.getWidth()) {
    case 1:
      return bundle::DType::Bool;
    case 8:
      return isUnsigned ? bundle::DType::U8 : bundle::DType::I8;
    case 16:
      return isUnsigned ? bundle::DType::U16 : bundle::DType::I16;
    case 32:
      return isUnsigned ? bundle::DType::U32 : bundle::DType::I32;
    case 64:
      return isUnsigned ? bundle::DType::U64 : bundle::DType::I64;
    }
  }
  return llvm::TypeSwitch<Type, bundle::DType>(type)
      .Case([](Float16Type) { return bundle::DType::F16; })
      .Case([](BFloat16Type) { return bundle::DType::BF16; })
      .Case([](Float32Type) { return bundle::DType::F32; })
      .Case([](Float64Type) { return bundle::DType::F64; })
      .Case([](Float8E4M3FNType) { return bundle::DType::F8E4M3; })
      .Case([](Float8E5M2Type) { return bundle::DType::F8E5M2; })
      .Default([](Type) { return bundle::DType::None; });
}

static std::string print(Attribute attr) {
  std::string text;
  llvm::raw_string_ostream(text) << attr;
  return text;
}

static Error stepError(Operation *op, const llvm::Twine &what) {
  SmallVector<StringRef> names = graph::getNodeNames(op->getLoc());
  if (names.empty())
    names.push_back(op->getName().getStringRef());
  return makeError(names.front() + ": " + what);
}

void ProgramWriter::writeSignature(plan::ProgramOp program) {
  if (!entry.name.empty())
    return;
  entry.name = program.getSymName().str();
  entry.internal = program.getGiven().has_value();
  entry.given = program.getGiven().value_or(0);
  for (StringAttr symbol : program.getSymbols().getAsRange<StringAttr>())
    entry.symbols.push_back(symbol.str());
  auto describe = [&](Attribute name, Value value) {
    auto type = cast<plan::BufferType>(value.getType());
    auto info = std::make_unique<bundle::TensorInfoT>();
    info->name = cast<StringAttr>(name).str();
    info->dtype = getDType(type.getElementType());
    info->dims = expressions.add(type.getDims().getResults());
    return info;
  };
  Block &body = program.getBody().front();
  for (auto [name, input] :
       llvm::zip_equal(program.getInputs(), body.getArguments()))
    entry.inputs.push_back(describe(name, input));
  for (auto [name, output] : llvm::zip_equal(
           program.getOutputs(), body.getTerminator()->getOperands()))
    entry.outputs.push_back(describe(name, output));
}

Error ProgramWriter::writeBuffer(Value value, bundle::BufferKind kind,
                                 int32_t index, AffineExpr offset) {
  auto type = cast<plan::BufferType>(value.getType());
  auto buffer = std::make_unique<bundle::BufferT>();
  buffer->kind = kind;
  buffer->index = index;
  buffer->dtype = getDType(type.getElementType());
  if (buffer->dtype == bundle::DType::None)
    return llvm::createStringError(
        "bundles cannot hold elements of type %s",
        print(TypeAttr::get(type.getElementType())).c_str());
  buffer->dims = expressions.add(type.getDims().getResults());
  buffer->offset = offset ? expressions.add(offset) : -1;
  buffers[value] = result->buffers.size();
  result->buffers.push_back(std::move(buffer));
  return Error::success();
}

std::vector<uint32_t> ProgramWriter::getBuffers(ValueRange values) {
  std::vector<uint32_t> indices;
  for (Value value : values)
    indices.push_back(buffers.lookup(value));
  return indices;
}

void ProgramWriter::addStep(bundle::StepBodyUnion body) {
  auto step = std::make_unique<bundle::StepT>();
  step->body = std::move(body);
  result->steps.push_back(std::move(step));
}

Error ProgramWriter::writeConstant(plan::ConstantOp op) {
  Expected<ArrayRef<char>> bytes = materializer.materialize(op);
  if (!bytes)
    return stepError(op, toString(bytes.takeError()));
  std::string encoding = op.getEncoding() ? print(*op.getEncoding()) : "dense";
  Expected<uint32_t> index =
      writer.addConstant(op.getLabel().value_or(""), encoding, *bytes);
  if (!index)
    return index.takeError();
  return writeBuffer(op.getResult(), bundle::BufferKind::Constant, *index);
}

Error ProgramWriter::writeLaunch(plan::LaunchOp op) {
  bundle::LaunchT launch;
  for (Attribute attr : op.getChoices()) {
    auto choice = cast<plan::ChoiceAttr>(attr);
    auto kernel = kernels.find(choice.getKernel().getValue());
    if (kernel == kernels.end())
      return stepError(op, "kernel '" + choice.getKernel().getValue() +
                               "' was not compiled");
    auto table = std::make_unique<bundle::ChoiceT>();
    table->kernel = kernel->second;
    table->grid = expressions.add(choice.getGrid().getResults());
    if (IntegerSetAttr when = choice.getWhen())
      table->conditions = expressions.addConditions(when.getValue());
    launch.choices.push_back(std::move(table));
  }
  launch.scalars = expressions.add(op.getScalars().getResults());
  launch.reads = getBuffers(op.getReads());
  launch.writes = getBuffers(op.getWrites());
  launch.label = op.getLabel().str();
  if (op.getFlops())
    launch.flops = expressions.add(op.getFlops()->getResult(0));
  bundle::StepBodyUnion body;
  body.Set(std::move(launch));
  addStep(std::move(body));
  return Error::success();
}

/// One entry of a built-in's options, or null for a kind that bundles lack.
static std::unique_ptr<bundle::OptionT> writeOption(NamedAttribute attr) {
  auto option = std::make_unique<bundle::OptionT>();
  option->name = attr.getName().str();
  bool known = llvm::TypeSwitch<Attribute, bool>(attr.getValue())
                   .Case([&](BoolAttr value) {
                     option->int_value = value.getValue();
                     return true;
                   })
                   .Case([&](IntegerAttr value) {
                     option->int_value = value.getInt();
                     return true;
                   })
                   .Case([&](FloatAttr value) {
                     option->float_value = value.getValueAsDouble();
                     return true;
                   })
                   .Case([&](StringAttr value) {
                     option->string_value = value.str();
                     return true;
                   })
                   .Case([&](DenseI64ArrayAttr value) {
                     option->ints.assign(value.asArrayRef().begin(),
                                         value.asArrayRef().end());
                     return true;
                   })
                   .Case([&](DenseF64ArrayAttr value) {
                     option->floats.assign(value.asArrayRef().begin(),
                                           value.asArrayRef().end());
                     return true;
                   })
                   .Case([&](UnitAttr) {
                     option->int_value = 1;
                     return true;
                   })
                   .Default([](Attribute) { return false; });
  return known ? std::move(option) : nullptr;
}

Error ProgramWriter::writeBuiltin(plan::BuiltinOp op) {
  bundle::BuiltinCallT call;
  call.callee = op.getCallee().str();
  call.reads = getBuffers(op.getReads());
  call.writes = getBuffers(op.getWrites());
  call.label = op.getLabel().str();
  for (NamedAttribute attr : op.getOptionsAttr()
                                 ? op.getOptionsAttr()
                                 : DictionaryAttr::get(op.getContext())) {
    std::unique_ptr<bundle::OptionT> option = writeOption(attr);
    if (!option)
      return stepError(op, "option '" + attr.getName().getValue() +
                               "' is no number, string or array of numbers");
    call.options.push_back(std::move(option));
  }
  if (std::optional<ArrayRef<int64_t>> binds = op.getBinds())
    call.binds.assign(binds->begin(), binds->end());
  bundle::StepBodyUnion body;
  body.Set(std::move(call));
  addStep(std::move(body));
  return Error::success();
}

void ProgramWriter::writeCall(plan::CallOp op) {
  bundle::CallT call;
  for (Attribute attr : op.getCallees()) {
    auto callee = cast<plan::CalleeAttr>(attr);
    auto table = std::make_unique<bundle::CalleeT>();
    table->entry = entries.lookup(callee.getProgram().getValue());
    if (IntegerSetAttr when = callee.getWhen())
      table->conditions = expressions.addConditions(when.getValue());
    call.callees.push_back(std::move(table));
  }
  call.symbols = expressions.add(op.getSymbols().getResults());
  call.reads = getBuffers(op.getReads());
  call.writes = getBuffers(op.getWrites());
  if (std::optional<ArrayRef<int64_t>> binds = op.getBinds())
    call.binds.assign(binds->begin(), binds->end());
  call.label = op.getLabel().str();
  bundle::StepBodyUnion body;
  body.Set(std::move(call));
  addStep(std::move(body));
}

void ProgramWriter::writeLoop(plan::LoopOp op) {
  bundle::LoopT loop;
  loop.body = entries.lookup(op.getBody());
  loop.symbols = expressions.add(op.getSymbols().getResults());
  if (op.getCount())
    loop.count = buffers.lookup(op.getCount());
  if (op.getCondition())
    loop.condition = buffers.lookup(op.getCondition());
  loop.carried = getBuffers(op.getCarried());
  loop.reads = getBuffers(op.getReads());
  loop.writes = getBuffers(op.getWrites());
  if (std::optional<ArrayRef<int64_t>> binds = op.getBinds())
    loop.binds.assign(binds->begin(), binds->end());
  loop.label = op.getLabel().str();
  bundle::StepBodyUnion body;
  body.Set(std::move(loop));
  addStep(std::move(body));
}

Error ProgramWriter::writeStep(Operation &op) {
  if (auto constant = dyn_cast<plan::ConstantOp>(op))
    return writeConstant(constant);
  if (auto alloc = dyn_cast<plan::AllocOp>(op)) {
    auto output = outputs.find(alloc.getResult());
    if (output == outputs.end())
      return writeBuffer(alloc, bundle::BufferKind::Transient, -1);
    return writeBuffer(alloc, bundle::BufferKind::Output, output->second);
  }
  if (auto alias = dyn_cast<plan::AliasOp>(op))
    return writeBuffer(
        alias, bundle::BufferKind::Alias, buffers.lookup(alias.getSource()),
        alias.getOffset() ? alias.getOffset()->getResult(0) : AffineExpr());
  if (auto launch = dyn_cast<plan::LaunchOp>(op))
    return writeLaunch(launch);
  if (auto builtin = dyn_cast<plan::BuiltinOp>(op))
    return writeBuiltin(builtin);
  if (auto call = dyn_cast<plan::CallOp>(op)) {
    writeCall(call);
    return Error::success();
  }
  if (auto loop = dyn_cast<plan::LoopOp>(op)) {
    writeLoop(loop);
    return Error::success();
  }
  bundle::StepBodyUnion body;
  if (auto bind = dyn_cast<plan::BindOp>(op)) {
    bundle::BindT table;
    table.symbol = bind.getSymbol();
    table.source = buffers.lookup(bind.getSource());
    table.element = bind.getElement();
    body.Set(std::move(table));
  } else if (auto check = dyn_cast<plan::CheckOp>(op)) {
    bundle::CheckT table;
    table.conditions = expressions.addConditions(check.getCondition());
    table.message = check.getMessage().str();
    body.Set(std::move(table));
  } else {
    return stepError(&op, "is no step of a plan");
  }
  addStep(std::move(body));
  return Error::success();
}

Expected<std::unique_ptr<bundle::ProgramT>>
ProgramWriter::write(plan::ProgramOp program) {
  writeSignature(program);
  result = std::make_unique<bundle::ProgramT>();
  Block &body = program.getBody().front();
  Operation *terminator = body.getTerminator();
  for (OpOperand &operand : terminator->getOpOperands())
    outputs.try_emplace(operand.get(), operand.getOperandNumber());
  for (BlockArgument input : body.getArguments())
    if (Error error =
            writeBuffer(input, bundle::BufferKind::Input, input.getArgNumber()))
      return std::move(error);
  for (Operation &op : body.without_terminator())
    if (Error error = writeStep(op))
      return std::move(error);
  result->outputs = getBuffers(terminator->getOperands());
  return std::move(result);
}
