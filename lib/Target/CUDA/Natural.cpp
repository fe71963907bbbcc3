// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The layouts in which tiles come about.

#include "lib/Target/CUDA/Emitter.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::cuda;

std::optional<LinearLayout> Emitter::getNatural(Value tile) {
  if (auto it = anchors.find(tile); it != anchors.end() && !it->second.home)
    return it->second.layout;
  // A loop asks for what it carries itself: that decides nothing.
  auto [it, isNew] = naturals.try_emplace(tile, std::nullopt);
  if (!isNew)
    return it->second;
  std::optional<LinearLayout> layout = computeNatural(tile);
  // What was asked on the way, within the loop, has seen half of the answer.
  if (layout || !isa<BlockArgument>(tile))
    naturals[tile] = layout;
  return layout;
}

std::optional<LinearLayout> Emitter::computeNatural(Value tile) {
  if (auto argument = dyn_cast<BlockArgument>(tile)) {
    auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp());
    if (!loop)
      return std::nullopt;
    unsigned i = argument.getArgNumber() - 1;
    if (auto its = getNatural(loop.getYieldedValues()[i]))
      return its;
    return getNatural(loop.getInitArgs()[i]);
  }
  Operation *op = tile.getDefiningOp();
  ArrayRef<int64_t> shape = typeOf(tile).getShape();
  return llvm::TypeSwitch<Operation *, std::optional<LinearLayout>>(op)
      .Case([&](tile::MmaOp mma) { return getSums(mma); })
      .Case([&](tile::ReduceOp reduce) {
        return getLayout(reduce.getInput())
            .project(getOtherDims(shape.size() + 1, reduce.getAxis()));
      })
      .Case([&](tile::ScanOp scan) {
        return getAlongRegisters(shape, warps, scan.getAxis());
      })
      .Case([&](tile::TransposeOp transpose) -> std::optional<LinearLayout> {
        if (auto layout = getNatural(transpose.getInput()))
          return layout->project(transpose.getPermutation());
        return std::nullopt;
      })
      .Case([&](scf::ForOp loop) {
        unsigned i = cast<OpResult>(tile).getResultNumber();
        return getNatural(loop.getRegionIterArg(i));
      })
      .Case([&](scf::IfOp branch) {
        unsigned i = cast<OpResult>(tile).getResultNumber();
        return getNatural(branch.thenYield().getOperand(i));
      })
      .Case<tile::LoadOp, tile::SplatOp, tile::IotaOp, tile::BroadcastOp,
            tile::ConcatOp>(
          [](Operation *) { return std::optional<LinearLayout>(); })
      .Default([&](Operation *other) -> std::optional<LinearLayout> {
        for (Value operand : other->getOperands())
          if (isa<RankedTensorType>(operand.getType()))
            if (auto layout = getNatural(operand))
              return layout;
        return std::nullopt;
      });
}

/// The load whose elements an elementwise tile depends on, if there is one.
static tile::LoadOp findLoad(Value tile) {
  constexpr int deepest = 8;
  for (int depth = 0; depth < deepest; ++depth) {
    Operation *op = tile.getDefiningOp();
    if (auto load = dyn_cast_or_null<tile::LoadOp>(op))
      return load;
    if (!op || !isElementwise(op))
      return {};
    auto operand = llvm::find_if(op->getOperands(), [](Value its) {
      return isa<RankedTensorType>(its.getType()) &&
             !its.getDefiningOp<arith::ConstantOp>();
    });
    if (operand == op->getOperands().end())
      return {};
    tile = *operand;
  }
  return {};
}

LinearLayout Emitter::getLayout(Value tile) {
  if (auto layout = getNatural(tile))
    return *layout;
  if (tile::LoadOp load = findLoad(tile))
    return getCoalesced(typeOf(tile),
                        load.getView().getDefiningOp<tile::ViewOp>(),
                        load.getDims());
  SmallVector<unsigned> order(
      llvm::reverse(getIdentityOrder(typeOf(tile).getRank())));
  return getOrdered(typeOf(tile).getShape(), order);
}

