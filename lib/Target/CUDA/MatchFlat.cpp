// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/CUDA/Emitter.h"
#include "lib/Target/CUDA/HopperFlat.h"
#include "lib/Target/CUDA/HopperSkeleton.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::cuda;

/// k of one product: a line.
static constexpr int64_t kDepth = SharedMatrix::kLineElements;
/// Blocks that every device of the level runs as one cluster.
static constexpr int64_t kMostSplit = 8;

//===----------------------------------------------------------------------===//
// Shared memory
//===----------------------------------------------------------------------===//

int64_t FlatProduct::getBlocks() const {
  return getAllColumns() / kWgmmaRows / getColumnGroups();
}

int64_t FlatProduct::getBytesOfInput(unsigned number) const {
  return llvm::alignTo(inputs[number].bytes, kSwizzleAlignment);
}

int64_t FlatProduct::getBytesOfW() const {
  if (w)
    return w->getBytes();
  int64_t bytes = 0;
  for (unsigned i = 0; i < inputs.size(); ++i)
    bytes += getBytesOfInput(i);
  return bytes;
}

int64_t FlatProduct::getStageBytes() const {
  return getBytesOfW() + int64_t(x.size()) * x.front().getBytes();
}

int64_t FlatProduct::getCopiedBytes() const {
  int64_t bytes = getStageBytes();
  for (auto [i, input] : llvm::enumerate(inputs))
    bytes -= getBytesOfInput(i) - input.bytes;
  return bytes;
}

FlatProduct::Memory FlatProduct::getMemory() const {
  Memory memory;
  memory.full = stages * getStageBytes();
  memory.empty = memory.full + stages * kBarrierBytes;
  memory.come = memory.empty + stages * kBarrierBytes;
  memory.sums =
      llvm::alignTo(memory.come + getBuffers() * kBarrierBytes, kSwizzleBytes);
  memory.end = memory.sums + getBuffers() * getShares() * getShareBytes();
  return memory;
}

//===----------------------------------------------------------------------===//
// Programs of a cluster
//===----------------------------------------------------------------------===//

/// Whether `index` follows from where the program is along the columns.
static bool followsColumn(Value index) {
  Operation *op = index.getDefiningOp();
  if (!op)
    return false;
  if (auto id = dyn_cast<tile::ProgramIdOp>(op))
    return id.getAxis() == 1;
  return llvm::any_of(op->getOperands(), followsColumn);
}

/// What the program's number along the columns is divided by, if `index` is a
/// quotient (`isRest`: a rest) of that; 0 if it is none.
static int64_t getDivisor(Value index, bool isRest) {
  Operation *op = index.getDefiningOp();
  bool fits = isRest ? isa_and_nonnull<arith::RemUIOp>(op)
                     : isa_and_nonnull<arith::DivUIOp>(op);
  if (!fits)
    return 0;
  auto id = op->getOperand(0).getDefiningOp<tile::ProgramIdOp>();
  if (!id || id.getAxis() != 1)
    return 0;
  return getConstantIntValue(op->getOperand(1)).value_or(0);
}

/// Whether the tiles of the programs of a cluster, whose numbers begin at a
/// multiple of `split`, are beside each other along view dim `dim`: there the
/// index is the program's number, or its rest in some panel, times the width.
static bool areNeighbors(tile::LoadOp load, int64_t dim, int64_t columns,
                         int64_t split) {
  if (split == 1)
    return true;
  for (auto [i, index] : llvm::enumerate(load.getIndices())) {
    if (int64_t(i) != dim) {
      int64_t divisor = getDivisor(index, /*isRest=*/false);
      if (followsColumn(index) && (divisor == 0 || divisor % split))
        return false;
      continue;
    }
    auto product = index.getDefiningOp<arith::MulIOp>();
    if (!product || getConstantIntValue(product.getRhs()) != columns)
      return false;
    Value number = product.getLhs();
    auto id = number.getDefiningOp<tile::ProgramIdOp>();
    int64_t panel = getDivisor(number, /*isRest=*/true);
    if (!(id && id.getAxis() == 1) && (panel == 0 || panel % split))
      return false;
  }
  return true;
}

