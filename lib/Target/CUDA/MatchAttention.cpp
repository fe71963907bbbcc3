// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/CUDA/Emitter.h"
#include "lib/Target/CUDA/HopperAttention.h"
#include "lib/Target/CUDA/Layouts.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::cuda;

Value AttentionLoop::getWeights() const {
  auto rounded = tile::MmaOp(outputs).getA().getDefiningOp<arith::TruncFOp>();
  return rounded && getElementTypeOrSelf(rounded.getIn()).isF32()
             ? rounded.getIn()
             : Value();
}

/// The two products of a loop, in the order of their dependence.
static std::optional<AttentionLoop> matchLoop(scf::ForOp loop,
                                              std::string &reason) {
  AttentionLoop found;
  found.loop = loop;
  for (Operation &op : loop.getBody()->without_terminator()) {
    auto mma = dyn_cast<tile::MmaOp>(op);
    if (mma && !found.scores)
      found.scores = mma;
    else if (mma && !found.outputs)
      found.outputs = mma;
    else if (mma || (!isAnywhere(op) && !isa<tile::ReduceOp>(op)))
      return reason = "a loop does more than two products and what is between",
             std::nullopt;
  }
  if (!found.outputs || !found.getWeights() ||
      !matchPattern(found.scores.getAcc(), m_AnyZeroFloat()))
    return reason = "a loop has no two products, one of the other's sums",
           std::nullopt;
  auto keys = found.scores.getB().getDefiningOp<tile::LoadOp>();
  auto values = found.outputs.getB().getDefiningOp<tile::LoadOp>();
  if (!keys || !values)
    return reason = "an operand is computed", std::nullopt;
  auto keyBox = matchLoad(keys, reason);
  auto valueBox = keyBox ? matchLoad(values, reason) : std::nullopt;
  if (!valueBox)
    return std::nullopt;
  found.keys = *keyBox;
  found.values = *valueBox;
  return found;
}

/// Whether a loop takes what another one gave, and nothing else does.
static bool follows(scf::ForOp loop, scf::ForOp before) {
  return llvm::equal(loop.getInitArgs(), before.getResults()) &&
         llvm::all_of(before->getUsers(),
                      [&](Operation *user) { return user == loop; });
}

/// Loops of which each one takes what the last one gave.
static bool matchLoops(AttentionChain &chain, std::string &reason) {
  for (Operation &op : chain.kernel.getBody().front()) {
    auto loop = dyn_cast<scf::ForOp>(op);
    if (!loop) {
      if (chain.loops.empty() && !isAnywhere(op))
        return reason = "the kernel computes tiles before the loops", false;
      continue;
    }
    auto found = matchLoop(loop, reason);
    if (!found)
      return false;
    if (!chain.loops.empty() && !follows(loop, chain.loops.back().loop))
      return reason = "its loops are no chain", false;
    chain.loops.push_back(*found);
  }
  if (chain.loops.empty())
    return reason = "its products are in no loop", false;
  return true;
}

/// A sum over keys in `yield` = `carried` or `carried` * row + sum, if nothing
/// else asks for either.
static tile::ReduceOp matchTotal(Value yield, Value carried) {
  auto added = yield.getDefiningOp<arith::AddFOp>();
  if (!added || !added->hasOneUse() || !carried.hasOneUse())
    return {};
  Value its = added.getLhs();
  auto sum = added.getRhs().getDefiningOp<tile::ReduceOp>();
  if (!sum) {
    its = added.getRhs();
    sum = added.getLhs().getDefiningOp<tile::ReduceOp>();
  }
  if (!sum || sum.getKind() != tile::Combine::Add || !sum->hasOneUse())
    return {};
  if (auto scaled = its.getDefiningOp<arith::MulFOp>();
      scaled && scaled->hasOneUse())
    its = scaled.getLhs() == carried ? scaled.getLhs() : scaled.getRhs();
  return its == carried ? sum : tile::ReduceOp();
}

