// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What comes from beyond the near caches. A product of few rows uses a weight
// as fast as it comes from memory; hardware prefetchers stop at each page and
// start again late. One of many rows sweeps over them with one panel of the
// weight, which the first programs of the sweep would wait for: those of the
// sweep before ask for it. Left operands whose rows lie far apart are asked for
// in every block.

#include "lib/Target/X86/Emitter.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::x86;

/// A product of more rows is busy for longer than memory takes.
static constexpr int64_t kFewRows = 8;
/// How far ahead: at least a page, so that its translation is there too; two
/// where rows keep the weights that are already here longer.
static constexpr int64_t kAheadBytes = 4096, kBriefRows = 2;
/// Iterations whose weights are as far apart do not read memory in a row.
static constexpr int64_t kMostPitchBytes = 1024;
static constexpr int64_t kLineBytes = 64;
/// A second-level cache of 1 MB holds a panel and most of the next one.
static constexpr int64_t kPanelBytes = 640 << 10;
/// Bits of a share as a fixed-point fraction. Fewer programs leave no time, and
/// stream their weights as they come.
static constexpr int64_t kShareBits = 20, kFewPrograms = 4;
/// What second-level caches hold none of, and what no cache holds. Others come
/// fast enough, and a prefetch takes the place of a load: 2 % of f32 products
/// of many rows.
static constexpr int64_t kLargeBytes = 4 << 20, kHugeBytes = 32 << 20;

/// Loads in the loop's body that the right operand of `mma` is computed from.
static void collectLoads(tile::MmaOp mma, scf::ForOp loop,
                         llvm::SetVector<tile::LoadOp> &loads) {
  llvm::SetVector<Value> values;
  values.insert(mma.getB());
  for (size_t i = 0; i < values.size(); ++i) {
    Operation *op = values[i].getDefiningOp();
    if (!op || op->getParentOp() != loop)
      continue;
    if (auto load = dyn_cast<tile::LoadOp>(op))
      loads.insert(load);
    else if (OpTrait::hasElementwiseMappableTraits(op))
      values.insert_range(op->getOperands());
  }
}

/// How large the view is that `load` reads; 0 if that is not known.
static int64_t bytesOf(tile::LoadOp load) {
  auto view = load.getView().getDefiningOp<tile::ViewOp>();
  int64_t bytes = load.getType().getElementTypeBitWidth() / 8;
  for (OpFoldResult size : view.getMixedSizes())
    bytes *= constantOf(size).value_or(0);
  return bytes;
}

/// Whether caches do not hold what multiplies of `rows` rows read with `load`.
static bool isStreamed(tile::LoadOp load, int64_t rows) {
  bool isFloat = isa<FloatType>(load.getType().getElementType());
  return bytesOf(load) >=
         (isFloat && rows > kBriefRows ? kHugeBytes : kLargeBytes);
}

/// Whether `value` depends on the program's position along `axis`.
static bool dependsOnProgram(Value value, unsigned axis) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return false;
  if (auto id = dyn_cast<tile::ProgramIdOp>(op))
    return id.getAxis() == axis;
  return llvm::any_of(op->getOperands(), [&](Value operand) {
    return dependsOnProgram(operand, axis);
  });
}

/// The dim of the view that `load` reads along which panels follow each other.
/// None where programs of a sweep read different panels.
static std::optional<unsigned> findPanelDim(tile::LoadOp load) {
  if (load.getGather() || llvm::any_of(load.getIndices(), [](Value index) {
        return dependsOnProgram(index, 0);
      }))
    return std::nullopt;
  auto view = load.getView().getDefiningOp<tile::ViewOp>();
  for (auto [dim, index] : llvm::enumerate(load.getIndices()))
    if (dependsOnProgram(index, 1) &&
        constantOf(view.getMixedSizes()[dim]).value_or(0) > 1)
      return dim;
  return std::nullopt;
}

void Emitter::prefetchWeights(scf::ForOp loop) {
  llvm::SetVector<tile::LoadOp> loads;
  int64_t rows = 0;
  for (auto mma : loop.getBody()->getOps<tile::MmaOp>()) {
    rows = std::max(rows, extent(mma.getAcc(), 0));
    collectLoads(mma, loop, loads);
  }
  for (tile::LoadOp load : loads) {
    if (rows > kBriefRows)
      prefetchNextPanel(load);
    if (rows <= kFewRows && isStreamed(load, rows))
      prefetchLoad(load, loop,
                   rows <= kBriefRows ? kAheadBytes : 2 * kAheadBytes);
  }
}

/// The same for a loop that decodes its words to tiles; the fewest rows that
/// those have are few.
void Emitter::prefetchWords(scf::ForOp loop, bool isEarly) {
  llvm::SetVector<tile::LoadOp> loads;
  for (auto mma : loop.getBody()->getOps<tile::MmaOp>())
    if (extent(mma.getAcc(), 0) <= kTileRows)
      collectLoads(mma, loop, loads);
  for (tile::LoadOp load : loads)
    if (isStreamed(load, kTileRows))
      prefetchLoad(load, loop, isEarly ? kAheadBytes : 2 * kAheadBytes);
}

