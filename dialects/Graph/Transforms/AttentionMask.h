// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Masks of a spelled-out attention: which part of them is a rule about
// positions (causal, sliding window, blocks of a constant) and which stays an
// operand.

#ifndef LATHE_DIALECTS_GRAPH_TRANSFORMS_ATTENTIONMASK_H
#define LATHE_DIALECTS_GRAPH_TRANSFORMS_ATTENTIONMASK_H

#include "dialects/Graph/IR/ShapeAnalysis.h"
#include "dialects/Graph/Transforms/MaskBlocks.h"

namespace lathe::graph {

/// The mask of one attention, collected term by term.
class MaskCollector {
public:
  /// `scores` is the logits' value, `[.., queries, keys]`.
  MaskCollector(ShapeAnalysis &shapes, mlir::Value scores)
      : shapes(shapes), scores(scores) {}

  /// A float term that is added to the logits.
  void addAdditive(mlir::Value mask) { addTerm(mask, Kind::Additive); }

  /// `visible` is false where a logit is replaced by `fill`: minus infinity
  /// hides the key, another large negative number counts as added.
  void addVisible(mlir::Value visible, double fill, bool negate) {
    addCondition(visible, fill, negate);
  }

  bool isEmpty() const { return terms.empty() && !left && !right && !blocks; }

  /// The selection by position that the terms imply.
  mlir::Attribute getSelection() const;

  /// The operand for the rest, of `elementType` where it is additive; null if
  /// there is none. Builds the ops that combine the terms.
  mlir::Value build(mlir::OpBuilder &builder, mlir::Location loc,
                    mlir::Type elementType);

private:
  enum class Kind { Additive, Visible, Hidden };
  struct Term {
    mlir::Value value;
    Kind kind;
    double fill = 0.0; ///< Of a condition; minus infinity hides.
    /// Conditions of one number hold together: `fill` is added once where any
    /// of them fails.
    unsigned group = 0;
  };
  /// A condition on positions, or its negation.
  struct Condition {
    mlir::Value value;
    bool negate;
  };
  /// A constant as (head, query, key) see it.
  struct ConstantMask;
  /// `constant + query * q + key * k` for an integer tensor read at (q, k).
  struct Position {
    int64_t query = 0, key = 0;
    mlir::AffineExpr constant;
  };

  void addTerm(mlir::Value value, Kind kind, double fill = 0.0);
  void addCondition(mlir::Value value, double fill, bool negate);
  void collectConditions(mlir::Value value, bool negate,
                         llvm::SmallVectorImpl<Condition> &conditions);
  bool addWindow(mlir::Value condition, bool negate);
  bool hidesNothing(Condition condition);
  bool addBound(CompareOp compare, bool negate);
  /// A constant lower triangle, maybe cut out of a larger one. `isVisible` says
  /// what an element means; nothing: no triangle.
  bool addConstantTriangle(
      mlir::Value value,
      llvm::function_ref<std::optional<bool>(double)> isVisible);
  std::optional<ConstantMask> getConstantMask(mlir::Value value);
  /// Takes the blocks that `visible` shows; true if they are all it says.
  bool addBlocks(const ConstantMask &mask, double fill,
                 llvm::function_ref<bool(double)> visible);
  bool addConstantCondition(mlir::Value condition, double fill, bool negate);
  bool addConstantTerm(mlir::Value term);
  std::optional<Position> getPosition(mlir::Value value);
  std::optional<Position> getPositionOfView(mlir::Value leaf,
                                            mlir::Value value);
  mlir::AffineExpr getQueries() const;
  mlir::AffineExpr getKeys() const;

  ShapeAnalysis &shapes;
  mlir::Value scores;
  llvm::SmallVector<Term> terms;
  unsigned numGroups = 0;
  unsigned numSplits = 0; ///< Of sums and conjunctions into terms.
  std::optional<int64_t> left, right;
  BlockListAttr blocks; ///< Its window is in `left` and `right`.
};

} // namespace lathe::graph

#endif // LATHE_DIALECTS_GRAPH_TRANSFORMS_ATTENTIONMASK_H