/// What is moved of the tiles of one shape, whatever their types, is moved in
/// one layout, so that it is not moved twice.
void Emitter::collectAccesses() {
  auto visit = [&](RankedTensorType type, Value view, ArrayRef<int64_t> dims,
                   bool isStore) {
    auto its = cast<tile::ViewType>(view.getType());
    ArrayRef<int64_t> strides =
        view.getDefiningOp<tile::ViewOp>().getStaticStrides();
    auto at = llvm::find_if(
        dims, [&](int64_t dim) { return dim >= 0 && strides[dim] == 1; });
    if (at == dims.end())
      return;
    Accesses &all = accesses[type.getShape().vec()];
    (isStore ? all.stored : all.loaded) |= uint64_t(1) << (at - dims.begin());
    int64_t bytes = getMemoryBytes(its.getElementType());
    all.narrowest = std::min(all.narrowest, bytes);
    all.widest = std::max(all.widest, bytes);
  };
  kernel.walk([&](tile::LoadOp op) {
    visit(op.getType(), op.getView(), op.getDims(), /*isStore=*/false);
  });
  kernel.walk([&](tile::StoreOp op) {
    visit(op.getTile().getType(), op.getView(), op.getDims(),
          /*isStore=*/true);
  });
  kernel.walk([&](tile::ReduceOp op) {
    auto type = cast<RankedTensorType>(op.getInput().getType());
    accesses[type.getShape().vec()].reduced = op.getAxis();
  });
}

/// Elements of 16 bytes of the narrowest ones, but not too many of the widest.
int64_t Emitter::Accesses::getRun() const {
  constexpr int64_t mostBytes = 2 * kAccessBytes, unknown = 4;
  return widest ? std::min(kAccessBytes / narrowest, mostBytes / widest)
                : unknown;
}

int64_t Emitter::Accesses::getTransposed(unsigned dim) const {
  uint64_t turned = loaded & ~stored;
  if (!turned || llvm::popcount(stored) != 1 || reduced >= 0)
    return -1;
  unsigned from = llvm::countr_zero(turned), to = llvm::countr_zero(stored);
  return dim == to ? from : dim == from ? to : -1;
}

/// Wide accesses along the first dim of `order`. Rows that are combined belong
/// to a warp where there are enough of them; what is contiguous along another
/// dim where it is loaded than where it is stored is transposed within threads.
LinearLayout Emitter::getOrdered(ArrayRef<int64_t> shape,
                                 ArrayRef<unsigned> order) {
  Accesses its;
  if (auto it = accesses.find(shape.vec()); it != accesses.end())
    its = it->second;
  int64_t run = its.getRun();
  if (int64_t other = order.empty() ? -1 : its.getTransposed(order.front());
      other >= 0)
    return getTransposing(shape, warps, order.front(), other, run);
  int64_t others = 1;
  for (unsigned dim : llvm::drop_begin(order))
    others *= llvm::PowerOf2Ceil(std::max<int64_t>(shape[dim], 1));
  if (!order.empty() && its.reduced == order.front() && others >= warps)
    return getWarpRows(shape, warps, order, run);
  return getBlocked(shape, warps, order, run);
}

/// Lanes run along the dims in the order in which they lie in memory.
LinearLayout Emitter::getCoalesced(RankedTensorType type, tile::ViewOp view,
                                   ArrayRef<int64_t> dims) {
  SmallVector<unsigned> order(llvm::reverse(getIdentityOrder(type.getRank())));
  ArrayRef<int64_t> strides = view.getStaticStrides();
  auto strideOf = [&](unsigned dim) {
    int64_t stride = dims[dim] < 0 ? 0 : strides[dims[dim]];
    // Repeated elements go last; unknown strides are long.
    return stride == 0                     ? INT64_MAX
           : ShapedType::isDynamic(stride) ? INT64_MAX - 1
                                           : std::abs(stride);
  };
  llvm::sort(order, [&](unsigned a, unsigned c) {
    return std::make_pair(strideOf(a), c) < std::make_pair(strideOf(c), a);
  });
  if (!order.empty() && strideOf(order.front()) != 1)
    return getBlocked(type.getShape(), warps, order, /*run=*/1);
  return getOrdered(type.getShape(), order);
}
