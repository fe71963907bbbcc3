// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/IterationSpace.h"
#include "dialects/Graph/IR/Polynomial.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;

std::optional<int64_t> lathe::kernels::getConstantSize(AffineExpr size) {
  auto constant = dyn_cast<AffineConstantExpr>(graph::canonicalizeSize(size));
  return constant ? std::optional(constant.getValue()) : std::nullopt;
}

AffineExpr lathe::kernels::ceilDivide(AffineExpr size, int64_t step) {
  return graph::canonicalizeSize(size.ceilDiv(step));
}

bool lathe::kernels::isMultipleOf(AffineExpr size, int64_t step) {
  return graph::isSameSize(size.floorDiv(step) * step, size);
}

/// Whether dims `outer` and `inner`, with only unit dims between, are one dim
/// to every view.
static bool canMerge(ArrayRef<graph::StridedView> views, unsigned outer,
                     unsigned inner, AffineExpr innerSize) {
  return llvm::all_of(views, [&](const graph::StridedView &view) {
    return graph::isSameSize(view.strides[outer],
                             view.strides[inner] * innerSize);
  });
}

graph::Dims lathe::kernels::collapseDims(ArrayRef<AffineExpr> dims,
                                         ArrayRef<graph::StridedView> views,
                                         std::optional<unsigned> *boundary) {
  graph::Dims result;
  unsigned cut = boundary && *boundary ? **boundary : dims.size();
  auto collapseRun = [&](unsigned begin, unsigned end) {
    // From the inside out: `head` is the outermost dim of the current run.
    graph::Dims run;
    std::optional<unsigned> head;
    for (unsigned i = end; i-- > begin;) {
      if (getConstantSize(dims[i]) == 1)
        continue;
      if (head && canMerge(views, i, *head, dims[*head]))
        run.back() = graph::canonicalizeSize(run.back() * dims[i]);
      else
        run.push_back(dims[i]);
      head = i;
    }
    if (run.empty())
      run.push_back(
          getAffineConstantExpr(1, views.front().offset.getContext()));
    result.append(run.rbegin(), run.rend());
  };
  collapseRun(0, cut);
  if (!boundary || !*boundary)
    return result;
  *boundary = result.size();
  collapseRun(cut, dims.size());
  return result;
}

void lathe::kernels::reshapeAll(MutableArrayRef<graph::StridedView> views,
                                ArrayRef<AffineExpr> to) {
  for (graph::StridedView &view : views) {
    bool folds = view.reshape(to);
    assert(folds && "collapsed dims fit every view");
    (void)folds;
  }
}

unsigned lathe::kernels::chooseLaneDim(ArrayRef<graph::StridedView> views,
                                       unsigned first, unsigned last) {
  constexpr int64_t shortDim = 8;
  unsigned best = last - 1;
  int64_t bestScore = -1;
  for (unsigned dim = last; dim-- > first;) {
    int64_t score = 0;
    for (auto [i, view] : llvm::enumerate(views)) {
      std::optional<int64_t> stride = getConstantSize(view.strides[dim]);
      if (stride && (*stride == 0 || *stride == 1))
        score += i == 0 ? 2 : 1;
    }
    std::optional<int64_t> size = getConstantSize(views.front().dims[dim]);
    if (size && *size < shortDim)
      score = 0;
    if (score > bestScore) {
      best = dim;
      bestScore = score;
    }
  }
  return best;
}

int64_t lathe::kernels::chooseTileSize(const Capability &capability,
                                       unsigned bits, int64_t unroll,
                                       AffineExpr size) {
  int64_t tile = capability.getLanes(bits) * unroll;
  if (std::optional<int64_t> constant = getConstantSize(size))
    tile = std::min<int64_t>(
        tile, llvm::PowerOf2Ceil(std::max<int64_t>(*constant, 1)));
  return tile;
}
