// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where the elements of a tile are, as a linear map over bits.
//
// A program has threads: `lane` 0... of `warp` 0..., each with numbered
// registers. A layout maps (register, lane, warp) to a position in the tile. It
// is linear over F2: the position of a sum (exclusive or) of places is the sum
// of their positions. So it is given by a position for each *bit* of the three
// inputs, its basis, and a question about it is one about small matrices:
// which elements do a thread's registers hold in a row (how wide a load may
// be), along which dims do lanes run (does a sum cross lanes), what moves
// between two layouts (registers only, or through shared memory).
//
//   f32 tile of 8x32, eight rows of four lanes of eight registers:
//     register  (0,1) (0,2) (0,4)
//     lane      (0,8) (0,16) (1,0) (2,0) (4,0)
//
// The sizes of a tile are rounded up to powers of two: positions beyond the
// tile hold anything. A basis of zeros repeats: both values of the bit are the
// same element. This is the "linear layout" of arXiv 2505.23819.
//
// Nothing here knows MLIR.

#ifndef LATHE_LIB_TARGET_GPU_LINEARLAYOUT_H
#define LATHE_LIB_TARGET_GPU_LINEARLAYOUT_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace lathe::gpu {

class LinearLayout {
public:
  enum In { Register, Lane, Warp };
  static constexpr std::array<In, 3> ins = {Register, Lane, Warp};

  /// A position: one number for each dim of the tile.
  using Position = llvm::SmallVector<int64_t, 4>;

  /// A place: a register of a thread.
  struct Place {
    int64_t reg = 0, lane = 0, warp = 0;
  };

  /// A layout of one element, the first one, of a tile of `rank` dims.
  explicit LinearLayout(unsigned rank = 0) : rank(rank) {}

  /// Appends bits to an input: each stands for the next bit of `dim` that no
  /// input stands for yet.
  LinearLayout &add(In in, unsigned dim, unsigned bits = 1);
  /// Appends a bit that moves to `basis`.
  LinearLayout &addBasis(In in, Position basis);
  /// Appends bits that change nothing.
  LinearLayout &addRepeats(In in, unsigned bits);

  unsigned getRank() const { return rank; }
  unsigned getBits(In in) const { return bases[in].size(); }
  int64_t getSize(In in) const { return int64_t(1) << getBits(in); }
  llvm::ArrayRef<Position> getBases(In in) const { return bases[in]; }

  Position apply(Place place) const;
  /// The positions that a thread's registers add to its own.
  Position applyRegister(int64_t reg) const { return apply({reg, 0, 0}); }

  /// How many positions of `dim` the layout tells apart: a power of two.
  int64_t getExtent(unsigned dim) const;

  /// The bits of an input that repeat elements: they can be set to zero and
  /// every element is still there. With registers among them first, then lanes.
  int64_t getRepeats(In in) const;

  /// The bits of an input that move along `dim`.
  int64_t getBitsAlong(In in, unsigned dim) const;

  /// How many registers in a row, from the first of each such run on, hold
  /// neighbors along `dim` that begin at a multiple of their number.
  int64_t getRun(unsigned dim) const;

  /// The layout of a tile with dims `dims` of this one: of the input of a
  /// broadcast along the others, or of the result of a reduction.
  LinearLayout project(llvm::ArrayRef<int64_t> dims) const;

  /// The same for a tile of `shape`: what would lie beyond it, rounded up to
  /// powers of two, repeats.
  LinearLayout within(llvm::ArrayRef<int64_t> shape) const;

  /// Without the registers that repeat others. `source[r]` is the register of
  /// the result that holds what register `r` held.
  LinearLayout
  withoutRepeatedRegisters(llvm::SmallVectorImpl<int64_t> &source) const;

  /// If a thread has every element that it has in `to` in one of its own
  /// registers here: which one, for each of them.
  bool getRegisters(const LinearLayout &to,
                    llvm::SmallVectorImpl<int64_t> &source) const;

  /// "register = [(0,1), (0,2)], lane = [...], warp = [...]".
  std::string toString() const;

  bool operator==(const LinearLayout &other) const {
    return rank == other.rank && bases == other.bases;
  }

private:
  unsigned rank;
  std::array<std::vector<Position>, 3> bases;
};

} // namespace lathe::gpu

#endif // LATHE_LIB_TARGET_GPU_LINEARLAYOUT_H
