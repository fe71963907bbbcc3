// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The instructions of compute capability 9.0 (Hopper) that kernels at its speed
// are made of: barriers in shared memory (mbarrier), copies of boxes of tensors
// (TMA), products of warpgroups (wgmma), and what orders them. One function
// emits one instruction, or the few that always go together; `nvvm` ops where
// MLIR has them, else inline PTX. What to do with them is the skeletons'
// affair (HopperProduct.h).
//
// Three things may go wrong without a wrong line of PTX, so that functions here
// see to them:
//
//  - Registers of a product in flight must not be touched: `wait` passes the
//    sums through itself, so that nothing reads them above it, and keeps alive
//    what products read from registers.
//  - ptxas serializes products whose registers are written between their fence
//    and their commit (its notes C7510 to C7519). Tests look for the notes.
//  - Writes of shared memory by threads are seen by copies and products only
//    behind `fenceAsync`.
//
// Numbers are `i32`, pointers to shared memory `!llvm.ptr<3>`.

#ifndef LATHE_LIB_TARGET_CUDA_HOPPER_H
#define LATHE_LIB_TARGET_CUDA_HOPPER_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace lathe::cuda {

/// Threads of a warpgroup, and its warps.
constexpr int64_t kWarpgroupSize = 128, kWarpgroupWarps = 4;
/// Rows of one product of a warpgroup; its k for elements of 16 bits, and in
/// bytes for any.
constexpr int64_t kWgmmaRows = 64, kWgmmaDepth = 16, kWgmmaBytes = 32;
/// Bytes of a line of a swizzled box, and the alignment of such a box: eight
/// lines, within which pieces of 16 bytes change places.
constexpr int64_t kSwizzleBytes = 128, kSwizzleAlignment = 1024;
/// Bytes of a barrier in shared memory.
constexpr int64_t kBarrierBytes = 8;

/// A matrix in shared memory as TMA leaves it: boxes of `lines` lines of 128
/// bytes, 64 elements of 16 bits, swizzled; further elements of a line are in
/// the next box. If lines run along k (`isKMajor`), they are the rows of A or
/// the columns of B; else they run along those and are steps of k, which
/// products take of elements of 16 bits alone.
struct SharedMatrix {
  bool isKMajor = true;
  int64_t lines = 0;
  int64_t elementBytes = 2;

  static constexpr int64_t kLineElements = 64;

  int64_t getBoxBytes() const { return lines * kSwizzleBytes; }
  /// Where the steps of k from `k` on of the rows from `row` on begin, in
  /// bytes; both multiples of what a product takes.
  int64_t getOffset(int64_t row, int64_t k) const;
};

/// What one product multiplies: [64, 16] with [16, columns] into f32; of floats
/// of 8 bits, 32 steps of k.
struct WgmmaShape {
  mlir::Type element;    ///< f16, bf16, f8E4M3FN or f8E5M2.
  int64_t columns = 0;   ///< A multiple of 8, at most 256.
  bool isAKMajor = true; ///< Of A in shared memory.
  bool isBKMajor = true;

  /// f32 registers of a thread that hold the sums.
  int64_t getSums() const { return columns / 2; }
};

/// A stage of a ring of buffers and the parity of its barriers' phase.
struct RingPosition {
  mlir::Value stage, parity;
};

/// Emits at the builder's insertion point.
class HopperEmitter {
public:
  explicit HopperEmitter(mlir::ImplicitLocOpBuilder &builder) : b(builder) {}

  //===-- Scalars ---------------------------------------------------------===//
  mlir::Value constant(int64_t value, unsigned bits = 32);
  /// `pointer` plus bytes.
  mlir::Value getAddress(mlir::Value pointer, int64_t bytes);
  mlir::Value getAddress(mlir::Value pointer, mlir::Value bytes);
  /// Where shared memory has it: a number.
  mlir::Value getNumber(mlir::Value pointer);
  mlir::Value add(mlir::Value x, mlir::Value y);
  mlir::Value mul(mlir::Value x, int64_t y);
  /// The number of the thread's warp, which the compiler knows to be uniform.
  mlir::Value getWarp(mlir::Value thread);

  //===-- Control ---------------------------------------------------------===//
  /// Runs `body` where `condition` holds, `other` elsewhere.
  void when(mlir::Value condition, llvm::function_ref<void()> body,
            llvm::function_ref<void()> other = nullptr);
  /// True in one thread of a warp whose threads are all here.
  mlir::Value elect();
  /// Meets the warp's threads, who are all here.
  void syncWarp();
  /// Takes registers from the block's pool, or gives them back; all warps of a
  /// warpgroup. The pool is what the launch gave: `count` of all warpgroups
  /// together must not exceed it, or the block waits for ever.
  void setRegisters(int64_t count, bool isMore);
  /// Barriers by number, 0 being that of the whole block: meet `threads`
  /// threads, or only tell them.
  void syncNamed(mlir::Value barrier, int64_t threads);
  void arriveNamed(mlir::Value barrier, int64_t threads);

