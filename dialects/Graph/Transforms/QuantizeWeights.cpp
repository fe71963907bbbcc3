// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --graph-quantize-weights
//
//   %w = graph.constant dense_resource<w> : tensor<384x1536xf32>
//   %y = graph.contract %x, %w [#graph.branch<>]
// becomes
//   %w = graph.constant dense_resource<w>
//          : tensor<384x1536xf32, #graph.int8<axis = 1, group = 128>>
//   %y = graph.contract %x, %w
//          [#graph.branch<quantizer = #graph.dynamic_int8<group = 128>>]

#include "dialects/Graph/IR/ConstantValues.h"
#include "dialects/Graph/Transforms/PassUtils.h"
#include "dialects/Graph/Transforms/Passes.h"
#include "dialects/Graph/Transforms/WeightPlan.h"

namespace lathe::graph {
#define GEN_PASS_DEF_QUANTIZEWEIGHTSPASS
#include "dialects/Graph/Transforms/Passes.h.inc"
} // namespace lathe::graph

using namespace mlir;
using namespace lathe::graph;

namespace {
struct QuantizeWeightsPass
    : lathe::graph::impl::QuantizeWeightsPassBase<QuantizeWeightsPass> {
  using Base::Base;

  void runOnOperation() override;
  void quantizeLayer(ContractOp op);
  void checkRules();
  const WeightFormat *findFormat(Operation *op);
  Value quantize(ContractOp op, Value weight, const WeightFormat &format);

  std::optional<WeightPlan> plan;
  SmallVector<bool> isMatched, decides; ///< Per rule.
};
} // namespace

/// What the plan says about the layer; null if nothing.
const WeightFormat *QuantizeWeightsPass::findFormat(Operation *op) {
  SmallVector<StringRef> names = getNodeNames(op->getLoc());
  if (names.empty())
    names.push_back("");
  const WeightFormat *found = nullptr;
  for (auto [i, rule] : llvm::enumerate(plan->getRules())) {
    if (!llvm::any_of(names, [&rule = rule](StringRef name) {
          return rule.pattern.match(name);
        }))
      continue;
    isMatched[i] = true;
    if (found)
      continue;
    found = &rule.format;
    decides[i] = true;
  }
  return found;
}

/// The share of blocks of `size` columns by one k that are not all zero; 1 if
/// the bytes are not at hand.
static double getDensity(ElementsAttr value, int64_t axis, int64_t size) {
  auto type = cast<RankedTensorType>(value.getShapedType());
  std::optional<ArrayRef<char>> bytes = getRawBytes(value);
  int64_t width = getElementBytes(type.getElementType());
  if (!bytes ||
      static_cast<int64_t>(bytes->size()) != type.getNumElements() * width)
    return 1.0;
  int64_t k = type.getDimSize(1 - axis), n = type.getDimSize(axis);
  int64_t count = 0, blocks = llvm::divideCeil(n, size) * k;
  auto isZero = [&](int64_t row, int64_t column) {
    int64_t at = axis == 0 ? column * k + row : row * n + column;
    ArrayRef<char> element = bytes->slice(at * width, width);
    // The sign is the highest bit of the last byte.
    return llvm::all_of(element.drop_back(), [](char c) { return c == 0; }) &&
           (element.back() & 0x7f) == 0;
  };
  for (int64_t row = 0; row < k; ++row)
    for (int64_t first = 0; first < n; first += size) {
      auto columns = llvm::seq(first, std::min(first + size, n));
      count +=
          !llvm::all_of(columns, [&](int64_t i) { return isZero(row, i); });
    }
  return blocks ? static_cast<double>(count) / static_cast<double>(blocks)
                : 0.0;
}

/// The type with an encoding; null, with the reason, if that is not for it.
static RankedTensorType getStoredType(Location loc, RankedTensorType type,
                                      Attribute encoding,
                                      std::string &refusal) {
  ScopedDiagnosticHandler handler(loc.getContext(),
                                  [&](Diagnostic &diagnostic) {
                                    refusal = diagnostic.str();
                                    return success();
                                  });
  return RankedTensorType::getChecked([&] { return emitError(loc); },
                                      type.getShape(), type.getElementType(),
                                      encoding);
}

