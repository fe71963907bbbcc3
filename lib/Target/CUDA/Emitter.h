// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Emits one program of a tile kernel as the code of one of its threads.
//
// Every value of the body is uniform (a scalar, the same in all threads) or a
// tile. A tile op does nothing by itself: a tile is asked for *in a layout*,
// and the answer is a list of scalars, one for each register of a thread. What
// is elementwise, a load, a broadcast, a transposition is computed in whatever
// layout it is asked for. Sums, reductions and what loops carry are *anchored*:
// they live in registers in a layout of their own (`getNatural`), or at *home*
// in shared memory. Asking for an anchored tile in another layout moves it,
// within a thread if that does (LinearLayout::getRegisters), else through
// shared memory.
//
// Control flow is uniform, so that all threads meet at every barrier. Barriers
// are placed where a write of shared memory may follow a read, or a read a
// write, since the last one; at the borders of regions both may be pending.

#ifndef LATHE_LIB_TARGET_CUDA_EMITTER_H
#define LATHE_LIB_TARGET_CUDA_EMITTER_H

#include "dialects/Tile/IR/Tile.h"
#include "lib/Target/CUDA/CudaMachine.h"
#include "lib/Target/CUDA/Layouts.h"
#include "lib/Target/Coord.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include <functional>
#include <map>

namespace lathe::cuda {

/// Bytes of the widest access of memory. Buffers begin at multiples of it.
constexpr int64_t kAccessBytes = 16;

using gpu::ModuleSymbols;
using gpu::Registers;

/// A tile in shared memory: two dims at most change places, and rows may be
/// longer than the tile's.
struct Home {
  int64_t offset = 0; ///< In bytes.
  mlir::Type element; ///< As it lies in memory.
  llvm::SmallVector<int64_t> strides;
  /// Bytes that are added to the offset, if any: an index.
  mlir::Value base = {};
  /// Of a matrix whose rows are powers of two: chunk c of 16 bytes of row r
  /// lies where chunk c ^ (r >> rowShift & chunkMask) would. So eight rows that
  /// `ldmatrix` reads at once are in different banks.
  int64_t chunkMask = 0;
  unsigned rowShift = 0;

  /// The dim along which a matrix's rows lie.
  unsigned getInnerDim() const { return strides[0] == 1 ? 0 : 1; }
  /// Of one swizzled box, as copies leave it: a power of two of 16 bytes, at
  /// most 128, are a line along `lineDim`.
  static Home getBox(mlir::Type element, unsigned lineDim, int64_t lineBytes);
  /// Bytes from its beginning to an element.
  int64_t getOffset(llvm::ArrayRef<int64_t> position) const;
};

/// A view: where it starts, and its sizes and strides in elements.
struct View {
  mlir::Value pointer;
  mlir::Type element;
  llvm::SmallVector<Coord> sizes, strides;
  /// Powers of two that divide each of them, and the view's offset.
  llvm::SmallVector<int64_t> sizeDivisors, strideDivisors;
  int64_t offsetDivisor = kAccessBytes;
};

/// The threads that a program runs on: all of a block, or some of its warps,
/// beside others that do something else.
struct ThreadGroup {
  int64_t warps = 1;
  /// The thread's number in the group (i32), the number of the barrier at which
  /// the group meets, and where its shared memory begins. Values of the
  /// function's entry; null for a whole block.
  mlir::Value thread, barrier, shared;
  /// The most that may be used of it, for copies ahead.
  int64_t sharedLimit = 0;
};

/// What `mma.sync` multiplies at once: 16 rows by 8 columns over 32 bytes of k.
struct MatrixKind {
  mlir::NVVM::MMATypes a, b;
  int64_t perWord; ///< Elements of an operand in 4 bytes.
  bool isInteger;
  int64_t getDepth() const { return 8 * perWord; }
};

/// Copies of later steps' tiles while a step computes. See Pipeline.cpp.
struct Ring {
  llvm::SmallVector<tile::LoadOp> loads;
  /// What of the body their positions follow from, in order.
  llvm::SmallVector<mlir::Operation *> positions;
  llvm::SmallVector<Home> homes; ///< Of the first slot, per load.
  int64_t slotBytes = 0, stages = 0;
  mlir::Value upper, step;
};

class Emitter : CoordEmitter {
public:
  /// Emits something in place of a loop, and anchors its results.
  using LoopEmitter = std::function<mlir::LogicalResult(mlir::scf::ForOp)>;

