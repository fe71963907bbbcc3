// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Score functions of attention, as what a kernel does to a block of scores.

#ifndef LATHE_KERNELS_ATTENTIONSCORE_H
#define LATHE_KERNELS_ATTENTIONSCORE_H

#include "lib/Kernels/KernelBuilder.h"

namespace lathe::kernels {

/// Emits a score function on tiles [keys, lanes] of f32. The kernel multiplies
/// the query by `getQueryScale` beforehand and starts the product K . Q^T at
/// `getStart`; the resulting *logits* may be negated, if that suits the
/// function.
class AttentionScore {
public:
  virtual ~AttentionScore() = default;

  /// The factor of the query.
  virtual double getQueryScale() const = 0;
  /// The start of the product, for an additive mask or for none (null).
  virtual mlir::Value getStart(KernelBuilder &kernel,
                               mlir::RankedTensorType type,
                               mlir::Value mask) const = 0;
  /// Logits of a block from the finished product.
  virtual mlir::Value finishLogits(KernelBuilder &kernel, mlir::Value product,
                                   mlir::Value mask) const;
  /// The logit of a hidden key.
  virtual double getHidden() const = 0;

  /// The state that is carried over blocks, before the first one: tiles
  /// [lanes], then the output [dv, lanes].
  virtual llvm::SmallVector<mlir::Value>
  getInitialState(KernelBuilder &kernel, int64_t lanes, int64_t size) const = 0;
  /// Turns a block's logits into weights of the values, and rescales the state
  /// for them.
  virtual mlir::Value apply(KernelBuilder &kernel, mlir::Value logits,
                            llvm::MutableArrayRef<mlir::Value> state) const = 0;
  /// The output of the state after the last block.
  virtual mlir::Value finish(KernelBuilder &kernel,
                             llvm::ArrayRef<mlir::Value> state) const = 0;
};

/// The score function of `op`, or null if it is not known. If queries are
/// multiplied as they are stored (`keepsQuery`), logits are scaled instead,
/// where that costs nothing.
std::unique_ptr<AttentionScore> createAttentionScore(graph::AttentionOp op,
                                                     bool keepsQuery);

} // namespace lathe::kernels

#endif // LATHE_KERNELS_ATTENTIONSCORE_H
