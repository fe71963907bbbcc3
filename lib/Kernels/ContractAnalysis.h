// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the contract strategy knows about a group before it builds a kernel:
// `graph.contract` and `graph.matmul` alike as
//
//   y[batch.., m, n] = sum_b scale_b * sum_k A_b(x)[batch.., m, k] * W_b[k, n]
//
// with leading dims merged into m wherever every buffer that the group touches
// stays a strided function of m.

#ifndef LATHE_KERNELS_CONTRACTANALYSIS_H
#define LATHE_KERNELS_CONTRACTANALYSIS_H

#include "lib/Kernels/IterationSpace.h"
#include "lib/Kernels/Strategy.h"

namespace lathe::kernels {

/// Columns per panel of a packed weight, for every level of every CPU: kernels
/// read narrower column tiles out of a panel.
inline constexpr int64_t kPanelColumns = 64;
/// The same for floats as they are: eight rows by three vectors load little
/// more than six by four, divide the row counts that models have, and the
/// panels are shorter (1 to 9 % of MiniLM, BERT-base and ViT-B/16).
inline constexpr int64_t kFloatPanelColumns = 48;
/// Consecutive k that an i8 dot product takes.
inline constexpr int64_t kInt8Group = 4;
/// Consecutive k that a bf16 dot product takes.
inline constexpr int64_t kBF16Group = 2;
/// Elements of 16 bits that rows of a GPU's operands are a multiple of: copies
/// of tiles want 16 bytes.
inline constexpr int64_t kUnitAlignment = 8;

/// Consecutive k of codes that a GPU's matrix unit takes at once: a line of
/// 16-bit numbers.
inline constexpr int64_t kUnitRun = 64;
/// Columns of a panel of such codes, at most.
inline constexpr int64_t kUnitPanel = 256;

/// How a branch multiplies.
enum class ContractKind {
  Mma,         ///< Float operands, f32 accumulators.
  MultiplyAdd, ///< Other types: multiply and add in the result's type.
  BF16Pairs,   ///< Pairs of bf16 along k, f32 accumulators.
  DynamicInt8, ///< 8-bit rows quantized at run time, integer weights, i32 sums
               ///< that are scaled and added up in f32 once per group of k.
  Blocks,      ///< Lists of a weight's blocks, f32 or as DynamicInt8.
};

/// One term of the sum.
struct ContractBranch {
  ContractKind kind = ContractKind::Mma;
  double scale = 1.0;
  /// The root's operand, and how it is read over (batch.., k, n).
  mlir::Value weight;
  graph::Access access;
  /// Set if the weight is a constant that a packing re-lays in panels: the
  /// group operand. `isTransposed` if it lies as [n, k].
  std::optional<unsigned> packedOperand;
  bool isTransposed = false;
  /// Set by the strategy if the packing turns it, [k, n], to lie as [n, k].
  bool isTurned = false;
  /// Set by the strategy if another kernel writes the weight in panels first:
  /// the temporary.
  std::optional<unsigned> panels;
  /// The weight's encoding, if any; only packed weights have one.
  graph::EncodingInterface encoding;

  /// The encoded weight's buffers.
  llvm::SmallVector<graph::EncodedBuffer>
  getBuffers(graph::GroupOp group) const;
  /// Codes in an element of the encoded weight; 1 without an encoding.
  int64_t getParts(graph::GroupOp group) const;
  /// The encoding if it is one of blocks, else null.
  graph::BlockAttr getBlocks() const;
};

struct Contraction {
  mlir::Operation *root = nullptr;
  graph::Dims batch; ///< Dims that could not be merged into m.
  mlir::AffineExpr m, n, k;
  /// The root's input, and how it is read over (batch.., m, k).
  mlir::Value input;
  graph::Access inputAccess;
  /// Set if the input is a bf16 tensor of the group's operands, widened: that
  /// operand, and how it is read over (batch.., m, k).
  std::optional<unsigned> narrowInput;
  graph::StridedView narrowView;
  llvm::SmallVector<ContractBranch, 1> branches;
  /// Set by the strategy if a GPU's matrix unit multiplies the operands as they
  /// are stored, f16, bf16 or 8-bit floats, or 8-bit floats as f16.
  mlir::Type unitElement;
  /// Whether all weights lie along k then.
  bool isAlongK = false;
  /// Set by the strategy if a GPU's matrix unit multiplies weights that are
  /// decoded on their way to it, `kUnitRun` k at a time: panels of codes along
  /// k, and codes of the input if it is quantized.
  bool readsCodes = false;
  /// Columns per panel of all branches' weights.
  int64_t panelColumns = kPanelColumns;
  /// How quantized branches quantize the input; null if none does.
  graph::DynamicInt8Attr quantizer;
  /// Set by the strategy if a matrix unit reads sixteen rows of codes at once.
  bool spreadsCodes = false;
  /// From the root's result to (batch.., m, n).
  graph::Access resultAccess;
  /// From each result of the group to (batch.., m, n).
  llvm::SmallVector<graph::Access, 1> yieldAccesses;

  mlir::Value getResult() const { return root->getResult(0); }
  /// (batch.., rows, columns).
  graph::Dims getSpace(mlir::AffineExpr rows, mlir::AffineExpr columns) const;
  mlir::AffineExpr getFlops() const;
};

/// From each result of a group to the iteration space that `rootAccess` leads
/// to from `root`, having checked that everything the epilogue reads and writes
/// is strided there. Nothing otherwise, with the reason.
std::optional<llvm::SmallVector<graph::Access, 1>>
getEpilogueAccesses(graph::GroupOp group, mlir::Value root,
                    const graph::Access &rootAccess, graph::DimsOf dimsOf,
                    std::string &reason);

/// Whether all that `value` is computed from is strided over the space that
/// `access` leads to.
bool isStrided(mlir::Value value, const graph::Access &access,
               graph::DimsOf dimsOf, std::string &reason);

/// Whether columns of the weight do not lie beside each other, so that many
/// rows had better read it from panels.
bool hasScatteredColumns(const ContractBranch &branch, graph::DimsOf dimsOf);

/// The float type of 16 or 8 bits of the input and of all weights, as they are
/// or as both are stored, and none of them otherwise encoded or quantized; null
/// if there is none.
mlir::Type getNarrowElement(const Contraction &c);

/// Has a matrix unit of a GPU multiply elements of type `getNarrowElement`.
/// Weights are read as they lie, in rows of n or of k; those whose rows are not
/// a multiple of 16 bytes long are padded: one panel of all columns, so that
/// tiles of any width read it. 8-bit floats must lie along k, and are turned if
/// they are constants that do not.
void useMatrixUnit(Contraction &c, graph::DimsOf dimsOf,
                   const Capability &capability);

/// The buffer of codes of which parts of `kUnitRun` rows are consecutive k; a
/// weight has one at most. Nothing if it has none.
std::optional<unsigned>
getUnitCodes(llvm::ArrayRef<graph::EncodedBuffer> buffers);

/// Has a matrix unit of a GPU multiply weights that are decoded on their way to
/// it: constants with such codes, whose scales hold for all k of a product, and
/// inputs of 16-bit floats or that are quantized. False if they are others.
bool decodeOnUnit(Contraction &c, graph::GroupOp group, graph::DimsOf dimsOf);

/// Analyzes a group whose root is a contract or a matmul. Nothing, with the
/// reason, if no kernel of this strategy computes it.
std::optional<Contraction> analyzeContraction(graph::GroupOp group,
                                              graph::DimsOf dimsOf,
                                              std::string &reason);

} // namespace lathe::kernels

#endif // LATHE_KERNELS_CONTRACTANALYSIS_H
