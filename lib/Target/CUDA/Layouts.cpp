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
  /// Gives lanes, then warps, then registers what is left, along `order`.
  LinearLayout finish(llvm::ArrayRef<unsigned> order) {
    for (In in : {In::Lane, In::Warp}) {
      unsigned wanted = in == In::Lane ? kLaneBits : warpBits;
      wanted -= layout.getBits(in);
      for (unsigned dim : order)
        wanted -= take(in, dim, wanted);
      layout.addRepeats(in, wanted);
    }
    for (unsigned dim : order)
      take(In::Register, dim, left[dim]);
    return layout;
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

LinearLayout lathe::cuda::getBlocked(llvm::ArrayRef<int64_t> shape,
                                     int64_t warps,
                                     llvm::ArrayRef<unsigned> order,
                                     int64_t run) {
  Builder builder(shape, warps);
  if (!order.empty())
    builder.take(
        In::Register, order.front(),
        std::min<unsigned>(llvm::Log2_64(run), builder.getRegisterBits()));
  return builder.finish(order);
}

LinearLayout lathe::cuda::getRowMajor(llvm::ArrayRef<int64_t> shape,
                                      int64_t warps) {
  return getBlocked(shape, warps, getLastFirst(shape.size()), 4);
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
  unsigned blockBits = llvm::Log2_64_Ceil(shape[0] / 64 / warpgroups);
  builder.take(In::Register, 1, 63);
  builder.take(In::Register, 0, blockBits);
  return builder.finish({0, 1});
}
