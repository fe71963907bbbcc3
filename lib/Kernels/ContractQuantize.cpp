// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Rows of f32 to 8-bit codes, with a scale and an offset, or a sum, per group
// of k.

#include "lib/Kernels/ContractKernel.h"

#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Kernels/TileEvaluator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include <limits>

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;
using graph::Dims;
using graph::StridedView;

SmallVector<Temporary> lathe::kernels::getQuantizedInput(const Contraction &c) {
  MLIRContext *context = c.root->getContext();
  int64_t step = kInt8Group;
  auto group = cast<graph::GroupOp>(c.root->getParentOp());
  for (const ContractBranch &branch : c.branches)
    if (branch.kind == ContractKind::DynamicInt8)
      for (const graph::EncodedBuffer &buffer : branch.getBuffers(group))
        step = std::max(step,
                        (c.readsCodes ? kUnitRun : kInt8Group) * buffer.parts);
  AffineExpr padded = graph::canonicalizeSize(c.k.ceilDiv(step) * step);
  // An even number of lines from row to row is half as fast as an odd one:
  // sixteen rows would share few of a cache's sets.
  constexpr int64_t line = 64;
  if (c.spreadsCodes)
    padded = (padded.ceilDiv(line).floorDiv(2) * 2 + 1) * line;
  Dims codes = c.getSpace(c.m, graph::canonicalizeSize(padded));
  Dims groups = c.getSpace(
      c.m, graph::canonicalizeSize(c.k.ceilDiv(c.quantizer.getGroup())));
  auto f32 = Float32Type::get(context);
  return {{IntegerType::get(context, 8), codes}, {f32, groups}, {f32, groups}};
}

namespace {

class QuantizeKernel {
public:
  QuantizeKernel(LaunchBuilder &launch, const Contraction &c)
      : launch(launch), c(c), group(c.quantizer.getGroup()),
        temporaries(getQuantizedInput(c)),
        kernel(launch.addKernel("contract", {1, group})),
        b(kernel.getBuilder()) {}

  LogicalResult build();

private:
  TileWindow getWindow(Value column, int64_t size, bool inBounds) const {
    TileWindow window;
    window.bases.assign(batch.begin(), batch.end());
    window.bases.append({row, column});
    unsigned first = batch.size();
    window.extents.push_back({first, 1, true});
    window.extents.push_back({first + 1, size, inBounds});
    return window;
  }
  Value load(Value k, bool inBounds) {
    TileEvaluator evaluator(kernel, launch.getGroup(), launch.getContext(),
                            getWindow(k, group, inBounds));
    return evaluator.evaluate(c.input, c.inputAccess).value_or(Value());
  }
  void store(Value tile, unsigned temporary, const TileWindow &window) {
    kernel.store(
        tile, kernel.getWrittenBuffer(BufferRef::temporary(temporary)),
        StridedView::getContiguous(b.getContext(), temporaries[temporary].dims),
        window);
  }
  Value pad(Value x, Value k, double value);
  Value reduce(tile::Combine kind, Value tile);
  Value getConstant(double value);
  Value getInverse(Value range, double count);
  bool quantize(Value k, bool isWhole);

  LaunchBuilder &launch;
  const Contraction &c;
  int64_t group;
  SmallVector<Temporary> temporaries;
  KernelBuilder kernel;
  ImplicitLocOpBuilder &b;
  SmallVector<Value> batch;
  Value row;
};

} // namespace

/// `x` with `value` for what a group that is cut short lacks.
Value QuantizeKernel::pad(Value x, Value k, double value) {
  auto f32 = cast<RankedTensorType>(x.getType());
  RankedTensorType type = f32.clone(b.getIndexType());
  Value place = arith::AddIOp::create(b, tile::SplatOp::create(b, type, k),
                                      tile::IotaOp::create(b, type, 1));
  Value size = tile::SplatOp::create(b, type, kernel.getSize(c.k));
  Value isInside =
      arith::CmpIOp::create(b, arith::CmpIPredicate::ult, place, size);
  return arith::SelectOp::create(
      b, isInside, x, kernel.getSplat(f32.getShape(), b.getF32Type(), value));
}

