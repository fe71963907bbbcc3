// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Rows of f32 to u8 codes and scales. The codes are those of a symmetric signed
// quantization, shifted by 128 into the unsigned range that the u8 x i8 product
// takes; the contraction subtracts 128 * (sum of the weight's codes) again.

#include "lib/Kernels/ContractKernel.h"

#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Kernels/TileEvaluator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;
using graph::Dims;
using graph::StridedView;

/// Elements of a row per step.
static constexpr int64_t kStep = 64;

SmallVector<Temporary> lathe::kernels::getQuantizedInput(const Contraction &c) {
  MLIRContext *context = c.root->getContext();
  AffineExpr padded =
      graph::canonicalizeSize(c.k.ceilDiv(kInt8Group) * kInt8Group);
  Dims codes = c.getSpace(c.m, padded), scales = c.batch;
  scales.push_back(c.m);
  return {{IntegerType::get(context, 8), codes},
          {Float32Type::get(context), scales}};
}

namespace {

class QuantizeKernel {
public:
  QuantizeKernel(LaunchBuilder &launch, const Contraction &c)
      : launch(launch), c(c), kernel(launch.addKernel("contract", {1, kStep})),
        b(kernel.getBuilder()) {}

  LogicalResult build();

private:
  TileWindow getWindow(Value k, bool inBounds) const {
    TileWindow window;
    window.bases.assign(batch.begin(), batch.end());
    window.bases.append({row, k});
    unsigned first = batch.size();
    window.extents.push_back({first, 1, true});
    window.extents.push_back({first + 1, kStep, inBounds});
    return window;
  }
  Value load(Value k, bool inBounds) {
    TileEvaluator evaluator(kernel, launch.getGroup(), launch.getContext(),
                            getWindow(k, inBounds));
    return evaluator.evaluate(c.input, c.inputAccess).value_or(Value());
  }
  Value splat(Type element, double value) {
    return kernel.getSplat({1, kStep}, element, value);
  }
  Value getMagnitude();
  Value buildScale(Value magnitude, const Temporary &scales);
  void buildCodes(Value inverse, const Temporary &codes);

  LaunchBuilder &launch;
  const Contraction &c;
  KernelBuilder kernel;
  ImplicitLocOpBuilder &b;
  SmallVector<Value> batch;
  Value row;
};

} // namespace

/// max |x| of the row, as tensor<1xf32>; null after an error.
Value QuantizeKernel::getMagnitude() {
  bool failed = false;
  auto body = [&](Value k, ValueRange carried,
                  bool inBounds) -> SmallVector<Value> {
    Value x = load(k, inBounds);
    failed |= !x;
    if (!x)
      return {carried[0]};
    x = math::AbsFOp::create(b, x);
    return {arith::MaximumFOp::create(b, carried[0], x)};
  };
  Value maxima =
      kernel.forEachTile(c.k, kStep, {splat(b.getF32Type(), 0)}, body)[0];
  if (failed)
    return nullptr;
  return tile::ReduceOp::create(b, tile::Combine::Max, maxima, 1);
}

/// Stores magnitude / 127 and returns 127 / magnitude, or 0 for a zero row.
Value QuantizeKernel::buildScale(Value magnitude, const Temporary &scales) {
  Value limit = kernel.getSplat({1}, b.getF32Type(), 127);
  Value zero = kernel.getSplat({1}, b.getF32Type(), 0);
  Value scale = arith::DivFOp::create(b, magnitude, limit);
  TileWindow window;
  window.bases.assign(batch.begin(), batch.end());
  window.bases.push_back(row);
  window.extents.push_back({static_cast<unsigned>(batch.size()), 1, true});
  kernel.store(scale,
               kernel.getWrittenBuffer(BufferRef::temporary(kInputScales)),
               StridedView::getContiguous(b.getContext(), scales.dims), window);
  Value ratio = arith::DivFOp::create(b, limit, magnitude);
  Value isZero =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, magnitude, zero);
  return arith::SelectOp::create(b, isZero, zero, ratio);
}

void QuantizeKernel::buildCodes(Value inverse, const Temporary &codes) {
  auto f32 = RankedTensorType::get({1, kStep}, b.getF32Type());
  Value factor =
      tile::BroadcastOp::create(b, f32, inverse, b.getDenseI64ArrayAttr(0));
  StridedView view = StridedView::getContiguous(b.getContext(), codes.dims);
  BlockArgument buffer =
      kernel.getWrittenBuffer(BufferRef::temporary(kInputCodes));
  auto body = [&](Value k, ValueRange, bool inBounds) -> SmallVector<Value> {
    Value x = arith::MulFOp::create(b, load(k, inBounds), factor);
    x = math::RoundEvenOp::create(b, x);
    Value code = arith::FPToSIOp::create(b, f32.clone(b.getI32Type()), x);
    code = arith::AddIOp::create(b, code, splat(b.getI32Type(), 128));
    code = arith::TruncIOp::create(b, f32.clone(b.getI8Type()), code);
    kernel.store(code, buffer, view, getWindow(k, inBounds));
    return {};
  };
  kernel.forEachTile(c.k, kStep, {}, body);
}

LogicalResult QuantizeKernel::build() {
  row = kernel.getProgramId(0);
  batch = kernel.delinearize(kernel.getProgramId(1), c.batch);
  SmallVector<Temporary> temporaries = getQuantizedInput(c);
  Value magnitude = getMagnitude();
  if (!magnitude)
    return failure();
  Value inverse = buildScale(magnitude, temporaries[kInputScales]);
  buildCodes(inverse, temporaries[kInputCodes]);
  kernel.setGrid({c.m, graph::getProduct(b.getContext(), c.batch)});
  return success();
}

LogicalResult lathe::kernels::buildQuantizeKernel(LaunchBuilder &launch,
                                                  const Contraction &c) {
  return QuantizeKernel(launch, c).build();
}
