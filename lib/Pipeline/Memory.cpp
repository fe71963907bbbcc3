// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The memory that a run of a plan works in, before there is a run.

#include "lib/Pipeline/Memory.h"

using namespace mlir;
using namespace lathe;

namespace {
/// Of one program and those it runs.
class Estimator {
public:
  Estimator(ModuleOp plan, int64_t unknown) : plan(plan), unknown(unknown) {}

  /// Symbols without a value count as `unknown`.
  uint64_t estimate(plan::ProgramOp program, ArrayRef<int64_t> symbols);

private:
  uint64_t estimateCallees(Operation &step, ArrayRef<int64_t> symbols);
  uint64_t getBytes(Value buffer, ArrayRef<int64_t> symbols);

  ModuleOp plan;
  int64_t unknown;
};
} // namespace

static int64_t evaluate(AffineExpr expr, ArrayRef<int64_t> symbols) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return constant.getValue();
  if (auto symbol = dyn_cast<AffineSymbolExpr>(expr))
    return symbols[symbol.getPosition()];
  auto binary = cast<AffineBinaryOpExpr>(expr);
  int64_t a = evaluate(binary.getLHS(), symbols);
  int64_t b = evaluate(binary.getRHS(), symbols);
  switch (expr.getKind()) {
  case AffineExprKind::Add:
    return llvm::SaturatingAdd<uint64_t>(a, b);
  case AffineExprKind::Mul:
    return a * b;
  case AffineExprKind::FloorDiv:
    return b > 0 ? llvm::divideFloorSigned(a, b) : 0;
  case AffineExprKind::CeilDiv:
    return b > 0 ? llvm::divideCeilSigned(a, b) : 0;
  case AffineExprKind::Mod:
    return b > 0 ? llvm::mod(a, b) : 0;
  default:
    return 0;
  }
}

uint64_t Estimator::getBytes(Value buffer, ArrayRef<int64_t> symbols) {
  auto type = cast<plan::BufferType>(buffer.getType());
  uint64_t bytes =
      llvm::divideCeil(type.getElementType().getIntOrFloatBitWidth(), 8);
  for (AffineExpr dim : type.getDims().getResults())
    bytes *= std::max<int64_t>(evaluate(dim, symbols), 0);
  return bytes;
}

/// What the programs that a step runs need: a call the most of its callees, a
/// loop its body twice.
uint64_t Estimator::estimateCallees(Operation &step,
                                    ArrayRef<int64_t> symbols) {
  auto run = [&](StringRef name, AffineMap given) {
    auto callee = plan.lookupSymbol<plan::ProgramOp>(name);
    SmallVector<int64_t> values(callee.getSymbols().size(), unknown);
    for (auto [i, expr] : llvm::enumerate(given.getResults()))
      values[i] = evaluate(expr, symbols);
    return estimate(callee, values);
  };
  uint64_t most = 0;
  if (auto call = dyn_cast<plan::CallOp>(step))
    for (Attribute attr : call.getCallees())
      most = std::max(most,
                      run(cast<plan::CalleeAttr>(attr).getProgram().getValue(),
                          call.getSymbols()));
  if (auto loop = dyn_cast<plan::LoopOp>(step))
    most = 2 * run(loop.getBody(), loop.getSymbols());
  return most;
}

static Value getRoot(Value buffer) {
  while (auto alias = buffer.getDefiningOp<plan::AliasOp>())
    buffer = alias.getSource();
  return buffer;
}

uint64_t Estimator::estimate(plan::ProgramOp program,
                             ArrayRef<int64_t> symbols) {
  // From the first to the last use; an alias is a use of its source.
  llvm::MapVector<Value, std::pair<unsigned, unsigned>> lives;
  SmallVector<uint64_t> live;
  unsigned time = 0;
  for (Operation &step : program.getBody().front()) {
    for (Value operand : step.getOperands()) {
      Value root = getRoot(operand);
      if (!root.getDefiningOp<plan::AllocOp>() || isa<plan::AliasOp>(step))
        continue;
      lives.insert({root, {time, time}}).first->second.second = time;
    }
    live.push_back(estimateCallees(step, symbols));
    ++time;
  }
  for (auto &[buffer, life] : lives)
    for (unsigned i = life.first; i <= life.second; ++i)
      live[i] += getBytes(buffer, symbols);
  return live.empty() ? 0 : *llvm::max_element(live);
}

/// A dim that is the first of every input it occurs in: the batch.
static bool isBatch(plan::ProgramOp program, unsigned symbol) {
  for (BlockArgument input : program.getBody().getArguments())
    for (auto [d, dim] : llvm::enumerate(
             cast<plan::BufferType>(input.getType()).getDims().getResults()))
      if (d > 0 && dim.isFunctionOfSymbol(symbol))
        return false;
  return true;
}

llvm::Expected<MemoryEstimate>
lathe::estimateMemory(ModuleOp module,
                      ArrayRef<std::pair<std::string, int64_t>> sizes) {
  static constexpr int64_t kTypical = 128;
  plan::ProgramOp main;
  for (plan::ProgramOp program : module.getOps<plan::ProgramOp>())
    if (!main && !program.getGiven())
      main = program;
  MemoryEstimate result;
  if (!main)
    return result;
  SmallVector<int64_t> symbols;
  llvm::SmallPtrSet<const void *, 4> used;
  for (auto [i, attr] : llvm::enumerate(main.getSymbols())) {
    std::string name = cast<StringAttr>(attr).str();
    symbols.push_back(isBatch(main, i) ? 1 : kTypical);
    for (const auto &size : sizes)
      if (size.first == name) {
        symbols.back() = size.second;
        used.insert(&size);
      }
    bool isInput =
        llvm::any_of(main.getBody().getArguments(), [&](BlockArgument input) {
          AffineMap dims = cast<plan::BufferType>(input.getType()).getDims();
          return dims.isFunctionOfSymbol(i);
        });
    if (isInput)
      result.sizes.emplace_back(name, symbols.back());
  }
  for (const auto &size : sizes)
    if (!used.contains(&size))
      return llvm::createStringError("no dim of the model is called '%s'",
                                     size.first.c_str());
  result.bytes = Estimator(module, kTypical).estimate(main, symbols);
  return result;
}
