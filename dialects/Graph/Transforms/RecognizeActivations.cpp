// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --graph-recognize-activations
//
//   %y = 0.5 * %x * (1 + graph.erf (%x / sqrt 2))     in any order
// becomes
//   %y = graph.gelu %x

#include "dialects/Graph/IR/ConstantValues.h"
#include "dialects/Graph/Transforms/Passes.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"
#include <cmath>

namespace lathe::graph {
#define GEN_PASS_DEF_RECOGNIZEACTIVATIONSPASS
#include "dialects/Graph/Transforms/Passes.h.inc"
} // namespace lathe::graph

using namespace mlir;
using namespace lathe::graph;

/// Exporters round constants to f16 at worst.
static bool isNear(double value, double wanted) {
  return std::abs(value - wanted) <= 1e-3 * std::abs(wanted);
}

namespace {
/// `number` times the values in `factors`.
struct Product {
  double number = 1.0;
  SmallVector<Value, 4> factors;

  explicit Product(Value value) { collect(value); }

  /// Takes `value` out, if it is a factor.
  bool take(Value value) {
    auto *found = llvm::find(factors, value);
    if (found == factors.end())
      return false;
    factors.erase(found);
    return true;
  }

private:
  void collect(Value value) {
    if (std::optional<double> splat = getSplatNumber(value)) {
      number *= *splat;
    } else if (auto mul = value.getDefiningOp<MulOp>()) {
      collect(mul.getLhs());
      collect(mul.getRhs());
    } else if (auto div = value.getDefiningOp<DivOp>();
               div && getSplatNumber(div.getRhs()).value_or(0.0) != 0.0) {
      number /= *getSplatNumber(div.getRhs());
      collect(div.getLhs());
    } else if (auto pow = value.getDefiningOp<PowOp>();
               pow && (getSplatNumber(pow.getRhs()) == 3.0 ||
                       getSplatNumber(pow.getRhs()) == 2.0)) {
      factors.append(static_cast<size_t>(*getSplatNumber(pow.getRhs())),
                     pow.getLhs());
    } else {
      factors.push_back(value);
    }
  }
};
} // namespace

/// `1 + value` in either order: the value.
static Value matchOnePlus(Value value) {
  auto add = value.getDefiningOp<AddOp>();
  if (!add)
    return Value();
  if (getSplatNumber(add.getRhs()) == 1.0)
    return add.getLhs();
  return getSplatNumber(add.getLhs()) == 1.0 ? add.getRhs() : Value();
}

/// x / sqrt 2
static bool isErfArgument(Value value, Value x) {
  Product product(value);
  return product.take(x) && product.factors.empty() &&
         isNear(product.number, M_SQRT1_2);
}

/// 0.044715 x^3, or that without one x.
static bool isCubicTerm(Value value, Value x, unsigned power) {
  Product product(value);
  for (unsigned i = 0; i < power; ++i)
    if (!product.take(x))
      return false;
  return product.factors.empty() && isNear(product.number, 0.044715);
}

/// sqrt(2 / pi) (x + 0.044715 x^3), also as sqrt(2 / pi) x (1 + 0.044715 x^2)
static bool isTanhArgument(Value value, Value x) {
  Product product(value);
  if (!isNear(product.number, std::sqrt(2.0 / M_PI)))
    return false;
  if (product.factors.size() == 2 && product.take(x)) {
    Value square = matchOnePlus(product.factors.front());
    return square && isCubicTerm(square, x, 2);
  }
  auto add = product.factors.size() == 1
                 ? product.factors.front().getDefiningOp<AddOp>()
                 : AddOp();
  return add && ((add.getLhs() == x && isCubicTerm(add.getRhs(), x, 3)) ||
                 (add.getRhs() == x && isCubicTerm(add.getLhs(), x, 3)));
}

namespace {
/// Products of x and a function of x.
struct RecognizeActivation : OpRewritePattern<MulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MulOp op,
                                PatternRewriter &rewriter) const override {
    Product product(op.getResult());
    if (product.factors.size() != 2)
      return rewriter.notifyMatchFailure(op, "not a product of two values");
    for (unsigned i : {0, 1}) {
      Value x = product.factors[i], gate = product.factors[1 - i];
      if (x.getType() != op.getType())
        continue;
      if (succeeded(replace(op, product.number, x, gate, rewriter)))
        return success();
    }
    return rewriter.notifyMatchFailure(op, "no known activation");
  }

private:
  static LogicalResult replace(MulOp op, double number, Value x, Value gate,
                               PatternRewriter &rewriter) {
    if (auto sigmoid = gate.getDefiningOp<SigmoidOp>();
        sigmoid && sigmoid.getInput() == x && number == 1.0) {
      rewriter.replaceOpWithNewOp<SiluOp>(op, x);
      return success();
    }
    Value inner = matchOnePlus(gate);
    if (!inner || !isNear(number, 0.5))
      return failure();
    if (auto erf = inner.getDefiningOp<ErfOp>();
        erf && isErfArgument(erf.getInput(), x)) {
      rewriter.replaceOpWithNewOp<GeluOp>(op, x);
      return success();
    }
    auto tanh = inner.getDefiningOp<TanhOp>();
    if (!tanh || !isTanhArgument(tanh.getInput(), x))
      return failure();
    rewriter.replaceOpWithNewOp<GeluTanhOp>(op, x);
    return success();
  }
};

struct RecognizeActivationsPass
    : lathe::graph::impl::RecognizeActivationsPassBase<
          RecognizeActivationsPass> {
  using Base::Base;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<RecognizeActivation>(&getContext());
    unsigned before = count();
    walkAndApplyPatterns(getOperation(), std::move(patterns));
    numActivations += count() - before;
  }

  unsigned count() {
    unsigned found = 0;
    getOperation().walk(
        [&](Operation *op) { found += isa<GeluOp, GeluTanhOp, SiluOp>(op); });
    return found;
  }
};
} // namespace