/// Sums that start at zero and that all loops add to alike.
static void matchTotals(AttentionChain &chain) {
  scf::ForOp first = chain.loops.front().loop;
  for (unsigned i = 0; i < first.getNumRegionIterArgs(); ++i) {
    bool isTotal = i != chain.sums &&
                   matchPattern(first.getInitArgs()[i], m_AnyZeroFloat());
    for (AttentionLoop &its : chain.loops) {
      its.totals.push_back(matchTotal(its.loop.getYieldedValues()[i],
                                      its.loop.getRegionIterArg(i)));
      isTotal &= bool(its.totals.back());
    }
    for (AttentionLoop &its : chain.loops)
      if (!isTotal)
        its.totals.back() = {};
  }
}

/// Whether the carried tiles are the outputs and statistics of rows.
static bool matchCarried(AttentionChain &chain, std::string &reason) {
  for (AttentionLoop &its : chain.loops) {
    auto yields = its.loop.getYieldedValues();
    auto sums = llvm::find(yields, its.outputs.getResult());
    unsigned number = sums - yields.begin();
    if (sums == yields.end() ||
        (number != chain.sums && &its != chain.loops.begin()))
      return reason = "a loop does not carry its outputs", false;
    chain.sums = number;
    for (auto [i, tile] : llvm::enumerate(yields)) {
      auto type = dyn_cast<RankedTensorType>(tile.getType());
      if (i != number && (!type || type.getRank() != 1 ||
                          type.getDimSize(0) != chain.getRows()))
        return reason = "a loop carries more than outputs and statistics of "
                        "rows",
               false;
    }
  }
  Value zero = chain.loops.front().loop.getInitArgs()[chain.sums];
  if (!matchPattern(zero, m_AnyZeroFloat()))
    return reason = "outputs do not start at zero", false;
  return true;
}

/// Whether two operands are tiles of one view.
static bool isSame(Value x, Value y) {
  auto first = x.getDefiningOp<tile::LoadOp>();
  auto second = y.getDefiningOp<tile::LoadOp>();
  return first.getView() == second.getView() &&
         first.getDims() == second.getDims() &&
         first.getType() == second.getType();
}

static bool matchOperands(AttentionChain &chain, std::string &reason) {
  AttentionLoop &first = chain.loops.front();
  auto load = first.scores.getA().getDefiningOp<tile::LoadOp>();
  if (!load || load->getBlock() != first.loop->getBlock())
    return reason = "queries are computed, or not the same for all keys", false;
  auto queries = matchLoad(load, reason);
  if (!queries)
    return false;
  chain.queries = *queries;
  for (AttentionLoop &its : chain.loops)
    if (its.scores.getA() != load.getResult() ||
        !isSame(its.scores.getB(), first.scores.getB()) ||
        !isSame(its.outputs.getB(), first.outputs.getB()))
      return reason = "its loops read different operands", false;
  if (!chain.queries.getMatrix(1).isKMajor ||
      !first.keys.getMatrix(0).isKMajor || first.values.getMatrix(0).isKMajor)
    return reason = "an operand does not lie along the heads", false;
  return true;
}

/// Whether a bound depends on the program's place along x.
static bool isOfPlace(Value value, DenseSet<Operation *> &seen) {
  Operation *op = value.getDefiningOp();
  if (!op || !seen.insert(op).second)
    return false;
  if (auto id = dyn_cast<tile::ProgramIdOp>(op))
    return id.getAxis() == 0;
  return llvm::any_of(op->getOperands(),
                      [&](Value its) { return isOfPlace(its, seen); });
}

static bool matchBounds(AttentionChain &chain, std::string &reason) {
  scf::ForOp first = chain.loops.front().loop;
  DenseSet<Operation *> seen;
  for (AttentionLoop &its : chain.loops)
    for (Value bound : {its.loop.getLowerBound(), its.loop.getUpperBound(),
                        its.loop.getStep()}) {
      if (!bound.getType().isIndex() ||
          (bound.getDefiningOp() &&
           !bound.getDefiningOp()->isBeforeInBlock(first)))
        return reason = "a loop's range is known only after another one", false;
      chain.isUneven |= isOfPlace(bound, seen);
    }
  return true;
}

