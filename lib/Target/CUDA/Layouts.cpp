// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/CUDA/Layouts.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

using namespace lathe::cuda;
using In = LinearLayout::In;

static constexpr unsigned kLaneBits = 5;
/// Registers in a row of a block of sums, along each of its two dims.
static constexpr unsigned kBlockBits = 2;

namespace {
/// Deals out the bits of a tile's dims.
class Builder {
public:
  Builder(llvm::ArrayRef<int64_t> shape, int64_t warps)
      : layout(shape.size()), warpBits(llvm::Log2_64(warps)) {
    for (int64_t size : shape)
      left.push_back(llvm::Log2_64_Ceil(std::max<int64_t>(size, 1)));
  }

  unsigned getTotal() const {
    unsigned total = 0;
    for (unsigned bits : left)
      total += bits;
    return total;
  }
  /// How many bits registers have to take at least.
  unsigned getRegisterBits() const {
    unsigned total = getTotal(), threads = kLaneBits + warpBits;
    return total > threads ? total - threads : 0;
  }
  /// Gives up to `bits` of `dim` to an input; how many it took.
  unsigned take(In in, unsigned dim, unsigned bits) {
    bits = std::min(bits, left[dim]);
    left[dim] -= bits;
    layout.add(in, dim, bits);
    return bits;
  }
  /// The same; what the dim lacks is repeated.
  void takeOrRepeat(In in, unsigned dim, unsigned bits) {
    layout.addRepeats(in, bits - take(in, dim, bits));
  }
  unsigned getLeft(unsigned dim) const { return left[dim]; }
  /// Gives lanes, then warps, then registers what is left, along `order`, warps
  /// along `warpOrder`.
  LinearLayout finish(llvm::ArrayRef<unsigned> order,
                      llvm::ArrayRef<unsigned> warpOrder) {
    for (In in : {In::Lane, In::Warp}) {
      unsigned wanted = in == In::Lane ? kLaneBits : warpBits;
      wanted -= layout.getBits(in);
      for (unsigned dim : in == In::Lane ? order : warpOrder)
        wanted -= take(in, dim, wanted);
      layout.addRepeats(in, wanted);
    }
    for (unsigned dim : order)
      take(In::Register, dim, left[dim]);
    return layout;
  }
  LinearLayout finish(llvm::ArrayRef<unsigned> order) {
    return finish(order, order);
  }

private:
  LinearLayout layout;
  unsigned warpBits;
  llvm::SmallVector<unsigned> left;
};
} // namespace

static llvm::SmallVector<unsigned> getLastFirst(unsigned rank) {
  llvm::SmallVector<unsigned> order;
  for (unsigned dim = rank; dim-- > 0;)
    order.push_back(dim);
  return order;
}

/// Up to `run` registers in a row along the first dim of `order`, but no more
/// than leaves something to each thread.
static void takeRun(Builder &builder, llvm::ArrayRef<unsigned> order,
                    int64_t run) {
  if (!order.empty())
    builder.take(
        In::Register, order.front(),
        std::min<unsigned>(llvm::Log2_64(run), builder.getRegisterBits()));
}

LinearLayout lathe::cuda::getBlocked(llvm::ArrayRef<int64_t> shape,
                                     int64_t warps,
                                     llvm::ArrayRef<unsigned> order,
                                     int64_t run) {
  Builder builder(shape, warps);
  takeRun(builder, order, run);
  return builder.finish(order);
}

LinearLayout lathe::cuda::getWarpRows(llvm::ArrayRef<int64_t> shape,
                                      int64_t warps,
                                      llvm::ArrayRef<unsigned> order,
                                      int64_t run) {
  Builder builder(shape, warps);
  takeRun(builder, order, run);
  llvm::SmallVector<unsigned> warpOrder(order.drop_front());
  warpOrder.push_back(order.front());
  return builder.finish(order, warpOrder);
}

LinearLayout lathe::cuda::getTransposing(llvm::ArrayRef<int64_t> shape,
                                         int64_t warps, unsigned first,
                                         unsigned second, int64_t run) {
  Builder builder(shape, warps);
  unsigned bits =
      std::min<unsigned>(llvm::Log2_64(run), builder.getRegisterBits() / 2);
  builder.take(In::Register, first, bits);
  builder.take(In::Register, second, bits);
  // A warp is 8 x 4 threads, so that both directions have whole sectors: 2 %
  // faster on an H100 than 4 x 8, 6 % than 2 x 16.
  unsigned last = std::max(first, second);
  builder.take(In::Lane, last, 2);
  llvm::SmallVector<unsigned> order{last, std::min(first, second)};
  builder.take(In::Lane, order[1], 3);
  for (unsigned dim : getLastFirst(shape.size()))
    if (dim != first && dim != second)
      order.push_back(dim);
  return builder.finish(order);
}

LinearLayout lathe::cuda::getAlongRegisters(llvm::ArrayRef<int64_t> shape,
                                            int64_t warps, unsigned axis) {
  Builder builder(shape, warps);
  builder.take(In::Register, axis, 63);
  return builder.finish(getLastFirst(shape.size()));
}