//===----------------------------------------------------------------------===//
// The loop
//===----------------------------------------------------------------------===//

static bool matchLoop(FlatProduct &flat, std::string &reason) {
  scf::ForOp loop = flat.loop;
  if (!isLoopOfProducts(loop, reason))
    return false;
  auto refuse = [&](StringRef why) {
    reason = why.str();
    return false;
  };
  Value sums = loop.getRegionIterArg(0);
  for (tile::MmaOp product : flat.products) {
    if (product->getParentOp() != loop || product.getAcc() != sums)
      return refuse("products of a step do not add up");
    sums = product.getResult();
  }
  if (loop.getYieldedValues()[0] != sums)
    return refuse("the loop over k does more than to multiply");
  int64_t end = getConstantIntValue(loop.getUpperBound()).value_or(0);
  if (getConstantIntValue(loop.getLowerBound()) != 0 ||
      getConstantIntValue(loop.getStep()) != flat.getDepth() ||
      llvm::divideCeil(end, flat.getDepth()) < uint64_t(flat.split))
    return refuse("the loop over k is not from 0 to a known end, in steps of "
                  "what its products multiply, one for each block at least");
  return true;
}

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

static bool matchX(FlatProduct &flat, std::string &reason) {
  for (tile::MmaOp product : flat.products) {
    auto load = product.getA().getDefiningOp<tile::LoadOp>();
    if (!load) {
      reason = "x is computed";
      return false;
    }
    auto boxes = matchLoad(load, reason);
    if (!boxes)
      return false;
    if (boxes->shape[1] != kDepth || boxes->lineDim != 1) {
      reason = "rows of x do not lie along k, 64 of them in each product";
      return false;
    }
    flat.x.push_back(*boxes);
  }
  // One map serves all of them.
  auto isSame = [&](tile::MmaOp product) {
    return product.getA().getDefiningOp<tile::LoadOp>().getView() ==
           flat.products[0].getA().getDefiningOp<tile::LoadOp>().getView();
  };
  if (llvm::all_of(flat.products, isSame))
    return true;
  reason = "products of a step read more than one x";
  return false;
}

/// Adds the loads that `tile` is computed from, each once.
static bool collectLoads(Value tile, SmallVectorImpl<tile::LoadOp> &loads) {
  Operation *op = tile.getDefiningOp();
  if (!op)
    return false;
  if (auto load = dyn_cast<tile::LoadOp>(op)) {
    if (!llvm::is_contained(loads, load))
      loads.push_back(load);
    return !load.getGather();
  }
  if (!isElementwise(op) && !isa<tile::BroadcastOp, tile::SplatOp>(op))
    return false;
  for (Value operand : op->getOperands())
    if (isa<RankedTensorType>(operand.getType()) &&
        !collectLoads(operand, loads))
      return false;
  return true;
}

/// One box for all programs of a cluster.
static bool matchInput(FlatProduct &flat, tile::LoadOp load,
                       std::string &reason) {
  FlatInput input;
  input.load = load;
  RankedTensorType type = load.getType();
  int64_t bytes = getMemoryBytes(type.getElementType());
  unsigned columnDim = type.getRank() - 1;
  SmallVector<int64_t> shape(type.getShape());
  int64_t rank = type.getRank();
  bool isLines = rank == 2 && shape[0] == kDepth && bytes <= 2;
  bool fits = (rank == 1 || isLines) && type.getElementType().isIntOrFloat() &&
              shape[columnDim] == flat.columns &&
              load.getDims()[columnDim] >= 0;
  if (!fits || !areNeighbors(load, load.getDims()[columnDim], flat.columns,
                             flat.split)) {
    reason = "what the weight is computed from is no tile of its columns";
    return false;
  }
  shape[columnDim] = flat.getAllColumns();
  input.bytes = bytes * ShapedType::getNumElements(shape);
  if (isLines)
    input.lineBytes = kDepth * bytes;
  auto map = matchBox(load, shape, /*lineDim=*/0, input.lineBytes,
                      input.indices, reason);
  if (!map)
    return false;
  input.map = *map;
  flat.inputs.push_back(input);
  return true;
}