/// Whether `view`'s buffer is stored to once, and not loaded from: then it does
/// not matter when copies write it.
static bool isStoredOnce(tile::ViewOp view) {
  unsigned count = 0;
  for (Operation *user : view.getBuffer().getUsers())
    for (Operation *access : user->getUsers())
      count += isa<tile::StoreOp>(access) ? 1 : 2;
  return count == 1;
}

/// Outputs that are rounded and stored alone leave as boxes.
static void matchResults(AttentionChain &chain) {
  Value outputs = chain.loops.back().loop.getResult(chain.sums);
  for (auto store : chain.kernel.getBody().front().getOps<tile::StoreOp>()) {
    auto rounded = store.getTile().getDefiningOp<arith::TruncFOp>();
    if (!rounded || !getElementTypeOrSelf(rounded.getIn()).isF32() ||
        !isStoredOnce(store.getView().getDefiningOp<tile::ViewOp>()) ||
        rounded.getType() != cast<RankedTensorType>(outputs.getType())
                                 .clone(chain.queries.map.element) ||
        chain.getValueSize() > chain.getSize())
      continue;
    std::string reason;
    auto boxes = matchStore(store, kWgmmaRows, reason);
    if (!boxes)
      continue;
    chain.store = store;
    chain.results = *boxes;
    return;
  }
}

//===----------------------------------------------------------------------===//
// Masks
//===----------------------------------------------------------------------===//

/// A load of scores' shape as one box, if it is one of lines along the keys.
static std::optional<MaskBox> matchMask(tile::LoadOp load, bool isWritten) {
  constexpr int64_t leastLine = 16;
  RankedTensorType type = load.getType();
  auto pad = load.getPadAttr();
  if (load.getGather() || isWritten || (pad && !isa<UnitAttr>(pad)))
    return std::nullopt;
  int64_t rows = type.getDimSize(0);
  int64_t elementBytes = getMemoryBytes(type.getElementType());
  MaskBox mask;
  mask.load = load;
  mask.lineBytes = std::max<int64_t>(
      llvm::PowerOf2Ceil(type.getDimSize(1) * elementBytes), leastLine);
  mask.bytes = rows * mask.lineBytes;
  if (mask.lineBytes > kSwizzleBytes)
    return std::nullopt;
  int64_t swizzle = mask.lineBytes > leastLine ? mask.lineBytes : 0;
  std::string reason;
  auto map = matchBox(load, {rows, mask.lineBytes / elementBytes},
                      /*lineDim=*/1, swizzle, mask.indices, reason);
  if (!map)
    return std::nullopt;
  mask.map = *map;
  return mask;
}