  /// `builder` stands at the function's entry, before what is emitted.
  Emitter(tile::KernelOp kernel, const ThreadGroup &group,
          mlir::ImplicitLocOpBuilder &builder);

  /// What the body's scalars are: arguments and program ids.
  mlir::IRMapping &getMapping() { return mapping; }

  /// Has `emit` emit `loop`, which stands in no other loop or branch.
  void replaceLoop(mlir::scf::ForOp loop, LoopEmitter emit);

  /// Has `emit` emit a store.
  void replaceStore(tile::StoreOp store,
                    std::function<mlir::LogicalResult()> emit);

  /// Leaves a reduction as each lane has it of its own elements, for one who
  /// combines them later, by `reduceLanes`. It must not cross warps.
  void keepPartial(tile::ReduceOp op) { partial.insert(op); }
  void reduceLanes(tile::Combine kind, const LinearLayout &layout, int64_t axis,
                   Registers &values);

  /// Emits the program at the builder. `isRepeated` where the group has run
  /// another one before, whose shared memory may still be read. Fails with an
  /// error on an op that has no lowering.
  mlir::LogicalResult emitProgram(bool isRepeated = false);

  /// The body of a replaced loop at the place `place`, but for its products;
  /// then `finish`, while what the body computed is there. `onlyScalars`: what
  /// needs no tiles.
  mlir::LogicalResult
  emitBody(mlir::scf::ForOp loop, mlir::Value place, bool onlyScalars,
           llvm::function_ref<mlir::LogicalResult()> finish);

  /// Only the ops before `end` in its block.
  mlir::LogicalResult emitBefore(mlir::Operation *end);

  /// Says where the elements of a tile are.
  void anchor(mlir::Value tile, LinearLayout layout, Registers registers);
  /// Says that another one has brought a tile home; who reads it sees to it
  /// that it is there.
  void anchorHome(mlir::Value tile, const Home &home);
  /// The same; the thread reads its elements now, for `layout`.
  void anchorRead(mlir::Value tile, const Home &home,
                  const LinearLayout &layout);
  /// The tile in `layout`.
  Registers get(mlir::Value tile, const LinearLayout &layout);
  /// A tile of f16 or bf16 in pairs of registers, neighbors along `kDim`, as
  /// the words of a product's operand. Homes that it is computed from are
  /// there: no barrier. See Pairs.cpp.
  Registers getPairs(mlir::Value tile, unsigned kDim,
                     const LinearLayout &layout);
  /// A scalar of the kernel.
  mlir::Value getScalar(mlir::Value scalar) {
    return indexValue(coordOf(scalar));
  }

  int64_t getSharedBytes() const { return sharedBytes; }

private:
  //===-- Control (Emitter.cpp) -------------------------------------------===//
  mlir::LogicalResult emitBlock(mlir::Block &block);
  mlir::LogicalResult emitOp(mlir::Operation *op);
  mlir::LogicalResult emitFor(mlir::scf::ForOp op);
  mlir::LogicalResult emitIf(mlir::scf::IfOp op);
  mlir::LogicalResult emitScalarOp(mlir::Operation *op);
  mlir::Value divideWords(mlir::Operation *op);
  void flatten(mlir::ValueRange values, llvm::ArrayRef<LinearLayout> layouts,
               llvm::SmallVectorImpl<mlir::Value> &flat);
  void unflatten(mlir::ValueRange values, llvm::ArrayRef<LinearLayout> layouts,
                 mlir::ValueRange flat);
  void bringHome(mlir::scf::ForOp op);

