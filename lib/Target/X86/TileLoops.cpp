// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/X86/TileLoops.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::x86;

/// Whether `tile` is loaded interleaved, or computed from bytes that are, each
/// from those at its place.
static bool isInterleaved(Value tile) {
  auto type = cast<RankedTensorType>(tile.getType());
  Type element = type.getElementType();
  auto load = tile.getDefiningOp<tile::LoadOp>();
  if (!load) {
    Operation *op = tile.getDefiningOp();
    if (op && OpTrait::hasElementwiseMappableTraits(op))
      return element.isInteger(8) &&
             llvm::all_of(op->getOperands(), [&](Value operand) {
               auto constant = operand.getDefiningOp<arith::ConstantOp>();
               if (constant)
                 return isa<SplatElementsAttr>(constant.getValue());
               return operand.getType() == type && isInterleaved(operand);
             });
    return false;
  }
  if (!(element.isInteger(8) || element.isBF16()) || load.getGather() ||
      load.getDims().size() != 2 || load.getDims()[0] < 0 ||
      load.getDims()[1] < 0)
    return false;
  int64_t perWord = 32 / element.getIntOrFloatBitWidth();
  ArrayRef<int64_t> strides = load.getView().getType().getStrides();
  return type.getDimSize(0) == perWord && strides[load.getDims()[0]] == 1 &&
         strides[load.getDims()[1]] == perWord;
}

bool x86::isInterleaved(tile::MmaOp mma) { return ::isInterleaved(mma.getB()); }

/// By how much the index grows from one iteration of `loop` to the next;
/// nothing if that differs between them.
static std::optional<int64_t> growthOf(Value index, scf::ForOp loop) {
  if (index == loop.getInductionVar())
    return constantOf(loop.getStep());
  Operation *op = index.getDefiningOp();
  if (!op || !loop.getRegion().isAncestor(op->getParentRegion()))
    return 0;
  SmallVector<int64_t, 2> growth;
  for (Value operand : op->getOperands()) {
    std::optional<int64_t> its = growthOf(operand, loop);
    if (!its)
      return std::nullopt;
    growth.push_back(*its);
  }
  if (llvm::all_of(growth, [](int64_t its) { return its == 0; }))
    return 0;
  if (isa<arith::AddIOp>(op))
    return growth[0] + growth[1];
  if (isa<arith::SubIOp>(op))
    return growth[0] - growth[1];
  for (unsigned other : {0, 1})
    if (auto scale = constantOf(op->getOperand(other));
        scale && isa<arith::MulIOp>(op))
      return growth[1 - other] * *scale;
  // Whole quotients more: the remainder stays as it is.
  if (isa<arith::DivUIOp, arith::FloorDivSIOp>(op))
    if (auto divisor = constantOf(op->getOperand(1));
        divisor && *divisor > 0 && growth[0] % *divisor == 0)
      return growth[0] / *divisor;
  return std::nullopt;
}

std::optional<int64_t> x86::pitchOf(tile::LoadOp load, scf::ForOp loop) {
  int64_t pitch = 0;
  ArrayRef<int64_t> strides = load.getView().getType().getStrides();
  for (auto [index, stride] : llvm::zip_equal(load.getIndices(), strides)) {
    std::optional<int64_t> growth = growthOf(index, loop);
    if (!growth || (*growth != 0 && ShapedType::isDynamic(stride)))
      return std::nullopt;
    if (*growth != 0)
      pitch += *growth * stride;
  }
  return pitch;
}

/// Whether rows of `a` hold the words of k one after the other.
static bool hasWholeRows(tile::LoadOp a, scf::ForOp loop, int64_t perWord) {
  return !a.getGather() && a.getDims()[0] >= 0 && a.getDims()[1] >= 0 &&
         a.getType().getDimSize(1) == perWord &&
         a.getView().getType().getStrides()[a.getDims()[1]] == 1 &&
         pitchOf(a, loop) == perWord;
}

/// Whether `load` stays inside of its view, except for rows of `a`.
static bool isInside(tile::LoadOp load, const Bounds &bounds, int64_t rowDim) {
  for (int64_t dim = 0, rank = load.getIndices().size(); dim < rank; ++dim)
    if (dim != rowDim && !bounds.isProven({load, dim}))
      return false;
  return true;
}

/// Whether the body is `mma` on what it loads, and arithmetic on indices.
static bool isBare(scf::ForOp loop, TileLoop found) {
  if (loop.getNumRegionIterArgs() != 1 ||
      found.mma.getAcc() != loop.getRegionIterArg(0) ||
      loop.getYieldedValues()[0] != found.mma.getResult())
    return false;
  return llvm::all_of(loop.getBody()->without_terminator(), [&](Operation &op) {
    return &op == found.mma || &op == found.a || &op == found.b ||
           (isPure(&op) && op.getNumRegions() == 0 &&
            llvm::all_of(op.getResultTypes(), llvm::IsaPred<IndexType>));
  });
}

static std::optional<TileLoop> match(tile::MmaOp mma, const Bounds &bounds) {
  auto loop = dyn_cast<scf::ForOp>(mma->getParentOp());
  TileLoop found = {mma, mma.getA().getDefiningOp<tile::LoadOp>(),
                    mma.getB().getDefiningOp<tile::LoadOp>(), 1, 0};
  RankedTensorType type = mma.getResult().getType();
  if (!loop || !found.a || !found.b || !isInterleaved(mma) ||
      !isBare(loop, found) || type.getDimSize(0) % kTileRows != 0 ||
      type.getDimSize(1) % kTileWords != 0)
    return std::nullopt;
  int64_t bits = mma.getB().getType().getElementTypeBitWidth();
  found.perWord = 32 / bits;
  std::optional<int64_t> pitch = pitchOf(found.b, loop);
  if (constantOf(loop.getStep()) != found.perWord || !pitch ||
      !hasWholeRows(found.a, loop, found.perWord) ||
      !isInside(found.a, bounds, found.a.getDims()[0]) ||
      !isInside(found.b, bounds, -1))
    return std::nullopt;
  found.wordPitch = *pitch * bits / 8;
  return found;
}

TileLoops::TileLoops(tile::KernelOp kernel, const Bounds &bounds) {
  bool isComplete = true;
  kernel.walk([&](tile::MmaOp mma) {
    std::optional<TileLoop> found = match(mma, bounds);
    isComplete &= found.has_value();
    if (found)
      loops.insert({mma->getParentOp(), *found});
  });
  if (!isComplete)
    loops.clear();
}

std::optional<TileLoop> TileLoops::lookup(scf::ForOp loop) const {
  auto it = loops.find(loop);
  return it == loops.end() ? std::nullopt : std::optional(it->second);
}