static bool matchOperands(FlatProduct &flat, std::string &reason) {
  if (!matchX(flat, reason))
    return false;
  flat.columns = typeOf(flat.products[0].getB()).getDimSize(1);
  if (auto w = flat.products[0].getB().getDefiningOp<tile::LoadOp>();
      w && flat.products.size() == 1) {
    if (w.getDims()[1] < 0 ||
        !areNeighbors(w, w.getDims()[1], flat.columns, flat.split)) {
      reason = "the weight's columns are not those of the program";
      return false;
    }
    flat.w = matchLoad(w, reason, /*lines=*/0, flat.getAllColumns());
    return flat.w.has_value();
  }
  SmallVector<tile::LoadOp> loads;
  for (tile::MmaOp product : flat.products)
    if (typeOf(product.getB()).getDimSize(0) != kDepth ||
        !collectLoads(product.getB(), loads)) {
      reason = "the weight is not computed from loads element by element";
      return false;
    }
  return llvm::all_of(
      loads, [&](tile::LoadOp load) { return matchInput(flat, load, reason); });
}

static bool matchSchedule(FlatProduct &flat, const Level &level,
                          std::string &reason) {
  tile::ScheduleAttr schedule = flat.kernel.getSchedule();
  flat.warpgroups = schedule.getWarps() / kWarpgroupWarps;
  flat.stages = schedule.getStages();
  int64_t rows = flat.getRows(), columns = flat.columns;
  // More warpgroups than there are blocks of columns.
  if (!flat.w)
    flat.turns = std::max<int64_t>(
        flat.warpgroups * kWgmmaRows / flat.getAllColumns(), 1);
  // A warp's 16 columns go to one block.
  constexpr int64_t warpColumns = 16, leastRows = 8;
  bool fits =
      schedule.getWarps() % kWarpgroupWarps == 0 &&
      llvm::isPowerOf2_64(flat.warpgroups) && flat.warpgroups <= 4 &&
      llvm::isPowerOf2_64(flat.split) && flat.split <= kMostSplit &&
      llvm::isPowerOf2_64(rows) && rows >= leastRows && rows <= kWgmmaRows &&
      columns % warpColumns == 0 && llvm::isPowerOf2_64(columns) &&
      flat.warpgroups % flat.turns == 0 &&
      flat.getAllColumns() % (kWgmmaRows * flat.getColumnGroups()) == 0 &&
      (flat.w || flat.getBlocks() == 1) &&
      // Or a warpgroup may wait for a stage that is two rounds away.
      flat.stages >= std::max<int64_t>(flat.turns, 2);
  while (flat.stages > std::max<int64_t>(flat.turns, 2) &&
         flat.getMemory().end > level.getSharedBytes())
    --flat.stages;
  if (!fits)
    reason = "its schedule is none of few rows";
  else if (flat.getMemory().end > level.getSharedBytes())
    reason = "its stages do not fit shared memory";
  return reason.empty();
}

std::optional<FlatProduct> cuda::matchFlatProduct(tile::KernelOp kernel,
                                                  const Level &level,
                                                  std::string &reason) {
  FlatProduct flat;
  flat.kernel = kernel;
  if (kernel.getSchedule().getStrategy() != "flat")
    return std::nullopt;
  flat.split = kernel.getSchedule().getCluster();
  bool isNarrow = true;
  kernel.walk([&](tile::MmaOp mma) {
    isNarrow &=
        isa<Float16Type, BFloat16Type>(getElementTypeOrSelf(mma.getA()));
    flat.products.push_back(mma);
  });
  if (flat.products.empty() || !isNarrow) {
    reason = "its products are not of 16-bit floats";
    return std::nullopt;
  }
  flat.loop = dyn_cast<scf::ForOp>(flat.products[0]->getParentOp());
  if (!flat.loop) {
    reason = "its product is in no loop over k";
    return std::nullopt;
  }
  if (!matchLoop(flat, reason) || !matchOperands(flat, reason) ||
      !matchSchedule(flat, level, reason))
    return std::nullopt;
  return flat;
}
