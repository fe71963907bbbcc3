// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Builds the kernels of one launch. A strategy asks for buffers, sizes and
// views as it needs them; arguments, scalars and their order follow by
// themselves:
//
//   LaunchBuilder launch(group, context);
//   KernelBuilder kernel = launch.addKernel("contract", {6, 64});
//   BlockArgument x = kernel.getBuffer(BufferRef::operand(0));
//   Value m = kernel.getSize(dims[0] * dims[1]);   // constant or argument
//   ...
//   kernel.setGrid({rows, columns});
//   return launch.finish("linear_384x1536", flops);

#ifndef LATHE_KERNELS_KERNELBUILDER_H
#define LATHE_KERNELS_KERNELBUILDER_H

#include "lib/Kernels/Strategy.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace lathe::kernels {

/// Signless integers and floats as they are.
mlir::Type getTileElementType(mlir::Type graphType);

/// A tile within an iteration space: a base index per dim, and the dims along
/// which it extends. Other dims stay at their base.
struct TileWindow {
  struct Extent {
    unsigned dim;          ///< Of the iteration space.
    int64_t size;          ///< Elements, consecutive.
    bool inBounds = false; ///< Known to lie inside.
  };
  llvm::SmallVector<mlir::Value> bases; ///< One index per iteration dim.
  llvm::SmallVector<Extent, 2> extents; ///< In the tile's order of dims.

  llvm::SmallVector<int64_t> getTileShape() const;
};

class LaunchBuilder;

/// Builds one kernel. Cheap to copy: it refers to its LaunchBuilder.
class KernelBuilder {
public:
  /// Inserts into the body; after `setGrid` nothing may be added.
  mlir::ImplicitLocOpBuilder &getBuilder() { return *state->builder; }
  mlir::MLIRContext *getContext() { return state->builder->getContext(); }

  /// The argument for a buffer that is read, or one that is written (one
  /// kernel cannot do both). An operand asked for twice is one argument.
  mlir::BlockArgument getBuffer(const BufferRef &ref);
  mlir::BlockArgument getWrittenBuffer(const BufferRef &ref);

  /// A size or another scalar of the call: an `arith.constant` or an argument.
  mlir::Value getSize(mlir::AffineExpr size);
  /// The same as an argument, known or not: the end of a loop that is to stay
  /// one, whatever its trips.
  mlir::Value getArgument(mlir::AffineExpr size);
  mlir::Value getIndex(int64_t value);

  /// `buffer` seen over the dims of `view` in `dims`, in that order. Views are
  /// made once, at the top of the kernel.
  mlir::Value getView(mlir::BlockArgument buffer,
                      const graph::StridedView &view,
                      llvm::ArrayRef<unsigned> dims);

  /// Loads the window of `view` from `buffer`: dims that do not move the
  /// address are repeated. Signless element type of the buffer. A window
  /// without extents gives, and takes, a scalar.
  mlir::Value load(mlir::BlockArgument buffer, const graph::StridedView &view,
                   const TileWindow &window);
  void store(mlir::Value tile, mlir::BlockArgument buffer,
             const graph::StridedView &view, const TileWindow &window);

  /// The position of this program along grid dim `axis`.
  mlir::Value getProgramId(unsigned axis);

  /// Splits a program id into indices of `dims`, the last one fastest. Also
  /// the grid's size is the product of `dims`.
  llvm::SmallVector<mlir::Value>
  delinearize(mlir::Value id, llvm::ArrayRef<mlir::AffineExpr> dims);

  /// A tile of one value. `value` is a number of any kind that converts.
  mlir::Value getSplat(llvm::ArrayRef<int64_t> shape, mlir::Type elementType,
                       double value);

  /// Index arithmetic that folds constants.
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value mul(mlir::Value a, mlir::Value b);
  /// Of an index that is not negative.
  mlir::Value div(mlir::Value a, int64_t divisor);

