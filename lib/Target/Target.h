// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a code generation target is to the rest of the compiler: a name, levels
// with their capabilities, and a function from tile kernels to bytes. Nothing
// outside lib/Target/<X> asks which target it talks to.

#ifndef LATHE_LIB_TARGET_TARGET_H
#define LATHE_LIB_TARGET_TARGET_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace lathe {

/// What kernel strategies may know of a device when they choose schedules.
/// Sizes are bytes unless they say otherwise; 0 means that there is none.
struct TargetCapabilities {
  /// Width of a vector register, in bits (CPU targets).
  unsigned vectorBits = 0;
  /// How many of them an accumulator block and its operands share.
  unsigned vectorRegisters = 0;
  /// u8 x s8 dot products of four, accumulated in i32 (VNNI).
  bool int8Dot = false;
  /// bf16 dot products of two, accumulated in f32.
  bool bf16Dot = false;
  /// A matrix unit on bf16 and on u8 x s8 (AMX): 16 rows by 64 bytes of k, by
  /// 16 columns. Where programs have threads: on f16 and bf16, with f32 sums.
  bool matrixUnit = false;
  /// Rows of sums that one instruction of it gives (targets with threads).
  unsigned unitRows = 0;
  /// First-level data cache and second-level cache of one core.
  uint64_t l1Bytes = 0;
  uint64_t l2Bytes = 0;
  /// The most scratch that one program may need: tiles that are carried or
  /// used as operands, all live ones together.
  uint64_t scratchBytes = 0;
  /// The most threads of a program; 0: a program is one thread of a host, and
  /// the vector register is its own. Else it is what 32 threads read at once,
  /// and `scratchBytes` is memory that a program's threads share.
  unsigned threads = 0;
  /// Processors that run programs beside each other, of a common device.
  unsigned processors = 1;
  /// The most memory that a program's threads may share.
  uint64_t sharedBytes = 0;
};

/// One generation of devices that code is compiled for. A bundle holds one
/// variant for each level asked for; the runtime takes the last one whose
/// features the machine has.
struct TargetLevel {
  /// "x86-64-v3".
  std::string name;
  /// What a machine needs, in the spelling of LLVM and of the runtime.
  std::vector<std::string> features;
  TargetCapabilities capabilities;
};

/// A number that is known when a kernel is launched: `factor`, times a scalar
/// of the kernel (0 is the first one after the buffers) if it names one.
struct LaunchValue {
  int64_t factor = 0;
  std::optional<unsigned> scalar;
};

/// A view of a buffer that a device's copy engine fetches boxes from (a tensor
/// map of CUDA): what is outside of the sizes reads as zero. Lists begin with
/// the dim that is contiguous in memory.
struct TensorMap {
  /// Which of the kernel's buffers, and the type of its elements.
  unsigned buffer = 0;
  mlir::Type element;
  /// Where the view begins in the buffer, in elements.
  LaunchValue offset;
  /// Rank 1 to 5; strides, in elements, of all dims but the first, which has 1.
  llvm::SmallVector<LaunchValue> sizes, strides;
  /// Elements that one copy takes, at most 256 in each dim.
  llvm::SmallVector<unsigned> box;
  /// The period of the permutation of 16-byte units in shared memory, in bytes:
  /// 0 (none), 32, 64 or 128.
  unsigned swizzle = 0;
};

/// How programs come to their positions in the grid.
enum class LaunchGrid {
  /// From the device's ids: grids are as large as the device lets them be.
  Plain,
  /// The kernel is given the true grid, and takes one that is laid out along x.
  Given,
  /// So it is, and few programs, one for each place there is on the device, do
  /// the work of all.
  Persistent,
};

/// What a launch of a kernel gives each of its programs. Zeros on a device
/// whose programs have no threads.
struct KernelNeeds {
  unsigned threads = 0;
  unsigned sharedBytes = 0;
  LaunchGrid grid = LaunchGrid::Plain;
  /// So many programs in a row in x run at once and share memory. More than one
  /// only where the true grid is given: there may be programs beyond it.
  unsigned cluster = 1;
  /// It waits by itself for the kernels before it, and so may be started while
  /// they end.
  bool overlaps = false;
  llvm::SmallVector<TensorMap, 0> maps;
};

/// What a target makes of a module of kernels.
struct TargetObject {
  /// The loadable object, whose symbols are the kernels' names.
  llvm::SmallVector<char> code;
  /// By a kernel's name; one that is not here needs nothing.
  llvm::StringMap<KernelNeeds> needs;
};

/// Choices that change the generated code.
struct TargetOptions {
  /// 0 to 3, for the back end's own optimizer.
  unsigned optimizationLevel = 3;
  /// Folders of the vendor's tools, before those where a target looks itself.
  std::vector<std::string> toolkits;
};

/// A back end. Immutable; any number of threads may call it, each with an
/// MLIRContext of its own.
class Target {
public:
  virtual ~Target();

  /// The name on the command line: "x86".
  virtual llvm::StringRef getName() const = 0;

  /// From the least demanding level to the most demanding one.
  virtual llvm::ArrayRef<TargetLevel> getLevels() const = 0;

  /// The level called `name`, or one that names those there are.
  llvm::Expected<const TargetLevel &> getLevel(llvm::StringRef name) const;

  /// The best level that this machine can run; an error if it can run none.
  virtual llvm::Expected<const TargetLevel &> getNativeLevel() const = 0;

  /// Adds every dialect that `compile` creates ops of. Call it before the
  /// context of a module that goes to `compile` is made.
  virtual void registerDialects(mlir::DialectRegistry &registry) const = 0;

  /// Whether `compile` makes better code of the `tile.kernel` ops of `module`
  /// for `level` than for the less demanding `lower`. Where it does not, a
  /// bundle does with `lower`.
  virtual bool gainsOver(const TargetLevel &lower, const TargetLevel &level,
                         mlir::ModuleOp module) const = 0;

  /// Compiles the `tile.kernel` ops of `module` to one loadable object.
  /// `module` is consumed: what is left of it afterwards is unspecified. The
  /// same input gives the same bytes, in any process, on any thread. The
  /// error's text names the kernel and the op; details went to the context's
  /// diagnostics.
  virtual llvm::Expected<TargetObject>
  compile(mlir::ModuleOp module, const TargetLevel &level,
          const TargetOptions &options) const = 0;
};

/// The targets of one process, by name. Fill it before threads start.
class TargetRegistry {
public:
  /// Takes `target`; its name must be new.
  void add(std::unique_ptr<Target> target);

  /// Null when there is none.
  const Target *lookup(llvm::StringRef name) const;

  /// In the order of registration.
  llvm::ArrayRef<std::unique_ptr<Target>> getTargets() const { return targets; }

private:
  std::vector<std::unique_ptr<Target>> targets;
};

/// lib/Target/X86: registers the target "x86".
void registerX86Target(TargetRegistry &registry);
/// lib/Target/CUDA: registers the target "cuda".
void registerCUDATarget(TargetRegistry &registry);

} // namespace lathe

#endif // LATHE_LIB_TARGET_TARGET_H
