// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/CUDA/Emitter.h"
#include "lib/Target/CUDA/HopperProduct.h"
#include "lib/Target/CUDA/HopperSkeleton.h"
#include "lib/Target/CUDA/HopperStore.h"
#include "lib/Target/CUDA/Layouts.h"
#include "lib/Target/Float8.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::cuda;

/// Whether products of warpgroups take such elements.
static bool isMultiplied(Type element) {
  return element.isF16() || element.isBF16() || isFloat8(element);
}

/// k of one stage: a line.
static int64_t getDepth(tile::MmaOp mma) {
  return kSwizzleBytes * 8 /
         getElementTypeOrSelf(mma.getA()).getIntOrFloatBitWidth();
}

/// The most registers of a thread that sums may take: an epilogue wants some.
static constexpr int64_t kMostSums = 192;

/// Whether all programs have the same trips, which the entry can compute.
static bool isUniform(Value bound) {
  return getConstantIntValue(bound) || isa<BlockArgument>(bound);
}

static bool matchLoop(ProductLoop &product, std::string &reason) {
  scf::ForOp loop = product.loop;
  if (!isLoopOfProducts(loop, reason))
    return false;
  if (product.mma.getAcc() != loop.getRegionIterArg(0) ||
      loop.getYieldedValues()[0] != product.mma.getResult())
    return reason = "the loop over k does more than to multiply", false;
  if (getConstantIntValue(loop.getLowerBound()) != 0 ||
      getConstantIntValue(loop.getStep()) != getDepth(product.mma) ||
      !isUniform(loop.getUpperBound()))
    return reason = "the loop over k is not from 0 to one end in steps of 128 "
                    "bytes",
           false;
  return true;
}

static bool matchOperands(ProductLoop &product, std::string &reason) {
  auto a = product.mma.getA().getDefiningOp<tile::LoadOp>();
  auto b = product.mma.getB().getDefiningOp<tile::LoadOp>();
  if (!a || !b) {
    reason = "an operand is computed";
    return false;
  }
  auto boxA = matchLoad(a, reason), boxB = matchLoad(b, reason);
  if (!boxA || !boxB)
    return false;
  product.a = *boxA;
  product.b = *boxB;
  if (a.getType().getDimSize(1) != product.getDepth())
    return reason = "the loop over k is not in steps of 128 bytes", false;
  bool isAlongK = product.a.lineDim == 1 && product.b.lineDim == 0;
  if (product.a.getElementBytes() == 1 && !isAlongK)
    return reason = "8-bit floats do not lie along k", false;
  return true;
}

/// Rows of less than one product, of which the rest comes to nothing: they are
/// in its first warps, as the layout of the sums has them.
static bool isFewRows(const ProductLoop &product) {
  return product.getRows() >= 16 && product.getRows() < kWgmmaRows &&
         product.warpgroups == 1 && product.a.lineDim == 1;
}

static bool matchSchedule(ProductLoop &product, const Level &level,
                          std::string &reason) {
  tile::ScheduleAttr schedule = product.kernel.getSchedule();
  product.warpgroups = schedule.getWarps() / kWarpgroupWarps;
  product.stages = schedule.getStages();
  product.cluster = schedule.getCluster();
  product.programs = product.warpgroups == 1 ? 2 : 1;
  int64_t rows = product.getRows(), columns = product.getColumns();
  bool fits =
      schedule.getWarps() % kWarpgroupWarps == 0 &&
      (product.warpgroups == 1 || product.warpgroups == 2) &&
      (rows % (kWgmmaRows * product.warpgroups) == 0 || isFewRows(product)) &&
      llvm::isPowerOf2_64(rows) && columns % 8 == 0 && columns <= 256 &&
      rows * columns / (product.warpgroups * kWarpgroupSize) <= kMostSums &&
      product.stages >= 2;
  // Whole swizzled pieces of eight lines for each block.
  bool sharesB = llvm::isPowerOf2_64(product.cluster) &&
                 product.b.getLines() % (8 * product.cluster) == 0;
  product.b.map.box[1] = product.getSharedLines();
  if (!sharesB)
    reason = "its schedule's cluster cannot share the columns";
  else if (!fits)
    reason = "its schedule is none of one or two warpgroups";
  else if (product.getMemory().end > level.getSharedBytes())
    reason = "its stages do not fit shared memory";
  return reason.empty();
}

