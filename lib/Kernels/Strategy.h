// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A strategy turns one group of graph ops into tile kernels and the launches
// that run them. There is one strategy per `graph.group` kind and one file per
// strategy; lib/Conversion/GraphToPlan calls them and makes plan ops of what
// they return.

#ifndef LATHE_KERNELS_STRATEGY_H
#define LATHE_KERNELS_STRATEGY_H

#include "dialects/Graph/IR/Views.h"
#include "dialects/Tile/IR/Tile.h"
#include "lib/Kernels/Capability.h"
#include "lib/Kernels/Schedules.h"
#include "llvm/ADT/StringSet.h"
#include <memory>
#include <string>
#include <vector>

namespace lathe::kernels {

/// How a constant operand is re-laid before a kernel reads it: the fields of
/// `#plan.pack`, which documents them.
struct Packing {
  llvm::SmallVector<int64_t, 4> blocks, outer, inner, winograd;

  bool operator==(const Packing &other) const {
    return blocks == other.blocks && outer == other.outer &&
           inner == other.inner && winograd == other.winograd;
  }
};

/// A buffer that a launch uses.
struct BufferRef {
  enum class Kind { Operand, Result, Temporary, Constant };

  Kind kind;
  unsigned index; ///< Of the group's operands or results, or temporaries.
  /// Operands that are constants only: how the buffer is stored.
  std::optional<Packing> packing;
  /// Operands with an encoding: which of its buffers.
  std::string encodedBuffer;
  /// Constants that the strategy makes, such as block lists: what they hold.
  mlir::DenseElementsAttr constant = {};

  static BufferRef operand(unsigned index) {
    return {Kind::Operand, index, std::nullopt, ""};
  }
  static BufferRef result(unsigned index) {
    return {Kind::Result, index, std::nullopt, ""};
  }
  static BufferRef temporary(unsigned index) {
    return {Kind::Temporary, index, std::nullopt, ""};
  }
  /// Read only; equal contents are stored once.
  static BufferRef makeConstant(mlir::DenseElementsAttr value) {
    return {Kind::Constant, 0, std::nullopt, "", value};
  }
};

/// Memory that lives from one launch of a group to another.
struct Temporary {
  mlir::Type elementType; ///< Signless.
  graph::Dims dims;
};

/// `expr >= 0`, or `expr == 0`.
struct Condition {
  mlir::AffineExpr expr;
  bool isEquality = false;
};

/// A kernel, its grid, and when to run it (all conditions hold). Neighbours
/// with the same conditions are alternatives: the first one runs, the others
/// are there for a tuner.
struct KernelChoice {
  tile::KernelOp kernel;
  llvm::SmallVector<mlir::AffineExpr, 3> grid;
  llvm::SmallVector<Condition, 1> when;
};

/// One run of a kernel. All choices take the same buffers and scalars.
struct LaunchSpec {
  llvm::SmallVector<KernelChoice, 1> choices;
  llvm::SmallVector<mlir::AffineExpr> scalars;
  llvm::SmallVector<BufferRef> reads, writes;
  std::string label;
  mlir::AffineExpr flops; ///< Null if nobody counts them.
};

/// What becomes of one group: launches, in order.
struct LoweredGroup {
  std::vector<LaunchSpec> launches;
  std::vector<Temporary> temporaries;
  /// What a user should know of the choices made; "" if nothing.
  std::string remark;
};

/// Kernels of a module by content: building one that exists gives the old one.
class KernelCache {
public:
  explicit KernelCache(mlir::ModuleOp module) : module(module) {}

  /// Where new kernels are inserted.
  mlir::ModuleOp getModule() const { return module; }

  /// Returns the kernel that equals `kernel` but for its name, and erases
  /// `kernel`; or gives it the name `wanted` (with a number if that is taken)
  /// and returns it.
  tile::KernelOp intern(tile::KernelOp kernel, llvm::StringRef wanted);

private:
  mlir::ModuleOp module;
  llvm::StringMap<tile::KernelOp> byContent;
  llvm::StringMap<unsigned> counts; ///< Numbers given to each name.
  llvm::StringSet<> names;
};

/// What a strategy may use.
struct LoweringContext {
  const Capability &capability;
  const Schedules &schedules;
  KernelCache &cache;
  /// Dims of every value of the function, inside groups too.
  std::function<llvm::ArrayRef<mlir::AffineExpr>(mlir::Value)> dimsOf;
};

class Strategy {
public:
  virtual ~Strategy() = default;

  /// The `graph.group` kind that this strategy serves.
  virtual graph::GroupKind getKind() const = 0;

  /// Whether `lower` can take the group. Cheap; a failure comes with the op
  /// and the reason, as `notifyMatchFailure` has it.
  virtual llvm::LogicalResult match(graph::GroupOp group,
                                    const LoweringContext &context,
                                    std::string &reason) const = 0;

  /// Builds the kernels. Only called after `match` succeeded; a failure is a
  /// defect, is reported with `emitError` and leaves no kernel behind.
  virtual llvm::FailureOr<LoweredGroup>
  lower(graph::GroupOp group, LoweringContext &context) const = 0;
};

std::unique_ptr<Strategy> createPointwiseStrategy();
std::unique_ptr<Strategy> createReduceStrategy();
std::unique_ptr<Strategy> createScanStrategy();
std::unique_ptr<Strategy> createScatterStrategy();
std::unique_ptr<Strategy> createContractStrategy();
std::unique_ptr<Strategy> createAttentionStrategy();
/// Convolutions are of the contract kind, pools of the reduce kind.
std::unique_ptr<Strategy> createConvStrategy();
std::unique_ptr<Strategy> createPoolStrategy();

/// One of each. In the order in which they are asked.
std::vector<std::unique_ptr<Strategy>> createStrategies();

/// The names of the model's nodes that `op` stands for, "" if unknown.
std::string getLabel(mlir::Location loc);

/// "8x384", with the names of dims that are not constant left as "n".
std::string getShapeName(llvm::ArrayRef<mlir::AffineExpr> dims);

/// "gelu_add": the elementwise ops of a group in order, for kernel names.
std::string getOpsName(graph::GroupOp group, mlir::Operation *except);

} // namespace lathe::kernels

#endif // LATHE_KERNELS_STRATEGY_H