  //===-- Pipelines (Pipeline.cpp) ----------------------------------------===//
  std::optional<Ring> createRing(mlir::scf::ForOp op);
  llvm::SmallVector<mlir::Value> startRing(mlir::scf::ForOp op,
                                           const Ring &ring, mlir::Value lower);
  llvm::SmallVector<mlir::Value> advanceRing(mlir::scf::ForOp op,
                                             const Ring &ring,
                                             mlir::Value induction,
                                             mlir::ValueRange slots);
  void copyStep(mlir::scf::ForOp op, const Ring &ring, mlir::Value induction,
                mlir::Value slot);
  void copyTile(tile::LoadOp op, const Home &home);

  //===-- Layouts (Natural.cpp) -------------------------------------------===//
  /// The layout in which a tile comes about; nothing where any will do.
  std::optional<LinearLayout> getNatural(mlir::Value tile);
  std::optional<LinearLayout> computeNatural(mlir::Value tile);
  /// Its natural layout, or one whose accesses of memory are wide.
  LinearLayout getLayout(mlir::Value tile);
  void collectAccesses();
  LinearLayout getOrdered(llvm::ArrayRef<int64_t> shape,
                          llvm::ArrayRef<unsigned> order);
  LinearLayout getCoalesced(mlir::RankedTensorType type, tile::ViewOp view,
                            llvm::ArrayRef<int64_t> dims);

  //===-- Values (Values.cpp) ---------------------------------------------===//
  Registers compute(mlir::Value tile, const LinearLayout &layout);
  Registers computeElementwise(mlir::Operation *op, const LinearLayout &layout);
  /// Of an i32 tile, per register: what a thread's registers share, and a
  /// number that is known. Sums are pulled apart where they cannot wrap.
  llvm::SmallVector<std::pair<mlir::Value, int64_t>>
  getPlaces(mlir::Value tile, const LinearLayout &layout);
  /// A comparison of places with a number; nothing if it is none.
  Registers comparePlaces(mlir::arith::CmpIOp op, const LinearLayout &layout);
  Registers computeConstant(mlir::arith::ConstantOp op,
                            const LinearLayout &layout);
  mlir::Value createScalar(mlir::Operation *op, mlir::ValueRange operands,
                           mlir::Type element);
  bool isAnchored(mlir::Value tile) const { return anchors.contains(tile); }
  /// What thread `t`'s place adds to the position along `dim`; null if nothing.
  mlir::Value getThreadPosition(const LinearLayout &layout, unsigned dim);
  /// Whether this is the thread that speaks for those that repeat its elements;
  /// null if there are no repetitions.
  mlir::Value isSpeaker(const LinearLayout &layout);

  //===-- Pairs of 16-bit floats (Pairs.cpp)
  //-------------------------------===//
  struct PairContext;
  Registers getCodePairs(mlir::Value codes, const PairContext &context);
  std::optional<Registers> getWholePairs(mlir::Value tile, double bias,
                                         const PairContext &context);
  std::optional<Registers> getExactPairs(mlir::Value tile,
                                         const PairContext &context);
  Registers multiplyPairs(const Registers &left, mlir::Value right,
                          const PairContext &context);
  Registers computePairs(mlir::Value tile, const PairContext &context);

  //===-- Memory (Memory.cpp) ---------------------------------------------===//
  struct Access;
  void emitView(tile::ViewOp op);
  /// `offset` elements (an index) on.
  mlir::Value offsetPointer(mlir::Value pointer, mlir::Type element,
                            mlir::Value offset);
  void emitLoadScalar(tile::LoadScalarOp op);
  mlir::LogicalResult emitStore(tile::StoreOp op);
  Registers load(tile::LoadOp op, const LinearLayout &layout);
  Access getLoadAccess(tile::LoadOp op);
  void gather(Access &access, tile::LoadOp op, const LinearLayout &layout);
  mlir::Value getBytesInside(Access &access, unsigned along, int64_t reg);
  void copyAll(Access &access, const Home &home);
  mlir::Value getUniformBounds(const Access &access, bool isNamed);
  mlir::Value getAlignment(const Access &access);
  mlir::Value chooseForm(const Access &access);
  mlir::Value getPredicate(Access &access, int64_t reg, bool isInside);
  mlir::Value getAddress(const Access &access, int64_t reg);
  Registers loadAll(Access &access, bool isInside);
  void storeAll(Access &access, const Registers &values, bool isInside);
  void prepare(Access &access, const LinearLayout &layout);