Value QuantizeKernel::reduce(tile::Combine kind, Value tile) {
  return tile::ReduceOp::create(b, kind, tile, 1);
}

Value QuantizeKernel::getConstant(double value) {
  return kernel.getSplat({1}, b.getF32Type(), value);
}

/// `count` steps over `range`. Of a range whose inverse is no number, all codes
/// are zero.
Value QuantizeKernel::getInverse(Value range, double count) {
  Value isFlat = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, range,
                                       getConstant(1e-36));
  Value inverse = arith::DivFOp::create(b, getConstant(count), range);
  return arith::SelectOp::create(b, isFlat, getConstant(0), inverse);
}

/// Quantizes the group that starts at `k`; false after an error.
bool QuantizeKernel::quantize(Value k, bool isWhole) {
  Value x = load(k, isWhole);
  if (!x)
    return false;
  auto f32 = cast<RankedTensorType>(x.getType());
  auto repeat = [&](Value statistic) -> Value {
    return tile::BroadcastOp::create(b, f32, statistic,
                                     b.getDenseI64ArrayAttr(0));
  };
  bool isSymmetric = c.quantizer.getSymmetric();
  // Sums are of what is there; zeros do not change a largest magnitude.
  if (isSymmetric && !isWhole)
    x = pad(x, k, 0.0);
  constexpr double infinity = std::numeric_limits<double>::infinity();
  auto getExtreme = [&](tile::Combine kind, double identity) {
    bool isPadded = isSymmetric || isWhole;
    return reduce(kind, isPadded ? x : pad(x, k, identity));
  };
  Value low = getExtreme(tile::Combine::Min, infinity);
  Value range = getExtreme(tile::Combine::Max, -infinity);
  if (isSymmetric)
    range = arith::MaximumFOp::create(b, range, arith::NegFOp::create(b, low));
  else
    range = arith::SubFOp::create(b, range, low);
  double count = isSymmetric ? 127 : 255;
  Value scale = arith::MulFOp::create(b, range, getConstant(1.0 / count));
  Value code = x;
  if (!isSymmetric)
    code = arith::SubFOp::create(b, x, repeat(low));
  code = arith::MulFOp::create(b, code, repeat(getInverse(range, count)));
  code = math::RoundEvenOp::create(b, code);
  TileWindow window = getWindow(kernel.div(k, group), 1, true);
  window.extents.pop_back();
  store(scale, kInputScales, window);
  if (isSymmetric)
    store(arith::MulFOp::create(b, reduce(tile::Combine::Add, code), scale),
          kInputSums, window);
  else
    store(low, kInputOffsets, window);
  code = arith::FPToSIOp::create(b, f32.clone(b.getI32Type()), code);
  code = arith::TruncIOp::create(b, f32.clone(b.getI8Type()), code);
  store(code, kInputCodes, getWindow(k, group, isWhole));
  return true;
}

LogicalResult QuantizeKernel::build() {
  row = kernel.getProgramId(0);
  batch = kernel.delinearize(kernel.getProgramId(1), c.batch);
  bool isComplete = true;
  kernel.forEachTile(c.k, group, {}, [&](Value k, ValueRange, bool isWhole) {
    isComplete = isComplete && quantize(k, isWhole);
    return SmallVector<Value>();
  });
  if (!isComplete)
    return failure();
  kernel.setGrid({c.m, graph::getProduct(b.getContext(), c.batch)});
  return success();
}

LogicalResult lathe::kernels::buildQuantizeKernel(LaunchBuilder &launch,
                                                  const Contraction &c) {
  return QuantizeKernel(launch, c).build();
}