/// Where the loop reads memory in a row, asks for each line of what it will
/// read `ahead` bytes later.
void Emitter::prefetchLoad(tile::LoadOp load, scf::ForOp loop, int64_t ahead) {
  ArrayRef<int64_t> dims = load.getDims();
  if (load.getGather() || dims.size() != 2 || dims[1] < 0)
    return;
  int64_t stride = load.getView().getType().getStrides()[dims[1]];
  std::optional<int64_t> pitch = pitchOf(load, loop);
  if (ShapedType::isDynamic(stride) || !pitch)
    return;
  int64_t width = load.getType().getElementTypeBitWidth() / 8;
  int64_t step = *pitch * width;
  if (step <= 0 || step > kMostPitchBytes)
    return;
  Access access = accessOf(load);
  Position start = {{{}, {}}, 1};
  Value pointer = address(access, coordsAt(access, start));
  ahead = llvm::alignTo(ahead, step);
  int64_t bytes = extent(load.getResult(), 1) * stride * width;
  for (int64_t line = 0; line < bytes; line += kLineBytes)
    LLVM::Prefetch::create(
        b, offsetPointer(pointer, b.getI8Type(), {Value(), ahead + line}),
        /*rw=*/0, /*hint=*/3, /*cache=*/1);
}

/// Asks for `count` positions of the left operand from `first` on along `dim`,
/// if these lie far apart: rows of keys and values among those of other heads.
void Emitter::prefetchLeft(tile::MmaOp op, unsigned dim, Coord first,
                           int64_t count) {
  auto load = op.getA().getDefiningOp<tile::LoadOp>();
  if (!load || load.getGather() || llvm::is_contained(load.getDims(), -1) ||
      tiles.lookup(load).kind != Storage::Deferred)
    return;
  ArrayRef<int64_t> dims = load.getDims();
  ArrayRef<int64_t> strides = load.getView().getType().getStrides();
  int64_t width = load.getType().getElementTypeBitWidth() / 8;
  int64_t pitch = strides[dims[dim]], next = strides[dims[1 - dim]];
  if (ShapedType::isDynamic(pitch) || pitch * width <= kMostPitchBytes ||
      next != 1)
    return;
  Access access = accessOf(load);
  int64_t bytes = extent(load.getResult(), 1 - dim) * width;
  for (int64_t i = 0; i < count; ++i) {
    Position position = {{{}, {}}, -1};
    position.at[dim] = first + i;
    Value pointer = address(access, coordsAt(access, position));
    for (int64_t line = 0; line < bytes; line += kLineBytes)
      LLVM::Prefetch::create(
          b, offsetPointer(pointer, b.getI8Type(), {Value(), line}),
          /*rw=*/0, /*hint=*/3, /*cache=*/1);
  }
}

/// Asks for a line of the next panel: of the share that falls to this program,
/// as far into it as the load is into this panel.
void Emitter::prefetchNextPanel(tile::LoadOp load) {
  std::optional<unsigned> dim = findPanelDim(load);
  ArrayRef<int64_t> strides = load.getView().getType().getStrides();
  if (!dim || ShapedType::isDynamic(strides[*dim]))
    return;
  int64_t width = load.getType().getElementTypeBitWidth() / 8;
  int64_t bytes = strides[*dim] * width;
  if (bytes <= kLineBytes || bytes > kPanelBytes)
    return;
  Access access = accessOf(load);
  SmallVector<Coord> coords =
      coordsAt(access, {SmallVector<Coord>(load.getDims().size()), -1});
  Coord inside;
  for (auto [d, coord] : llvm::enumerate(coords))
    if (d != *dim) {
      inside = add(inside, mul(coord, access.view->strides[d]));
      coord = Coord();
    }
  inside = mul(inside, {Value(), width});
  Value isShort = arith::CmpIOp::create(b, arith::CmpIPredicate::ult,
                                        sweep.count, index(kFewPrograms));
  Value share = arith::DivUIOp::create(b, index(1 << kShareBits), sweep.count);
  share = arith::SelectOp::create(b, isShort, index(0), share);
  Value all = arith::AddIOp::create(
      b, arith::MulIOp::create(b, sweep.position, index(bytes)),
      indexValue(inside));
  all = arith::MulIOp::create(b, all, share);
  all = arith::ShRUIOp::create(b, all, index(kShareBits));
  Value pointer = address(access, coords);
  LLVM::Prefetch::create(b, offsetPointer(pointer, b.getI8Type(), {all, bytes}),
                         /*rw=*/0, /*hint=*/2, /*cache=*/1);
}