  //===-- Barriers in shared memory ---------------------------------------===//
  /// A phase ends when `arrivals` have come, and all bytes that were expected.
  void initBarrier(mlir::Value barrier, int64_t arrivals);
  /// Makes initialized barriers visible to copies.
  void fenceBarrierInit();
  void arrive(mlir::Value barrier);
  /// Arrives at the barrier of another block of the cluster. Without release
  /// at cluster scope, a fence that costs a third of a kernel's time: the
  /// arriving thread has read, not written.
  void arriveRemote(mlir::Value barrier, mlir::Value block);
  /// Where another block of the cluster has what `pointer` is in this one: a
  /// number that only `storeAsync` takes.
  mlir::Value getRemote(mlir::Value pointer, mlir::Value block);
  /// Stores an f32 to another block, whose barrier counts its bytes. Both
  /// places as `getRemote` has them.
  void storeAsync(mlir::Value place, mlir::Value value, mlir::Value barrier);
  /// The block's number in its cluster.
  mlir::Value getClusterRank();
  /// Meets all threads of the cluster; what they did before is seen after it.
  /// Neither before all barriers exist nor after a block is gone may others
  /// arrive there.
  void syncCluster();
  /// Arrives, and promises copies of so many bytes.
  void arriveExpecting(mlir::Value barrier, int64_t bytes);
  /// Waits for the end of a phase of this parity.
  void waitBarrier(mlir::Value barrier, mlir::Value parity);
  /// The position after `position` in a ring of `stages`.
  RingPosition getNext(RingPosition position, int64_t stages);

  //===-- Copies ----------------------------------------------------------===//
  /// A box of a tensor, from `coordinates` on (fastest dim first), to shared
  /// memory; `barrier` counts its bytes. `blocks`, an i16, names the blocks of
  /// the cluster that get it, all at the same place.
  void loadBox(mlir::Value to, mlir::Value map, mlir::ValueRange coordinates,
               mlir::Value barrier, mlir::Value blocks = {});
  /// The other way, as part of the thread's current group of stores.
  void storeBox(mlir::Value map, mlir::Value from,
                mlir::ValueRange coordinates);
  void commitStores();
  /// Until at most `pending` of the thread's groups have not read their source
  /// yet (`isRead`), or are not written.
  void waitStores(int64_t pending, bool isRead);
  void prefetchMap(mlir::Value map);
  /// Makes the threads' writes of shared memory visible to copies and products.
  void fenceAsync();

  //===-- Products --------------------------------------------------------===//
  /// The descriptor of `matrix` at `address`, a number; offsets are added to it
  /// by `advance`.
  mlir::Value getDescriptor(mlir::Value address, const SharedMatrix &matrix);
  mlir::Value advance(mlir::Value descriptor, int64_t bytes);
  mlir::Value advance(mlir::Value descriptor, mlir::Value bytes);
  /// Before the first product, and before one that reads registers written
  /// since.
  void fenceProducts();
  /// The same; `words`, operands in registers, are computed before it: use what
  /// is returned.
  llvm::SmallVector<mlir::Value> fenceProducts(mlir::ValueRange words);
  /// Adds a product to `sums` (f32, as getWarpgroupSums in Layouts.h has
  /// them), or is their first one if there are none. `a` is a descriptor, or
  /// four i32 of two elements each: what the sums of 16 columns become. In
  /// flight until `wait`.
  llvm::SmallVector<mlir::Value> multiply(const WgmmaShape &shape,
                                          mlir::ValueRange a, mlir::Value b,
                                          mlir::ValueRange sums);
  void commitProducts();
  /// Until at most `pending` groups of products are in flight. `sums` pass
  /// through: use what is returned; `kept` are not changed before.
  llvm::SmallVector<mlir::Value> waitProducts(int64_t pending,
                                              mlir::ValueRange sums = {},
                                              mlir::ValueRange kept = {});

  //===-- Pairs of elements -----------------------------------------------===//
  /// Two f32 as f16 or bf16 in an i32, `low` in its low half.
  mlir::Value pack(mlir::Value low, mlir::Value high, mlir::Type element);
  /// Four matrices of 8x8 elements of 16 bits, each row where the lane's
  /// pointer says (lanes 8i to 8i+7 for matrix i), or each column.
  void storeMatrices(mlir::Value pointer, mlir::ValueRange words,
                     bool isTransposed = false);

private:
  llvm::SmallVector<mlir::Value> inlinePTX(llvm::StringRef text,
                                           llvm::StringRef constraints,
                                           mlir::ValueRange operands,
                                           llvm::ArrayRef<mlir::Type> results,
                                           bool hasSideEffects = true);

  mlir::ImplicitLocOpBuilder &b;
};

} // namespace lathe::cuda

#endif // LATHE_LIB_TARGET_CUDA_HOPPER_H