int64_t ProductLoop::getBoxesOfStore() const {
  return getRows() / kStoreLines / warpgroups * getColumns() /
         SharedMatrix::kLineElements;
}

ProductLoop::Memory ProductLoop::getMemory() const {
  Memory memory;
  memory.full = stages * getStageBytes();
  memory.empty = memory.full + stages * kBarrierBytes;
  memory.residual = memory.empty + stages * kBarrierBytes;
  memory.stores =
      llvm::alignTo(memory.residual + programs * warpgroups * kBarrierBytes,
                    kSwizzleAlignment);
  memory.end = memory.stores + programs * warpgroups * buffers * kStoreBytes;
  return memory;
}

/// Stores of the sums' whole tile that the copy engine can do, once per buffer
/// and where there is room for two boxes or one of each warpgroup.
static void matchStores(ProductLoop &product, const Level &level) {
  llvm::DenseMap<Value, unsigned> counts;
  product.kernel.walk([&](tile::StoreOp store) {
    ++counts[store.getView().getDefiningOp<tile::ViewOp>().getBuffer()];
  });
  for (auto store : product.loop->getBlock()->getOps<tile::StoreOp>()) {
    std::string reason;
    auto boxes = matchStore(store, kStoreLines, reason);
    Value buffer = store.getView().getDefiningOp<tile::ViewOp>().getBuffer();
    if (boxes && counts[buffer] == 1 && boxes->shape[0] == product.getRows() &&
        boxes->shape[1] == product.getColumns() &&
        product.getColumns() % SharedMatrix::kLineElements == 0)
      product.stores.emplace_back(store, *boxes);
  }
  for (int64_t count : {2, 1}) {
    product.buffers = std::min(count, product.getBoxesOfStore());
    if (!product.stores.empty() &&
        product.getMemory().end <= level.getSharedBytes())
      return;
  }
  product.stores.clear();
  product.buffers = 0;
}

/// Whether the number is there before the loop.
static bool isBefore(Value number, scf::ForOp loop) {
  Operation *op = number.getDefiningOp();
  return !op || op->isBeforeInBlock(loop);
}

/// A load of the whole tile after the loop that the copy engine can do, if it
/// leaves room for some stages.
static void matchResidual(ProductLoop &product, const Level &level) {
  constexpr int64_t fewestStages = 3;
  if (product.stores.size() != 1)
    return;
  for (auto load : product.loop->getBlock()->getOps<tile::LoadOp>()) {
    std::string reason;
    auto boxes = matchLoad(load, reason, kStoreLines);
    bool isWhole = boxes && boxes->lineDim == 1 &&
                   boxes->getElementBytes() == 2 &&
                   boxes->shape == product.stores.front().second.shape;
    if (!isWhole || !llvm::all_of(boxes->indices, [&](Value index) {
          return isBefore(index, product.loop);
        }))
      continue;
    ProductLoop with = product;
    with.buffers = product.getBoxesOfStore();
    with.residual.emplace(load, *boxes);
    while (with.getMemory().end > level.getSharedBytes() &&
           with.stages > fewestStages)
      --with.stages;
    if (with.getMemory().end <= level.getSharedBytes())
      product = std::move(with);
    return;
  }
}

std::optional<ProductLoop> cuda::matchProductLoop(tile::KernelOp kernel,
                                                  const Level &level,
                                                  std::string &reason) {
  ProductLoop product;
  product.kernel = kernel;
  unsigned count = 0;
  kernel.walk([&](tile::MmaOp mma) {
    if (!isMultiplied(getElementTypeOrSelf(mma.getA())))
      return;
    ++count;
    product.mma = mma;
  });
  if (count != 1) {
    if (count)
      reason = "it has more than one product";
    return std::nullopt;
  }
  product.loop = dyn_cast<scf::ForOp>(product.mma->getParentOp());
  if (!product.loop) {
    reason = "its product is in no loop over k";
    return std::nullopt;
  }
  if (!matchLoop(product, reason) || !matchOperands(product, reason) ||
      !matchSchedule(product, level, reason))
    return std::nullopt;
  matchStores(product, level);
  matchResidual(product, level);
  return product;
}
