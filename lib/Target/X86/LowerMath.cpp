// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --x86-lower-math: math.* on vectors of f32 as polynomials, so that no call of
// libm is left.

#include "lib/Target/X86/Passes.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace lathe::x86 {
#define GEN_PASS_DEF_X86LOWERMATHPASS
#include "lib/Target/X86/Passes.h.inc"
} // namespace lathe::x86

using namespace mlir;
using namespace lathe;

namespace {
struct X86LowerMathPass
    : lathe::x86::impl::X86LowerMathPassBase<X86LowerMathPass> {
  using X86LowerMathPassBase::X86LowerMathPassBase;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    MathPolynomialApproximationOptions options;
    populateMathPolynomialApproximationPatterns(patterns, options);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