LinearLayout lathe::cuda::getOuterProduct(llvm::ArrayRef<int64_t> shape,
                                          int64_t warps) {
  Builder builder(shape, warps);
  unsigned registers = builder.getRegisterBits();
  unsigned columns = std::min(kBlockBits, registers);
  columns = builder.take(In::Register, 1, columns);
  unsigned rows = std::min(kBlockBits, registers - columns);
  builder.take(In::Register, 0, rows);
  // A warp is 4 x 8 threads: it reads few rows and columns of the operands.
  builder.take(In::Lane, 1, 3);
  builder.take(In::Lane, 0, 2);
  return builder.finish({1, 0});
}

LinearLayout lathe::cuda::getWarpgroupSums(llvm::ArrayRef<int64_t> shape,
                                           int64_t warpgroups) {
  Builder builder(shape, 4 * warpgroups);
  builder.take(In::Register, 1, 1);
  builder.take(In::Lane, 1, 2);
  builder.take(In::Lane, 0, 3);
  builder.take(In::Register, 0, 1);
  builder.take(In::Warp, 0, 2);
  int64_t blocks = std::max<int64_t>(shape[0] / 64 / warpgroups, 1);
  unsigned blockBits = llvm::Log2_64_Ceil(blocks);
  builder.take(In::Register, 1, 63);
  builder.take(In::Register, 0, blockBits);
  return builder.finish({0, 1});
}

//===----------------------------------------------------------------------===//
// Fragments
//===----------------------------------------------------------------------===//

/// Bits of a lane's number that stand for pairs of columns (or words of k), and
/// for rows.
static constexpr unsigned kQuadBits = 2, kGroupBits = 3;

/// How many of `bits` bits of the warp go along rows, so that a warp's rows and
/// columns together, which is what it reads of both operands, are few.
static unsigned getRowWarps(unsigned rowBits, unsigned columnBits,
                            unsigned bits) {
  unsigned best = 0;
  uint64_t least = UINT64_MAX;
  for (unsigned rows = 0; rows <= std::min(rowBits, bits); ++rows) {
    unsigned columns = std::min(bits - rows, columnBits);
    uint64_t blocks = (uint64_t(2) << (rowBits - rows)) +
                      (uint64_t(1) << (columnBits - columns));
    // What is left of the warps would repeat.
    blocks += uint64_t(bits - rows - columns) << 32;
    if (blocks <= least) {
      least = blocks;
      best = rows;
    }
  }
  return best;
}

LinearLayout lathe::cuda::getFragments(llvm::ArrayRef<int64_t> shape,
                                       int64_t warps, bool asRows) {
  Builder builder(shape, warps);
  unsigned warpBits = llvm::Log2_64(warps);
  builder.takeOrRepeat(In::Register, 1, 1);
  builder.takeOrRepeat(In::Lane, 1, kQuadBits);
  builder.takeOrRepeat(In::Lane, 0, kGroupBits);
  builder.takeOrRepeat(In::Register, 0, 1);
  unsigned rowBits = builder.getLeft(0), columnBits = builder.getLeft(1);
  unsigned rows = asRows ? std::min(rowBits, warpBits)
                         : getRowWarps(rowBits, columnBits, warpBits);
  unsigned columns = std::min(columnBits, warpBits - rows);
  builder.take(In::Register, 1, columnBits - columns);
  builder.take(In::Register, 0, rowBits - rows);
  builder.take(In::Warp, 0, rows);
  builder.take(In::Warp, 1, columns);
  return builder.finish({0, 1});
}

LinearLayout lathe::cuda::getOperandFragments(const LinearLayout &sums,
                                              unsigned dim, int64_t depth,
                                              int64_t perWord) {
  LinearLayout layout(2);
  unsigned kDim = 1 - dim;
  auto along = [](unsigned dim, int64_t at) {
    LinearLayout::Position position(2, 0);
    position[dim] = at;
    return position;
  };
  constexpr int64_t words = int64_t(1) << kQuadBits;
  int64_t step = 2 * words * perWord; // k of an instruction.
  for (int64_t k = 1; k < perWord; k *= 2)
    layout.addBasis(In::Register, along(kDim, k));
  // Rows have two words of each k, eight apart; columns one.
  llvm::ArrayRef<LinearLayout::Position> own = sums.getBases(In::Register);
  if (dim == 0)
    layout.addBasis(In::Register, along(0, own[1][0]));
  layout.addBasis(In::Register, along(kDim, words * perWord));
  for (const LinearLayout::Position &basis : own.drop_front(2))
    if (basis[dim])
      layout.addBasis(In::Register, along(dim, basis[dim]));
  for (int64_t k = step; k < depth; k *= 2)
    layout.addBasis(In::Register, along(kDim, k));
  for (int64_t word = 1; word < words; word *= 2)
    layout.addBasis(In::Lane, along(kDim, word * perWord));
  // Lanes of one group have a row of A, or a column of B, in common. Sums have
  // their columns in pairs there: the operand has them one by one.
  auto lanes = sums.getBases(In::Lane);
  for (unsigned bit = 0; bit < kGroupBits; ++bit)
    layout.addBasis(In::Lane, along(dim, dim == 0   ? lanes[kQuadBits + bit][0]
                                         : bit == 0 ? own[0][1]
                                                    : lanes[bit - 1][1]));
  for (const LinearLayout::Position &basis : sums.getBases(In::Warp))
    layout.addBasis(In::Warp, along(dim, basis[dim]));
  return layout;
}