/// The weight with its encoding; null, with a remark, if it keeps its own.
Value QuantizeWeightsPass::quantize(ContractOp op, Value weight,
                                    const WeightFormat &format) {
  auto transpose = weight.getDefiningOp<TransposeOp>();
  auto constant = transpose ? transpose.getInput().getDefiningOp<ConstantOp>()
                            : weight.getDefiningOp<ConstantOp>();
  auto keep = [&](const Twine &reason) {
    remarkMissed(getArgument(), op, "weight is not quantized: " + reason);
    ++numKept;
    return Value();
  };
  if (!constant)
    return keep("it is computed");
  auto type = cast<RankedTensorType>(constant.getType());
  Type element = type.getElementType();
  if (type.getEncoding() || type.getRank() != 2 ||
      !(element.isF32() || element.isF16() || element.isBF16()))
    return keep("it is no plain matrix of f32, f16 or bf16");
  if (type.getNumElements() < minElements)
    return keep("it has fewer than " + Twine(minElements) + " elements");
  int64_t axis = transpose ? 0 : 1;
  WeightFormat chosen = format;
  if (format.kind == WeightFormat::Kind::Block) {
    // What is zero already needs no room.
    chosen.density =
        std::min(format.density,
                 getDensity(constant.getValue(), axis, format.blockSize));
  }
  std::string refusal;
  Attribute encoding =
      chosen.getEncoding(&getContext(), axis, type.getDimSize(1 - axis));
  RankedTensorType stored = getStoredType(op.getLoc(), type, encoding, refusal);
  if (!stored)
    return keep(refusal);
  OpBuilder builder(constant);
  // Calibrations, remarks and plans name layers.
  auto encoded = ConstantOp::create(
      builder, builder.getFusedLoc({op.getLoc(), constant.getLoc()}), stored,
      constant.getValue());
  ++numQuantized;
  if (!transpose)
    return encoded;
  builder.setInsertionPoint(op);
  return TransposeOp::create(builder, transpose.getLoc(), transpose.getType(),
                             encoded, transpose.getPermutation());
}

void QuantizeWeightsPass::quantizeLayer(ContractOp op) {
  const WeightFormat *format = findFormat(op);
  if (!format || format->kind == WeightFormat::Kind::Keep)
    return;
  SmallVector<Attribute> branches(op.getBranches().getValue());
  for (auto [i, weight] : llvm::enumerate(op.getWeights())) {
    auto branch = cast<BranchAttr>(branches[i]);
    Value encoded =
        branch.getQuantizer() ? Value() : quantize(op, weight, *format);
    if (!encoded)
      continue;
    op.getWeightsMutable()[i].set(encoded);
    int64_t k = cast<RankedTensorType>(weight.getType()).getDimSize(0);
    branches[i] =
        BranchAttr::get(&getContext(), format->getQuantizer(&getContext(), k),
                        branch.getScale());
  }
  op.setBranchesAttr(ArrayAttr::get(&getContext(), branches));
}

/// Says which lines of the plan have no effect: those of a renamed model are
/// errors.
void QuantizeWeightsPass::checkRules() {
  for (auto [i, rule] : llvm::enumerate(plan->getRules())) {
    if (decides[i])
      continue;
    if (rule.line == 0) {
      if (rule.format.kind != WeightFormat::Kind::Keep)
        emitWarning(getOperation().getLoc())
            << "the model has no linear layer to store in another format";
      continue;
    }
    auto place =
        FileLineColLoc::get(&getContext(), plan->getPath(), rule.line, 1);
    if (isMatched[i]) {
      emitWarning(place) << "pattern '" << rule.text
                         << "' decides nothing: lines above it match all of "
                            "its layers";
      continue;
    }
    emitError(place) << "pattern '" << rule.text
                     << "' matches no linear layer of the model";
    signalPassFailure();
  }
}

void QuantizeWeightsPass::runOnOperation() {
  auto read = WeightPlan::read(weights);
  if (!read) {
    getOperation().emitError(llvm::toString(read.takeError()));
    return signalPassFailure();
  }
  plan = std::move(*read);
  isMatched.assign(plan->getRules().size(), false);
  decides = isMatched;
  getOperation().walk([&](ContractOp op) {
    if (isa<FloatType>(getElementTypeOrSelf(op.getInput().getType())))
      quantizeLayer(op);
  });
  checkRules();
  for (auto function : getOperation().getOps<func::FuncOp>())
    eraseDeadOps(function);
}
