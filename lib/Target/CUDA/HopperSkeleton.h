// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the skeletons of products on Hopper (HopperProduct.h, HopperFlat.h) have
// in common: the loop that they take, the function that they make of a kernel,
// and how many stages fit beside what the rest of the kernel keeps.

#ifndef LATHE_LIB_TARGET_CUDA_HOPPERSKELETON_H
#define LATHE_LIB_TARGET_CUDA_HOPPERSKELETON_H

#include "lib/Target/CUDA/Emitter.h"
#include "lib/Target/CUDA/Hopper.h"
#include "lib/Target/CUDA/Launch.h"
#include "lib/Target/CUDA/Levels.h"

namespace lathe::cuda {

/// Whether a loop over k stands in its kernel's outermost block, carries sums
/// from zero on and does nothing but multiply, and whether tiles come about
/// before it that the epilogue could not compute as well. If not, why.
bool isLoopOfProducts(mlir::scf::ForOp loop, std::string &reason);

/// A kernel that is being lowered. Numbers are `i32`.
class HopperSkeleton {
public:
  mlir::LLVM::LLVMFuncOp getFunction() { return function; }

protected:
  HopperSkeleton(tile::KernelOp kernel, const Level &level)
      : level(level), kernel(kernel), b(kernel.getLoc(), kernel.getContext()),
        h(b) {}

  using Values = llvm::SmallVector<mlir::Value>;
  /// Of a loop: takes its number and what is carried, gives what goes on.
  using LoopBody = llvm::function_ref<Values(mlir::Value, mlir::ValueRange)>;

  mlir::scf::ForOp emitLoop(mlir::Value from, mlir::Value to,
                            llvm::ArrayRef<mlir::Value> carried, LoopBody body,
                            int64_t step = 1);
  void mapArguments(Emitter &emitter);
  /// Says which program is emitted.
  void mapPosition(Emitter &emitter, mlir::Value x, mlir::Value y,
                   mlir::Value z);

  mlir::Value div(mlir::Value x, mlir::Value y);
  mlir::Value rem(mlir::Value x, mlir::Value y);
  mlir::Value mul(mlir::Value x, mlir::Value y);
  mlir::Value sub(mlir::Value x, mlir::Value y);
  mlir::Value isEqual(mlir::Value x, int64_t y);
  mlir::Value truncate(mlir::Value wide);
  mlir::Value toIndex(mlir::Value number);

  const Level &level;
  tile::KernelOp kernel;
  mlir::ImplicitLocOpBuilder b;
  HopperEmitter h;
  mlir::LLVM::LLVMFuncOp function;

  // Values of the entry.
  Values arguments;
  mlir::Value thread, warp, shared; ///< Of the block.
};

/// Replaces the kernel of `form` by the function that `Lowering(form, level)`
/// makes of it, with fewer stages than the form's if its epilogue keeps tiles
/// in shared memory, which is known only then. False, with the reason, if less
/// than `leastStages` fit: the kernel is as it was. Fails with an error on an
/// op that has no lowering.
template <typename Lowering, typename Form>
mlir::FailureOr<bool> lowerSkeleton(Form form, int64_t leastStages,
                                    const Level &level, std::string &reason) {
  tile::KernelOp kernel = form.kernel;
  while (true) {
    Lowering lowering(form, level);
    mlir::FailureOr<int64_t> bytes = lowering.lower();
    if (failed(bytes))
      return mlir::failure();
    int64_t beyond = *bytes - level.getSharedBytes();
    if (beyond <= 0) {
      lowering.getFunction()->setAttr(
          kSharedBytesAttr, mlir::Builder(kernel).getI64IntegerAttr(*bytes));
      kernel.erase();
      return true;
    }
    lowering.getFunction().erase();
    form.stages -= llvm::divideCeil(beyond, form.getStageBytes());
    if (form.stages < leastStages) {
      reason = "what it keeps of tiles leaves no room for its stages";
      return false;
    }
  }
}

} // namespace lathe::cuda

#endif // LATHE_LIB_TARGET_CUDA_HOPPERSKELETON_H