  //===-- Shared memory (Shared.cpp) --------------------------------------===//
  struct Mark {
    size_t homes, matrixHomes;
    int64_t top;
  };
  int64_t allocate(int64_t bytes);
  Home createHome(mlir::RankedTensorType type, llvm::ArrayRef<unsigned> order);
  void beforeWrite();
  void beforeRead();
  void barrier();
  /// Writes a tile of `shape` from `start` on; what lies beyond its shape, too,
  /// unless `isExact`.
  void writeHome(const Home &home, const LinearLayout &layout,
                 llvm::ArrayRef<int64_t> start, const Registers &values,
                 llvm::ArrayRef<int64_t> shape, bool isExact = false);
  /// Elements of `home`, as memory has them, at `layout`'s positions, plus `at`
  /// bytes where it is given.
  Registers readHome(const Home &home, const LinearLayout &layout,
                     mlir::Value at = {});
  /// The tile at home, its dims in `order` from the outermost on.
  Home getHome(mlir::Value tile, llvm::ArrayRef<unsigned> order);
  /// A home whose rows `ldmatrix` reads: powers of two of 16 bytes at least. It
  /// has at least `depth` of dim `kDim`.
  Home createMatrixHome(mlir::RankedTensorType type,
                        llvm::ArrayRef<unsigned> order, unsigned kDim,
                        int64_t depth);
  /// The operand of a product so, zeros beyond its end up to a multiple of what
  /// an instruction multiplies.
  Home getMatrixHome(mlir::Value tile, unsigned kDim, const MatrixKind &kind);
  Mark getMark() const;
  /// Forgets the homes that were made since, whose memory is free again.
  void release(const Mark &mark);
  mlir::Value getSharedPointer(mlir::Value bytes, int64_t offset);
  /// What the thread's place adds to a home's beginning; null if nothing.
  mlir::Value getHomeThread(const Home &home, const LinearLayout &layout);
  /// `offset` (Home::getOffset) bytes on from there.
  mlir::Value getHomePointer(const Home &home, mlir::Value thread,
                             int64_t offset);

  //===-- Ops that are anchors (Reduce.cpp, Multiply.cpp) -----------------===//
  mlir::LogicalResult emitReduce(tile::ReduceOp op);
  mlir::LogicalResult emitScan(tile::ScanOp op);
  mlir::LogicalResult emitConcat(tile::ConcatOp op);
  mlir::LogicalResult emitMma(tile::MmaOp op);
  LinearLayout getSums(tile::MmaOp op);
  mlir::LogicalResult emitFragments(tile::MmaOp op, const MatrixKind &kind);
  struct Operand;
  Registers multiplyFragments(tile::MmaOp op, const MatrixKind &kind,
                              Operand &a, Operand &c, Registers sums);
  Operand getOperand(tile::MmaOp op, unsigned dim, const MatrixKind &kind);
  bool isInRegisters(mlir::Value tile, const LinearLayout &layout);
  Registers packWords(mlir::Value tile, unsigned kDim,
                      const LinearLayout &layout, const MatrixKind &kind);
  mlir::Value packWord(mlir::ValueRange scalars);
  void readAhead(tile::MmaOp op, unsigned dim, const MatrixKind &kind);
  Registers readMatrices(const Operand &operand, int64_t first, int64_t count);
  mlir::Value combine(tile::Combine kind, mlir::Value a, mlir::Value b);
  Registers combineRegisters(tile::Combine kind, const Registers &values,
                             llvm::ArrayRef<int64_t> resultOf, int64_t count);
  mlir::Value shuffle(mlir::Value value, int64_t lanes);
  void neutralizeBeyond(tile::ReduceOp op, const LinearLayout &layout,
                        Registers &values);
  Registers multiplyAdd(tile::MmaOp op, const LinearLayout &layout,
                        const Home &a, const Home &b, mlir::Value k,
                        int64_t count, Registers sums);

