// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --graph-recognize-float8-products
//
//   %a = graph.mul (graph.cast %x : f8E4M3FN -> f32), 0.5
//   %b = graph.mul (graph.cast %w : f8E4M3FN -> f32), 0.25
//   %y = graph.matmul %a, %b : f32
// becomes
//   %p = graph.matmul %x, %w : (f8E4M3FN, f8E4M3FN) -> f32
//   %y = graph.mul %p, 0.125

#include "dialects/Graph/IR/ConstantValues.h"
#include "dialects/Graph/IR/Graph.h"
#include "dialects/Graph/Transforms/Passes.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"

namespace lathe::graph {
#define GEN_PASS_DEF_RECOGNIZEFLOAT8PRODUCTSPASS
#include "dialects/Graph/Transforms/Passes.h.inc"
} // namespace lathe::graph

using namespace mlir;
using namespace lathe::graph;

namespace {
/// `factor` times the value `codes`, after transpositions.
struct ScaledCodes {
  Value codes;
  double factor = 1;
  SmallVector<TransposeOp, 1> transposes; ///< The last one first.
};
} // namespace

static bool isFloat8(Type element) {
  return isa<Float8E4M3FNType, Float8E5M2Type>(element);
}

/// Looks through transpositions, factors and what rounds them.
static std::optional<ScaledCodes> matchCodes(Value value) {
  ScaledCodes scaled;
  while (Operation *op = value.getDefiningOp()) {
    value = op->getNumOperands() ? op->getOperand(0) : Value();
    if (auto transpose = dyn_cast<TransposeOp>(op)) {
      scaled.transposes.push_back(transpose);
    } else if (auto mul = dyn_cast<MulOp>(op)) {
      auto factor = getSplatNumber(mul.getRhs());
      if (!factor || value.getType() != mul.getType())
        return std::nullopt;
      scaled.factor *= *factor;
    } else if (isa<CastOp>(op)) {
      Type element = getElementTypeOrSelf(value);
      scaled.codes = value;
      if (isFloat8(element))
        return scaled;
      if (!isa<FloatType>(element))
        return std::nullopt;
    } else {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

/// The codes, transposed as what was made of them.
static Value createCodes(PatternRewriter &rewriter, const ScaledCodes &scaled) {
  Value codes = scaled.codes;
  Type element = getElementTypeOrSelf(codes);
  for (TransposeOp op : llvm::reverse(scaled.transposes)) {
    Operation *copy = rewriter.clone(*op);
    copy->setOperand(0, codes);
    codes = copy->getResult(0);
    codes.setType(cast<RankedTensorType>(codes.getType()).clone(element));
  }
  return codes;
}

namespace {
struct Float8Product : OpRewritePattern<MatmulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MatmulOp op,
                                PatternRewriter &rewriter) const override {
    auto lhs = matchCodes(op.getLhs()), rhs = matchCodes(op.getRhs());
    if (!lhs || !rhs ||
        getElementTypeOrSelf(lhs->codes) != getElementTypeOrSelf(rhs->codes))
      return rewriter.notifyMatchFailure(op, "not of 8-bit floats of one kind");
    auto type = cast<RankedTensorType>(op.getType());
    auto wide = type.clone(rewriter.getF32Type());
    Location loc = op.getLoc();
    Value product =
        MatmulOp::create(rewriter, loc, wide, createCodes(rewriter, *lhs),
                         createCodes(rewriter, *rhs));
    double factor = lhs->factor * rhs->factor;
    if (factor != 1) {
      auto scalar = RankedTensorType::get({}, rewriter.getF32Type());
      Value constant = ConstantOp::create(
          rewriter, loc, scalar,
          DenseElementsAttr::get(scalar, rewriter.getF32FloatAttr(factor)));
      product = MulOp::create(rewriter, loc, wide, product, constant);
    }
    if (type != wide)
      product = CastOp::create(rewriter, loc, product, type.getElementType());
    rewriter.replaceOp(op, product);
    return success();
  }
};

struct RecognizeFloat8ProductsPass
    : lathe::graph::impl::RecognizeFloat8ProductsPassBase<
          RecognizeFloat8ProductsPass> {
  using Base::Base;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<Float8Product>(&getContext());
    walkAndApplyPatterns(getOperation(), std::move(patterns));
    getOperation().walk([&](MatmulOp op) {
      numProducts += isFloat8(getElementTypeOrSelf(op.getLhs()));
    });
  }
};
} // namespace
