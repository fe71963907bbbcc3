// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Score functions of attention, as what a kernel does to a block of scores.

#ifndef LATHE_KERNELS_ATTENTIONSCORE_H
#define LATHE_KERNELS_ATTENTIONSCORE_H

#include "lib/Kernels/KernelBuilder.h"

namespace lathe::kernels {

/// How a kernel multiplies.
struct ScoreForm {
  /// Queries are multiplied as they are stored: logits are scaled instead,
  /// where that costs nothing.
  bool keepsQuery = false;
  /// Tiles of scores are [queries, keys], not [keys, queries]: the products of
  /// a GPU's matrix unit, which start at zero.
  bool isRows = false;

  unsigned getKeyAxis() const { return isRows ? 1 : 0; }
  unsigned getQueryAxis() const { return isRows ? 0 : 1; }
};

/// Emits a score function on tiles of f32, [keys, lanes] or [rows, keys]. The
/// kernel multiplies the query by `getQueryScale` beforehand and starts the
/// product of K and Q at `getStart`; the resulting *logits* may be negated, if
/// that suits the function.
class AttentionScore {
public:
  explicit AttentionScore(ScoreForm form) : form(form) {}
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
  /// Whether keys beyond the last one must be hidden, though they and their
  /// values are zeros: a finite weight times zero is nothing, but not so in a
  /// sum of weights.
  virtual bool hidesBeyond() const = 0;

  /// Tiles of the state before the output.
  virtual unsigned getNumStatistics() const { return 0; }
  /// The state that is carried over blocks, before the first one: tiles
  /// [queries], then the output.
  virtual llvm::SmallVector<mlir::Value>
  getInitialState(KernelBuilder &kernel, int64_t lanes, int64_t size) const = 0;
  /// Turns a block's logits into weights of the values, and rescales the state
  /// for them.
  virtual mlir::Value apply(KernelBuilder &kernel, mlir::Value logits,
                            llvm::MutableArrayRef<mlir::Value> state) const = 0;
  /// Adds to the state, of queries in rows, what others of their keys have come
  /// to: tiles [queries, parts], then the outputs [queries, parts, size]. The
  /// plain sum of outputs, where that is all the state.
  virtual void merge(KernelBuilder &kernel, llvm::ArrayRef<mlir::Value> parts,
                     llvm::MutableArrayRef<mlir::Value> state) const;
  /// The output of the state after the last block.
  virtual mlir::Value finish(KernelBuilder &kernel,
                             llvm::ArrayRef<mlir::Value> state) const = 0;

protected:
  /// The shape of an output, [dv, lanes] or [rows, dv].
  llvm::SmallVector<int64_t, 2> getOutputShape(int64_t queries,
                                               int64_t size) const;
  /// Repeats [queries] along the other dim of `like`'s type.
  mlir::Value repeat(KernelBuilder &kernel, mlir::Value queries,
                     mlir::Value like) const;

  ScoreForm form;
};

/// The score function of `op`, or null if it is not known.
std::unique_ptr<AttentionScore> createAttentionScore(graph::AttentionOp op,
                                                     ScoreForm form);

} // namespace lathe::kernels

#endif // LATHE_KERNELS_ATTENTIONSCORE_H