  //===-- Scalars ---------------------------------------------------------===//
  mlir::Value toMemory(mlir::Value scalar);
  mlir::Value fromMemory(mlir::Value scalar, mlir::Type element);

  struct Scope {
    std::vector<std::tuple<mlir::Value, LinearLayout, Registers>> values;
    std::vector<std::tuple<mlir::Value, llvm::SmallVector<unsigned>, Home>>
        homes;
    std::vector<std::pair<mlir::Value, Home>> matrixHomes;
    /// Fragments that were read before a loop.
    std::vector<std::tuple<mlir::Value, LinearLayout, Registers>> words;
    int64_t top = 0;
  };
  struct RegionScope;

  tile::KernelOp kernel;
  CudaMachine machine;
  int64_t warps;
  mlir::Value threadId; ///< i32, in the group.
  mlir::Value shared;
  mlir::Value groupBarrier; ///< i32; null: the block's.
  int64_t sharedLimit;
  mlir::Operation *entryEnd; ///< What depends on the thread alone goes before.

  struct Anchor {
    LinearLayout layout;
    Registers registers;
    std::optional<Home> home;
  };
  llvm::DenseMap<mlir::Value, Anchor> anchors;
  /// What the kernel does with tiles of a shape: bytes of the elements that it
  /// loads or stores, the dims along which those are contiguous (bits), and the
  /// one along which it combines them.
  struct Accesses {
    int64_t narrowest = kAccessBytes, widest = 0;
    uint64_t loaded = 0, stored = 0;
    int64_t reduced = -1;
    int64_t getRun() const;
    /// The dim that is contiguous on the other side of the kernel, where what
    /// is loaded or stored along `dim` is transposed; -1 if it is not.
    int64_t getTransposed(unsigned dim) const;
  };
  std::map<std::vector<int64_t>, Accesses> accesses;
  llvm::DenseMap<mlir::Value, std::optional<LinearLayout>> naturals;
  llvm::DenseMap<mlir::Value, std::unique_ptr<View>> views;
  /// Buffers that the program stores twice, or loads and stores.
  llvm::DenseSet<mlir::Value> orderedBuffers;
  std::map<std::pair<std::string, unsigned>, mlir::Value> threadPositions;
  llvm::SmallVector<Scope> scopes;
  llvm::DenseMap<mlir::Operation *, LoopEmitter> replaced;
  llvm::DenseSet<mlir::Operation *> partial;
  llvm::DenseMap<mlir::Operation *, std::function<mlir::LogicalResult()>>
      replacedStores;
  /// Whether sums are reduced along rows, or multiplied again.
  bool hasRowWork = false;
  bool pendingReads = false, pendingWrites = false;
  int64_t sharedBytes = 0;
};

/// Opens a region: what is remembered in it, and its homes, end with it.
struct Emitter::RegionScope {
  explicit RegionScope(Emitter &emitter);
  ~RegionScope();
  Emitter &emitter;
};

/// How elements of a type lie in memory: truth values as bytes.
mlir::Type getMemoryType(mlir::Type element);
int64_t getMemoryBytes(mlir::Type element);

mlir::RankedTensorType typeOf(mlir::Value tile);

/// How tensor cores multiply these operands, if they do.
std::optional<MatrixKind> getMatrixKind(tile::MmaOp op);

/// Whether an op is computed element by element from tiles of its shape.
bool isElementwise(mlir::Operation *op);

/// Whether the emitter computes an op where it is asked for, in any thread.
bool isAnywhere(mlir::Operation &op);

/// All dims of a tile but one.
llvm::SmallVector<int64_t> getOtherDims(unsigned rank, int64_t axis);

/// Dims from the outermost on, as they are.
llvm::SmallVector<unsigned> getIdentityOrder(unsigned rank);

} // namespace lathe::cuda

#endif // LATHE_LIB_TARGET_CUDA_EMITTER_H