/// Masks that all loops read alike are copied ahead of them.
static void matchMasks(AttentionChain &chain) {
  for (AttentionLoop &its : chain.loops)
    for (auto load : its.loop.getBody()->getOps<tile::LoadOp>()) {
      auto buffer = cast<BlockArgument>(
          load.getView().getDefiningOp<tile::ViewOp>().getBuffer());
      bool isWritten = bool(
          chain.kernel.getArgAttr(buffer.getArgNumber(), tile::kWrittenAttr));
      if (load.getType().getShape() !=
              ArrayRef({chain.getRows(), chain.getKeys()}) ||
          load == its.scores.getB().getDefiningOp() ||
          load == its.outputs.getB().getDefiningOp())
        continue;
      if (auto mask = matchMask(load, isWritten))
        its.masks.push_back(*mask);
    }
  const AttentionLoop &first = chain.loops.front();
  bool areSame = llvm::all_of(chain.loops, [&](AttentionLoop &its) {
    return llvm::equal(its.masks, first.masks,
                       [](const MaskBox &x, const MaskBox &y) {
                         return isSame(tile::LoadOp(x.load).getResult(),
                                       tile::LoadOp(y.load).getResult());
                       });
  });
  if (!areSame)
    for (AttentionLoop &its : chain.loops)
      its.masks.clear();
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

AttentionChain::Memory AttentionChain::getMemory() const {
  const AttentionLoop &its = loops.front();
  int64_t masks = 0;
  for (const MaskBox &mask : its.masks)
    masks += mask.bytes;
  Memory memory;
  memory.queries = {queryStages, queries.getBytes()};
  memory.keys = {kStages, its.keys.getBytes()};
  memory.values = {kStages, its.values.getBytes()};
  memory.masks = {kStages, masks};
  std::initializer_list<CopyRing::Place *> rings = {
      &memory.queries, &memory.keys, &memory.values, &memory.masks};
  int64_t end = 0;
  for (CopyRing::Place *ring : rings)
    end = (ring->first = end) + ring->getBytes();
  for (CopyRing::Place *ring : rings)
    end = (ring->barriers = end) + ring->getBarrierBytes();
  memory.end = llvm::alignTo(end, kSwizzleBytes);
  return memory;
}

/// Whether what follows the loops is computed from the outputs where they are,
/// element by element or for each row. Other tiles would be laid out for a
/// power of two of warps, of which some are not there.
static bool isInPlace(const AttentionChain &chain) {
  DenseSet<Value> inPlace;
  scf::ForOp last = chain.loops.back().loop;
  inPlace.insert(last->result_begin(), last->result_end());
  for (Operation *op = last->getNextNode(); op; op = op->getNextNode()) {
    bool isOf = llvm::any_of(op->getOperands(),
                             [&](Value its) { return inPlace.contains(its); });
    if (auto store = dyn_cast<tile::StoreOp>(op)) {
      if (!inPlace.contains(store.getTile()))
        return false;
    } else if (isOf && (isElementwise(op) || isa<tile::BroadcastOp>(op))) {
      inPlace.insert(op->result_begin(), op->result_end());
    } else if (isOf || (!isAnywhere(*op) && op->getNumResults())) {
      return false;
    }
  }
  return true;
}

static bool matchSchedule(AttentionChain &chain, const Level &level,
                          std::string &reason) {
  int64_t warps = chain.kernel.getSchedule().getWarps();
  chain.warpgroups = warps / kWarpgroupWarps;
  int64_t keys = chain.getKeys();
  if (!llvm::isPowerOf2_64(chain.warpgroups) && !isInPlace(chain))
    return reason = "its warps are no power of two for what follows the loops",
           false;
  if (warps % kWarpgroupWarps || chain.warpgroups > 4 ||
      chain.getRows() != chain.warpgroups * kWgmmaRows)
    return reason = "its schedule is no warpgroup for each 64 rows", false;
  if (keys % kWgmmaDepth || keys > 256 || chain.getSize() % kWgmmaDepth ||
      chain.getValueSize() % 8 || chain.getValueSize() > 256)
    return reason = "its blocks are none that one product has", false;
  for (chain.queryStages = 2; chain.queryStages > 0; --chain.queryStages)
    if (chain.getMemory().end <= level.getSharedBytes())
      return true;
  return reason = "its stages do not fit shared memory", false;
}

std::optional<AttentionChain> cuda::matchAttention(tile::KernelOp kernel,
                                                   const Level &level,
                                                   std::string &reason) {
  int64_t products = 0;
  kernel.walk([&](tile::MmaOp op) {
    Type element = op.getA().getType().getElementType();
    products += element.isF16() || element.isBF16();
  });
  AttentionChain chain;
  chain.kernel = kernel;
  if (products < 2)
    return std::nullopt;
  if (!matchLoops(chain, reason))
    return std::nullopt;
  // Few queries wait for memory alone: nothing is missing.
  if (typeOf(chain.loops.front().scores.getResult()).getDimSize(0) < kWgmmaRows)
    return reason.clear(), std::nullopt;
  if (products != 2 * int64_t(chain.loops.size()))
    return reason = "it multiplies outside of its loops", std::nullopt;
  if (!matchOperands(chain, reason) || !matchCarried(chain, reason) ||
      !matchBounds(chain, reason))
    return std::nullopt;
  matchMasks(chain);
  if (!matchSchedule(chain, level, reason))
    return std::nullopt;
  matchTotals(chain);
  matchResults(chain);
  return chain;
}
