// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/X86/TileLoops.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::x86;

/// Half of a first-level cache.
static constexpr int64_t kMostDecodedWords = 4096;

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

bool x86::isGatheredWord(tile::MmaOp mma) {
  auto load = mma.getB().getDefiningOp<tile::LoadOp>();
  return load && load.getGather() && *load.getGatherDim() == 0 &&
         load.getType().getElementType().isInteger(8) &&
         load.getType().getDimSize(0) == 4 && load.getDims()[1] >= 0 &&
         load.getView().getType().getStrides()[load.getDims()[1]] == 1;
}

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

/// Whether rows of the multiplies' left operands hold the words of k one after
/// the other, those of an iteration too.
static bool hasWholeRows(const TileLoop &found, scf::ForOp loop) {
  tile::LoadOp a = found.a;
  int64_t words = found.mmas.size();
  if (a.getGather() || a.getDims()[0] < 0 || a.getDims()[1] < 0 ||
      a.getType().getDimSize(1) != found.perWord ||
      a.getView().getType().getStrides()[a.getDims()[1]] != 1 ||
      pitchOf(a, loop) != found.perWord * words)
    return false;
  for (int64_t word = 1; word < words; ++word) {
    auto next =
        tile::MmaOp(found.mmas[word]).getA().getDefiningOp<tile::LoadOp>();
    if (!next || next.getGather() || next.getView() != a.getView() ||
        next.getDims() != a.getDims() || next.getType() != a.getType())
      return false;
    for (auto [dim, index, first] :
         llvm::enumerate(next.getIndices(), a.getIndices())) {
      auto sum = index.getDefiningOp<arith::AddIOp>();
      bool follows = sum && sum.getLhs() == first &&
                     constantOf(sum.getRhs()) == word * found.perWord;
      if (static_cast<int64_t>(dim) == a.getDims()[1] ? !follows
                                                      : index != first)
        return false;
    }
  }
  return true;
}

/// Whether `load` stays inside of its view, except for rows of `a`.
static bool isInside(tile::LoadOp load, const Bounds &bounds, int64_t rowDim) {
  for (int64_t dim = 0, rank = load.getIndices().size(); dim < rank; ++dim)
    if (dim != rowDim && !bounds.isProven({load, static_cast<unsigned>(dim)}))
      return false;
  return true;
}

/// The loop's multiplies, if each adds to the one before and the first one to
/// what the loop carries; else none.
static SmallVector<tile::MmaOp, 2> chainOf(scf::ForOp loop) {
  SmallVector<tile::MmaOp, 2> mmas(loop.getBody()->getOps<tile::MmaOp>());
  if (mmas.empty() || loop.getNumRegionIterArgs() != 1 ||
      loop.getYieldedValues()[0] != mmas.back().getResult())
    return {};
  Value sum = loop.getRegionIterArg(0);
  for (tile::MmaOp mma : mmas) {
    if (mma.getAcc() != sum || !mma.getA().getDefiningOp<tile::LoadOp>() ||
        mma.getUnsignedA() != mmas[0].getUnsignedA() ||
        mma.getUnsignedB() != mmas[0].getUnsignedB())
      return {};
    sum = mma.getResult();
  }
  return mmas;
}

/// Whether the body is the multiplies on what it loads and decodes, and
/// arithmetic on indices; all that it loads is inside.
static bool isBare(scf::ForOp loop, const Bounds &bounds) {
  for (Operation &op : loop.getBody()->without_terminator()) {
    if (isa<tile::MmaOp>(op))
      continue;
    if (auto load = dyn_cast<tile::LoadOp>(op)) {
      auto isLeft = [](OpOperand &use) {
        return isa<tile::MmaOp>(use.getOwner()) && use.getOperandNumber() == 0;
      };
      bool isRows = llvm::all_of(load->getUses(), isLeft);
      if (!isInside(load, bounds, isRows ? load.getDims()[0] : -1))
        return false;
      continue;
    }
    bool isIndex = llvm::all_of(op.getResultTypes(), llvm::IsaPred<IndexType>);
    if (!isPure(&op) || op.getNumRegions() != 0 ||
        !(isIndex || OpTrait::hasElementwiseMappableTraits(&op)))
      return false;
  }
  return true;
}

static std::optional<TileLoop> match(scf::ForOp loop, const Bounds &bounds) {
  TileLoop found;
  found.mmas = chainOf(loop);
  if (found.mmas.empty() || !isBare(loop, bounds) ||
      !llvm::all_of(found.mmas,
                    [](tile::MmaOp mma) { return isInterleaved(mma); }))
    return std::nullopt;
  tile::MmaOp first = found.mmas[0];
  RankedTensorType type = first.getResult().getType();
  std::optional<int64_t> step = constantOf(loop.getStep());
  int64_t words = found.mmas.size();
  found.a = first.getA().getDefiningOp<tile::LoadOp>();
  found.b = first.getB().getDefiningOp<tile::LoadOp>();
  int64_t bits = first.getB().getType().getElementTypeBitWidth();
  found.perWord = 32 / bits;
  if (!step || *step % words != 0 || kTileWords % words != 0 ||
      type.getDimSize(0) % kTileRows != 0 ||
      type.getDimSize(1) % kTileWords != 0 || !hasWholeRows(found, loop))
    return std::nullopt;
  found.step = *step;
  if (words == 1 && found.b) {
    std::optional<int64_t> pitch = pitchOf(found.b, loop);
    if (!pitch)
      return std::nullopt;
    found.wordPitch = *pitch * bits / 8;
    return found;
  }
  // What is decoded goes to scratch: all of it, so it must be few.
  found.b = nullptr;
  auto lower = constantOf(loop.getLowerBound()),
       upper = constantOf(loop.getUpperBound());
  if (!lower || !upper || *lower != 0 ||
      *upper / *step * words * type.getDimSize(1) > kMostDecodedWords)
    return std::nullopt;
  return found;
}

TileLoops::TileLoops(tile::KernelOp kernel, const Bounds &bounds) {
  bool isComplete = true;
  kernel.walk([&](tile::MmaOp mma) {
    auto loop = dyn_cast<scf::ForOp>(mma->getParentOp());
    if (loop && loops.contains(loop))
      return;
    std::optional<TileLoop> found;
    if (loop)
      found = match(loop, bounds);
    isComplete &= found.has_value();
    if (found)
      loops.insert({loop, *found});
  });
  if (!isComplete)
    loops.clear();
}

std::optional<TileLoop> TileLoops::lookup(scf::ForOp loop) const {
  auto it = loops.find(loop);
  return it == loops.end() ? std::nullopt : std::optional(it->second);
}
