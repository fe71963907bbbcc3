// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Weights that stream from memory. A product of few rows uses a weight as fast
// as it comes; hardware prefetchers stop at each page and start again late.

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

void Emitter::prefetchWeights(scf::ForOp loop) {
  llvm::SetVector<tile::LoadOp> loads;
  int64_t rows = 0;
  for (auto mma : loop.getBody()->getOps<tile::MmaOp>()) {
    rows = std::max(rows, extent(mma.getAcc(), 0));
    collectLoads(mma, loop, loads);
  }
  if (rows > kFewRows)
    return;
  for (tile::LoadOp load : loads) {
    bool isBrief = rows <= kBriefRows;
    bool isFloat = isa<FloatType>(load.getType().getElementType());
    if (bytesOf(load) >= (isFloat && !isBrief ? kHugeBytes : kLargeBytes))
      prefetchLoad(load, loop, isBrief ? kAheadBytes : 2 * kAheadBytes);
  }
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