  /// `for i in [begin, end) step step`, with values carried around. `body`
  /// gets the index and the carried values and returns their successors.
  llvm::SmallVector<mlir::Value>
  forEach(mlir::Value begin, mlir::Value end, mlir::Value step,
          llvm::ArrayRef<mlir::Value> carried,
          llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value,
                                                            mlir::ValueRange)>
              body);

  /// `forEach` over `[0, size)` in steps of `tile`. The last, partial step is
  /// peeled: `body` learns whether the tile is known to be inside. Emits only
  /// what a constant size needs.
  llvm::SmallVector<mlir::Value>
  forEachTile(mlir::AffineExpr size, int64_t tile,
              llvm::ArrayRef<mlir::Value> carried,
              llvm::function_ref<llvm::SmallVector<mlir::Value>(
                  mlir::Value base, mlir::ValueRange, bool inBounds)>
                  body);

  /// The grid; missing dims are 1. Ends the kernel.
  void setGrid(llvm::ArrayRef<mlir::AffineExpr> grid);
  /// When to prefer this kernel to later ones of the launch.
  void addCondition(mlir::AffineExpr expr, bool isEquality = false);

private:
  friend class LaunchBuilder;
  struct State {
    LaunchBuilder *launch;
    KernelChoice choice;
    std::unique_ptr<mlir::ImplicitLocOpBuilder> builder;
    mlir::Operation *lastTopOp = nullptr;
    llvm::DenseMap<int64_t, mlir::Value> constants;
    struct View {
      mlir::BlockArgument buffer;
      graph::StridedView shape;
      mlir::Value value;
    };
    std::vector<View> views;
    llvm::SmallVector<mlir::Value, 3> programIds{{}, {}, {}};
  };
  explicit KernelBuilder(State *state) : state(state) {}

  void storeScalar(mlir::Value scalar, mlir::BlockArgument buffer,
                   graph::StridedView view, TileWindow window);
  /// Runs `build` with the builder at the top of the kernel.
  mlir::Value buildAtTop(llvm::function_ref<mlir::Value()> build);
  mlir::OpFoldResult getFolded(mlir::AffineExpr expr);

  State *state;
};

/// Collects the kernels of one launch.
class LaunchBuilder {
public:
  LaunchBuilder(graph::GroupOp group, LoweringContext &context);
  /// Erases kernels that `finish` did not hand over.
  ~LaunchBuilder();

  graph::GroupOp getGroup() const { return group; }
  LoweringContext &getContext() { return context; }
  llvm::ArrayRef<mlir::AffineExpr> getDims(mlir::Value value) const {
    return context.dimsOf(value);
  }

  /// Temporaries, before a kernel uses them.
  void setTemporaries(llvm::ArrayRef<Temporary> all) { temporaries = all; }

  KernelBuilder addKernel(tile::ScheduleAttr schedule);
  KernelBuilder addKernel(llvm::StringRef strategy,
                          llvm::ArrayRef<int64_t> tile);

  /// Adds a kernel for each of `schedules` that is to be built (Schedules.h),
  /// the cost model's choice being the first one; `build` completes the kernel
  /// for schedules[index]. `workload` says what they compute and for which
  /// sizes: "linear_384x1536_gelu, rows".
  llvm::LogicalResult
  addKernels(llvm::StringRef workload,
             llvm::ArrayRef<tile::ScheduleAttr> schedules,
             llvm::function_ref<llvm::LogicalResult(KernelBuilder &kernel,
                                                    unsigned index)>
                 build);
  /// The same for schedules that differ in their tiles alone.
  llvm::LogicalResult
  addKernels(llvm::StringRef strategy, llvm::StringRef workload,
             llvm::ArrayRef<llvm::SmallVector<int64_t, 3>> tiles,
             llvm::function_ref<llvm::LogicalResult(KernelBuilder &kernel,
                                                    unsigned index)>
                 build);

  /// Completes the signatures, names the kernels (`name`, then `name_2` for a
  /// different kernel of that name) and exchanges them for equal old ones.
  LaunchSpec finish(llvm::StringRef name, mlir::AffineExpr flops);

private:
  friend class KernelBuilder;
  mlir::Type getElementType(const BufferRef &ref) const;
  /// The position of `ref` in `refs`, appending it, with a new argument at
  /// `offset` + that position in every kernel.
  unsigned getPosition(llvm::SmallVectorImpl<BufferRef> &refs, unsigned offset,
                       const BufferRef &ref);
  unsigned getScalarPosition(mlir::AffineExpr expr);
  void eraseUnusedReads();
  void complete(tile::KernelOp kernel);

  graph::GroupOp group;
  LoweringContext &context;
  llvm::ArrayRef<Temporary> temporaries;
  std::vector<std::unique_ptr<KernelBuilder::State>> kernels;
  llvm::SmallVector<BufferRef> reads, writes;
  llvm::SmallVector<mlir::AffineExpr> scalars;
};

} // namespace lathe::kernels

#endif // LATHE_KERNELS_KERNELBUILDER_H
