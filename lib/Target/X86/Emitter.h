// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Emits the body of one program of a tile kernel as 1-D vector code.
//
// A tile op does nothing by itself. Most values stay *deferred*: their vectors
// are computed where an op that needs memory or registers (a store, a
// reduction, a multiply, the end of a loop) asks for one, position by
// position, so that chains of elementwise ops fuse into that op's loop. Tiles
// that loops carry, that multiplies make, or that several ops would otherwise
// compute again live in *registers* (a list of vectors, row by row) when they
// are few enough, else in *scratch* on the stack.
//
// Every vector has `lanes` elements, whatever its element type. At a
// `Position` the lanes run along one dim of the tile, or along none: then all
// lanes hold the same element. Lanes beyond the tile's extent hold anything.

#ifndef LATHE_LIB_TARGET_X86_EMITTER_H
#define LATHE_LIB_TARGET_X86_EMITTER_H

#include "dialects/Tile/IR/Tile.h"
#include "lib/Target/Coord.h"
#include "lib/Target/X86/Bounds.h"
#include "lib/Target/X86/DimClasses.h"
#include "lib/Target/X86/TileLoops.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <map>
#include <memory>
#include <tuple>

namespace lathe::x86 {

/// What the lowering asks of a level.
struct VectorUnit {
  int64_t lanes = 16;     ///< 32-bit elements in a register.
  int64_t registers = 32; ///< Vector registers.
  bool int8Dot = false;   ///< vpdpbusd.
  bool bf16Dot = false;   ///< vdpbf16ps, and conversions to bf16.
  bool tiles = false;     ///< AMX, on bytes and on bf16.
  int64_t scratchBytes = 1 << 19;
  /// Vectors that an accumulator may take: the others hold operands.
  int64_t accumulators() const { return registers == 32 ? 28 : 12; }
};

/// Where in a tile a vector lies: its first element, and the dim along which
/// its lanes run (-1: none).
struct Position {
  llvm::SmallVector<Coord, 3> at;
  int lane = -1;
};

/// Where a tile's elements are.
struct Storage {
  enum Kind { Deferred, Registers, Scratch, Pairs } kind = Deferred;
  /// Row-major; the last dim is cut into vectors.
  llvm::SmallVector<mlir::Value> registers;
  /// Row-major; rows are padded to whole vectors. Of pairs, the elements of two
  /// rows lie beside each other in each column: what AMX multiplies with.
  mlir::Value memory;
};

/// A view: where it starts, and its sizes and strides in elements.
struct ViewInfo {
  mlir::Value pointer;
  mlir::Type element;
  llvm::SmallVector<Coord> sizes, strides;
};

/// One load or store while its elements are addressed.
struct Access {
  mlir::Operation *op = nullptr;
  mlir::Value tile; ///< Loaded or stored.
  const ViewInfo *view = nullptr;
  llvm::SmallVector<Coord> start; ///< Per view dim.
  llvm::ArrayRef<int64_t> dims;
  mlir::Value gather;
  int64_t gatherDim = -1;
};

/// Restricts a copy of the body to some positions of cut classes.
struct Cut {
  int64_t extent; ///< How many positions.
  Coord start;    ///< The first one.
};

/// Whether the op's result can be computed at any position at any time.
bool isDeferrable(mlir::Operation *op);

/// Whether all of the tile's elements are a constant zero.
bool isZeroTile(mlir::Value tile);

/// Whether some op of the kernel stores to the buffer that `load` reads.
bool isStoredTo(tile::LoadOp load, tile::KernelOp kernel);

/// Whether a multiply reads `tile` as its left or right operand.
bool feedsMma(mlir::Value tile);

class Emitter : CoordEmitter {
public:
  /// `builder` stands where programs are to be emitted; scratch goes to the
  /// start of `entry`. Both outlive the emitter.
  Emitter(tile::KernelOp kernel, const VectorUnit &unit,
          const DimClasses &classes, const Bounds &bounds,
          const TileLoops &tileLoops, mlir::ImplicitLocOpBuilder &builder,
          mlir::Block *entry);

  /// What the body's scalars are: arguments and program ids.
  mlir::IRMapping &getMapping() { return mapping; }

  /// Programs along the first axis follow each other: where this one is among
  /// how many.
  struct Sweep {
    mlir::Value position, count;
  };
  void setSweep(Sweep its) { sweep = its; }

  /// Emits one program, choosing at run time between copies of the body. Fails
  /// with an error on an op that has no lowering.
  mlir::LogicalResult emitProgram();

  /// What the emitted code keeps on the stack.
  int64_t getScratchBytes() const { return scratchBytes; }

private:
  //===-- Control (Emitter.cpp, Versions.cpp, Loops.cpp) ------------------===//
  mlir::LogicalResult emitBlock(mlir::Block &block);
  mlir::LogicalResult emitOp(mlir::Operation *op);
  mlir::LogicalResult emitScalarOp(mlir::Operation *op);
  mlir::LogicalResult emitView(tile::ViewOp op);
  mlir::LogicalResult emitLoadScalar(tile::LoadScalarOp op);
  mlir::LogicalResult emitStore(tile::StoreOp op);
  mlir::LogicalResult emitReduce(tile::ReduceOp op);
  mlir::LogicalResult emitScan(tile::ScanOp op);
  mlir::LogicalResult emitMma(tile::MmaOp op);
  mlir::LogicalResult emitConcat(tile::ConcatOp op);
  mlir::Value concatMemory(tile::ConcatOp op);
  void writePart(mlir::OpOperand &part, mlir::Value memory);
  void placePart(mlir::Value tile);
  mlir::LogicalResult emitFor(mlir::scf::ForOp op);
  mlir::LogicalResult emitLoopCopy(mlir::scf::ForOp op, mlir::Value lower,
                                   mlir::Value upper,
                                   llvm::MutableArrayRef<Storage> carried,
                                   llvm::SmallVectorImpl<mlir::Value> &scalars);
  mlir::LogicalResult emitIf(mlir::scf::IfOp op);
  llvm::SmallVector<Storage>
  placeCarried(mlir::scf::ForOp op,
               llvm::SmallVectorImpl<mlir::Value> &scalars);
  mlir::Value peeledBound(mlir::scf::ForOp op,
                          llvm::ArrayRef<const BoundTest *> tests);
  void unpackCarried(mlir::ValueRange args, mlir::ValueRange values,
                     llvm::ArrayRef<Storage> carried);
  llvm::SmallVector<mlir::Value> yieldTiles(mlir::scf::ForOp op,
                                            llvm::ArrayRef<Storage> carried);
  llvm::SmallVector<mlir::Value> vectorsOf(mlir::Value tile);
  mlir::Value inPlaceMemory(tile::MmaOp op);
  bool reachesOnly(mlir::Value tile, mlir::OpOperand &end);

  mlir::Value scalarAhead(mlir::Value value);
  Coord coordAhead(mlir::OpFoldResult value);
  mlir::LogicalResult emitCopy();
  mlir::LogicalResult
  emitChoice(mlir::Value condition,
             llvm::function_ref<mlir::LogicalResult()> whenTrue,
             llvm::function_ref<mlir::LogicalResult()> whenFalse);
  mlir::LogicalResult emitLastRows(const RowEdge &edge, mlir::Value left);
  mlir::LogicalResult emitTested();
  mlir::LogicalResult emitBlocked();

  //===-- Values (Values.cpp) ---------------------------------------------===//
  /// The vector at `position`; `lanes` elements of the tile's element type.
  mlir::Value vec(mlir::Value tile, const Position &position);
  mlir::Value computeVec(mlir::Value tile, const Position &position);
  /// The element at `position`, where no vector is needed to know it.
  mlir::Value element(mlir::Value tile, const Position &position);
  mlir::Value elementwise(mlir::Operation *op, const Position &position);
  mlir::Value readRegisters(mlir::Value tile, const Storage &storage,
                            const Position &position);
  mlir::Value readScratch(mlir::Value tile, mlir::Value memory,
                          const Position &position);
  void writeScratch(mlir::Value tile, mlir::Value memory,
                    const Position &position, mlir::Value vector);
  void writeScratchElement(mlir::Value tile, mlir::Value memory,
                           const Position &position, mlir::Value vector);
  mlir::Value iota(tile::IotaOp op, const Position &position);
  mlir::Value constant(mlir::arith::ConstantOp op, const Position &position);
  mlir::Value harmlessDivisor(mlir::Value dividend, mlir::Value divisor);
  mlir::Value convertFloat(mlir::Value vector, mlir::Type element);
  /// 0, 1, 2, ...
  mlir::Value laneNumbers(mlir::Type element);

  //===-- Residency (Residency.cpp) ---------------------------------------===//
  /// Whether `tile` must be computed where it is defined.
  bool mustMaterialize(mlir::Value tile);
  /// Computes all of `tile` now, into registers or scratch.
  mlir::LogicalResult materialize(mlir::Value tile);
  /// Writes all of `tile` to `memory`, laid out as its scratch.
  void fill(mlir::Value tile, mlir::Value memory);
  /// Scratch that holds `tile`; copies it there if it is elsewhere.
  mlir::Value ensureScratch(mlir::Value tile);
  mlir::Value allocate(mlir::Value tile);
  mlir::Value allocateBytes(int64_t bytes);
  int64_t vectorCount(mlir::Value tile);
  /// Elements from a row of the tile's scratch to the next.
  int64_t scratchWidth(mlir::Value tile) const;
  bool fitsRegisters(mlir::Value tile);
  bool isStridedOperand(tile::LoadOp load);
  struct Walk;
  void walk(const Walk &box, unsigned depth, Position &position);
  /// Calls `body` for the first position of each vector of a tile of `shape`
  /// whose lanes run along `lane`; unrolled when they are few, else in loops.
  /// `endRegion` is called where a loop begins or ends, and at the end.
  void forEachInBox(llvm::ArrayRef<int64_t> shape, int lane,
                    llvm::function_ref<void(const Position &)> body,
                    llvm::function_ref<void()> endRegion = {});
  /// The same, in row-major order and always unrolled.
  void forEachUnrolled(llvm::ArrayRef<int64_t> shape, int lane,
                       llvm::function_ref<void(const Position &)> body);

  //===-- Memory (Memory.cpp) ---------------------------------------------===//
  mlir::Value loadVec(const Access &access, const Position &position,
                      mlir::Attribute pad);
  void storeVec(const Access &access, const Position &position,
                mlir::Value vector);
  Access accessOf(tile::LoadOp op);
  Access accessOf(tile::StoreOp op);
  mlir::Value address(const Access &access, llvm::ArrayRef<Coord> coords);
  llvm::SmallVector<Coord> coordsAt(const Access &access,
                                    const Position &position);
  /// The lanes that are inside, null for all of them. `row` is set to what
  /// must hold for any lane to be, null for nothing.
  mlir::Value laneMask(const Access &access, llvm::ArrayRef<Coord> coords,
                       const Position &position, mlir::Value &row);
  /// The lanes inside the tile's extent, null for all of them.
  mlir::Value extentMask(mlir::Value tile, const Position &position);
  /// Lane number times `stride`, as 64-bit integers.
  mlir::Value laneOffsets(Coord stride);
  /// The first `count` lanes.
  mlir::Value lanesBelow(Coord count);
  mlir::Value allLanes();
  mlir::Value lanePointers(mlir::Type element, mlir::Value pointer,
                           mlir::Value offsets);
  mlir::Value loadGathered(const Access &access, llvm::ArrayRef<Coord> coords,
                           const Position &position, mlir::Value mask,
                           mlir::Attribute pad);
  mlir::Value gather(mlir::Type element, mlir::Value pointer,
                     mlir::Value offsets, mlir::Value mask,
                     mlir::Attribute pad);
  mlir::Value rawLoad(mlir::Type element, mlir::Value pointer, bool uniform);
  void rawStore(mlir::Value vector, mlir::Value pointer);
  mlir::Value toMemoryForm(mlir::Value vector);
  mlir::Value fromMemoryForm(mlir::Value vector, mlir::Type element);
  Coord laneStride(const Access &access, const Position &position);
  mlir::Value padSlot(mlir::Type element, mlir::Attribute pad);
  /// Where what must not be written can go.
  mlir::Value sinkSlot();

  //===-- Squares (Transpose.cpp) -----------------------------------------===//
  llvm::SmallVector<mlir::Value>
  transposeSquare(llvm::SmallVector<mlir::Value> rows);
  llvm::SmallVector<std::array<mlir::Value, 2>>
  transposePairs(llvm::ArrayRef<mlir::Value> rows);
  void fillPairwise(mlir::Value tile, mlir::Value memory, int along);
  /// Writes `tile` as pairs of rows if these are neighbors in memory; else
  /// false.
  bool fillWords(mlir::Value tile, mlir::Value memory);
  mlir::Value wordsAlong(mlir::Value tile, Coord word, Coord column);
  void forEachSquare(llvm::ArrayRef<int64_t> shape, int rowDim, int columnDim,
                     int64_t columnLanes,
                     llvm::function_ref<void(Position, int64_t, int64_t)> body);
  /// As `fill` and as a store, if the tile and memory run along different
  /// dims; false if this is not such a case.
  bool fillTransposed(mlir::Value tile, mlir::Value memory);
  bool storeTransposed(tile::StoreOp op, const Access &access);

  //===-- Multiplication (Mma.cpp) ----------------------------------------===//
  struct Block;
  bool hasWordDots(tile::MmaOp op);
  mlir::Value loadWordOfRow(tile::MmaOp op, Coord row);
  /// A vector of words of an interleaved tile; lanes run along the columns.
  mlir::Value wordVec(mlir::Value tile, Coord column);
  /// The same for `count` vectors of a tile of four gathered rows of bytes.
  llvm::SmallVector<mlir::Value> gatheredWords(tile::LoadOp load, Coord column,
                                               int64_t count);
  llvm::SmallVector<mlir::Value>
  interleaveRows(llvm::ArrayRef<mlir::Value> rows);
  mlir::Value widenBytes(mlir::Value words, bool odd, bool isUnsigned);
  mlir::Value widenHalf(mlir::Value words, bool odd);
  mlir::Value callIntrinsic(llvm::StringRef name, mlir::Type result,
                            mlir::ValueRange operands);
  llvm::SmallVector<mlir::Value, 2>
  wordOperands(tile::MmaOp op, mlir::Value words, bool isUnsigned);
  /// Whether one instruction multiplies these signs of bytes.
  bool hasByteDot(tile::MmaOp op) const;
  mlir::Value wordDot(tile::MmaOp op, mlir::Value sum,
                      llvm::ArrayRef<mlir::Value> row,
                      llvm::ArrayRef<mlir::Value> column);
  void wordDotStep(tile::MmaOp op, const Block &block,
                   llvm::MutableArrayRef<mlir::Value> acc);
  mlir::Value multiplyAdd(tile::MmaOp op, mlir::Value a, mlir::Value b_,
                          mlir::Value acc);
  void mmaStep(tile::MmaOp op, const Block &block, Coord k,
               llvm::MutableArrayRef<mlir::Value> acc);
  llvm::SmallVector<mlir::Value> mmaBlock(tile::MmaOp op, const Block &block);
  /// Calls `body` with the start of each block of `count` and its size; starts
  /// are scaled.
  void forEachBlock(int64_t count, int64_t block, int64_t scale,
                    llvm::function_ref<void(Coord, int64_t)> body);

  //===-- Prefetches (Prefetch.cpp) ---------------------------------------===//
  /// At the end of the body of `loop`, asks for what later iterations multiply
  /// with, where that may come from memory as fast as it is used.
  void prefetchWords(mlir::scf::ForOp loop, bool isEarly);
  void prefetchWeights(mlir::scf::ForOp loop);
  void prefetchLoad(tile::LoadOp load, mlir::scf::ForOp loop, int64_t ahead);
  void prefetchNextPanel(tile::LoadOp load);
  void prefetchLeft(tile::MmaOp op, unsigned dim, Coord first, int64_t count);

  //===-- Multiplication on tile registers (Amx.cpp) ----------------------===//
  /// A tile that is summed over its rows, and rounded for multiplies.
  struct SummedPairs {
    tile::ReduceOp sum;
    mlir::arith::TruncFOp rounded;
  };
  /// What of a multiply is computed at once: its first row and column, and how
  /// many tiles it has each way.
  struct TileBlock {
    Coord row, column;
    int64_t rowTiles, columnTiles;
  };
  mlir::LogicalResult emitTileLoop(mlir::scf::ForOp op, TileLoop loop);
  llvm::SmallVector<mlir::Value>
  emitTileSteps(const TileLoop &loop, const TileBlock &block, mlir::Value lower,
                mlir::Value upper, mlir::ValueRange acc,
                llvm::function_ref<void(mlir::Value, int64_t)> beside = {});
  void emitTileBlock(const TileLoop &loop, const TileBlock &block,
                     mlir::Value lower, mlir::Value upper, mlir::Value memory,
                     bool isZero);
  void tileStep(const TileLoop &loop, const TileBlock &block,
                llvm::ArrayRef<mlir::Value> panels,
                llvm::MutableArrayRef<mlir::Value> acc,
                llvm::function_ref<void(int64_t)> beside);
  bool fitsTileDots(tile::MmaOp op) const;
  bool usesTileDots(tile::MmaOp op) const;
  bool isTileReadable(mlir::Value tile);
  bool isPairsOperand(mlir::Value tile) const;
  mlir::LogicalResult materializePairs(mlir::Value tile);
  mlir::Value pairOf(mlir::Value tile, const Position &position);
  mlir::Value packPair(mlir::Value lower, mlir::Value upper);
  mlir::Value packBits(mlir::Value lower, mlir::Value upper);
  bool findSummedPairs(mlir::Value tile, SummedPairs &found);
  void emitSummedPairs(mlir::Value tile, SummedPairs found);
  mlir::LogicalResult emitTileDots(tile::MmaOp op);
  /// Where a multiply's sums go, and what they start with: zeros, tiles that
  /// hold each row's start, or what is there.
  struct TileDotSums {
    mlir::Value memory;
    bool isZero = false;
    mlir::Value rows;
  };
  void emitTileDotBlock(tile::MmaOp op, const TileBlock &block,
                        const TileDotSums &sums,
                        llvm::ArrayRef<mlir::Value> right,
                        llvm::function_ref<void(int64_t)> beside = {});
  int64_t residentRows(tile::MmaOp op) const;
  llvm::SmallVector<mlir::Value> loadResident(tile::MmaOp op, Coord column,
                                              int64_t columnTiles);
  bool forEachResidentBlock(
      tile::MmaOp op,
      llvm::function_ref<void(const TileBlock &, llvm::ArrayRef<mlir::Value>)>
          body);
  mlir::Value loadLeftTile(tile::MmaOp op, Coord row, int64_t k);
  mlir::Value loadRightTile(tile::MmaOp op, int64_t k, Coord column);
  mlir::Value pairPlace(mlir::Value tile, mlir::Value memory, Coord line,
                        Coord column);
  llvm::SmallVector<mlir::Value>
  tilePlaces(tile::MmaOp op, const TileBlock &block, mlir::Value memory);
  llvm::SmallVector<mlir::Value>
  loadAccumulators(tile::MmaOp op, llvm::ArrayRef<mlir::Value> places,
                   bool isZero);
  mlir::Value startOfRows(tile::MmaOp op);
  void storeAccumulators(tile::MmaOp op, llvm::ArrayRef<mlir::Value> places,
                         mlir::ValueRange sums);
  void forEachTileBlock(tile::MmaOp op,
                        llvm::function_ref<void(const TileBlock &)> body);
  mlir::Value loadLeftTile(const TileLoop &loop, Coord row, mlir::Value panel);
  mlir::Value loadRightTile(const TileLoop &loop, Coord column);
  int64_t decodedBytes(const TileLoop &loop, int64_t iterations) const;
  void decodeIteration(const TileLoop &loop, mlir::Value k, mlir::Value memory,
                       bool isEarly = false);
  void decodeWords(const TileLoop &loop, mlir::Value end, mlir::Value memory);
  mlir::Value loadTile(mlir::Value pointer, Coord pitch, bool passesBy = false);
  mlir::Value tileDot(tile::MmaOp op, mlir::Value sum, mlir::Value a,
                      mlir::Value b_);
  mlir::Value tileIntrinsic(llvm::StringRef name,
                            llvm::ArrayRef<mlir::Value> operands);

  //===-- Weights beside products (AmxWeights.cpp) ------------------------===//
  /// What a multiply's sums become, position by position: the right operand of
  /// another. `chain` leads to it, with what else stands in between.
  struct TileWeights {
    mlir::Value tile;
    llvm::SmallVector<mlir::Operation *> chain, others;
  };
  bool findWeights(tile::MmaOp op, TileWeights &weights);
  mlir::LogicalResult prepareWeights(const TileWeights &weights);
  void emitWeightPairs(mlir::Value tile, mlir::Value memory,
                       const TileBlock &block, int64_t first, int64_t count);
  mlir::LogicalResult emitWithWeights(tile::MmaOp op, const TileDotSums &sums,
                                      const TileWeights &weights);

  //===-- Epilogues beside products (AmxEpilogue.cpp) ---------------------===//
  struct TileEpilogue {
    TileLoop loop;
    int64_t steps = 0; ///< Of the loop, on tiles.
    llvm::SmallVector<tile::StoreOp, 1> stores;
  };
  bool isStoredInRows(tile::StoreOp store, llvm::ArrayRef<int64_t> shape);
  bool findEpilogue(mlir::scf::ForOp op, TileEpilogue &epilogue);
  mlir::LogicalResult emitOverlapped(mlir::scf::ForOp op,
                                     const TileEpilogue &epilogue);
  void emitOverlappedBlock(const TileEpilogue &epilogue, const TileBlock &block,
                           mlir::Value memory, const TileBlock *before,
                           mlir::Value memoryBefore);
  void emitEpilogueRows(const TileEpilogue &epilogue, const TileBlock &block,
                        mlir::Value memory, Coord row, int64_t rows);

  //===-- Sums of groups beside products (AmxGroups.cpp) ------------------===//
  struct TileGroups {
    mlir::scf::ForOp op;                    ///< Over the groups.
    TileLoop products;                      ///< Of one group.
    int64_t count = 0;                      ///< Of groups.
    int64_t steps = 0;                      ///< Of a group, on tiles.
    llvm::SmallVector<TileBlock, 4> blocks; ///< Of the sums, of one shape.
    mlir::Value memory;                     ///< The sums of all groups, in f32.
    mlir::Value sums;                       ///< Of two blocks.
    mlir::Value words; ///< Of two groups; null if not decoded.

    /// After each product of a block's first steps, so many rows of the block
    /// before; after each of the first blocks' products, the words of so many
    /// iterations of the next group.
    int64_t rowShare = 1, busySteps = 1, decodingBlocks = 1, wordShare = 1;

    int64_t iterations() const {
      return steps * products.tileStep() / products.step;
    }
  };
  bool areScaledSums(mlir::scf::ForOp op, mlir::scf::ForOp inner);
  bool findGroups(mlir::scf::ForOp op, TileGroups &groups);
  bool cutInBlocks(TileGroups &groups);
  void bindGroup(const TileGroups &groups, mlir::Value k);
  void addGroupRows(const TileGroups &groups, const TileBlock &block,
                    mlir::Value memory, Coord row, int64_t rows);
  int64_t sumsPitch(const TileGroups &groups);
  mlir::Value blockSums(const TileGroups &groups, mlir::Value n, int64_t index);
  mlir::Value groupWords(const TileGroups &groups, mlir::Value n);
  mlir::IRMapping indicesOf(const TileGroups &groups, mlir::Value n);
  void decodeBeside(const TileGroups &groups, int64_t index, mlir::Value number,
                    mlir::Value words);
  void emitGroupBlock(const TileGroups &groups, mlir::Value n, int64_t index,
                      mlir::Value before, mlir::IRMapping &earlier,
                      mlir::IRMapping &later);
  void emitGroup(const TileGroups &groups, mlir::Value n, bool isFirst);
  mlir::LogicalResult emitGroups(mlir::scf::ForOp op, TileGroups &groups);

  //===-- Reductions (Reduce.cpp) -----------------------------------------===//
  mlir::Value combine(tile::Combine kind, mlir::Value x, mlir::Value y);
  mlir::Value widen(mlir::Value vector);
  mlir::Value narrow(mlir::Value vector, mlir::Type element);
  mlir::Value permute(mlir::Value vector, llvm::ArrayRef<int64_t> lanes);
  bool isExtremeOfFloats(tile::ReduceOp op) const;
  mlir::Value pick(tile::Combine kind, mlir::Value x, mlir::Value y);
  mlir::Value nanVec(mlir::Value like);
  using CombineFn = llvm::function_ref<mlir::Value(mlir::Value, mlir::Value)>;
  mlir::Value combineLanes(CombineFn combine, mlir::Value vector);
  mlir::Value neutralVec(tile::Combine kind, mlir::Value tile,
                         const Position &position);
  mlir::Value reduceRow(tile::ReduceOp op, Position position);
  mlir::Value finishRow(tile::ReduceOp op,
                        llvm::SmallVectorImpl<mlir::Value> &chains,
                        llvm::ArrayRef<mlir::Value> numbers);
  mlir::Value reducedVec(tile::ReduceOp op, const Position &result,
                         Coord coord);
  llvm::SmallVector<mlir::Value>
  extremesAcross(tile::ReduceOp op, llvm::ArrayRef<Position> positions);
  llvm::SmallVector<mlir::Value>
  reduceAcross(tile::ReduceOp op, llvm::ArrayRef<Position> positions);
  llvm::SmallVector<mlir::Value> reduceRows(tile::ReduceOp op);
  void emitReducedAt(tile::ReduceOp op, const Position &position,
                     mlir::Value memory);
  mlir::Value scanLanes(tile::Combine kind, mlir::Value vector,
                        mlir::Value carry);

  //===-- Small things ----------------------------------------------------===//
  int64_t extent(mlir::Value tile, unsigned dim) const;
  llvm::SmallVector<int64_t> shapeOf(mlir::Value tile) const;
  Coord cutStart(mlir::Value tile, unsigned dim) const;
  mlir::VectorType vectorOf(mlir::Type element) const;
  mlir::Value splat(mlir::Value scalar);
  mlir::Value constantVec(mlir::Type element, mlir::Attribute value);
  mlir::Value offsetPointer(mlir::Value pointer, mlir::Type element,
                            Coord offset);

  struct MemoScope;
  using MemoKey =
      std::tuple<void *, int, llvm::SmallVector<std::pair<void *, int64_t>, 3>>;

  tile::KernelOp kernel;
  const VectorUnit &unit;
  const DimClasses &classes;
  const Bounds &bounds;
  const TileLoops &tileLoops;
  mlir::Block *entry;

  llvm::DenseMap<mlir::Value, Storage> tiles;
  /// Ops whose results were computed with another op's, ahead.
  llvm::SmallPtrSet<mlir::Operation *, 4> computedAhead;
  llvm::DenseMap<mlir::Value, std::unique_ptr<ViewInfo>> views;
  llvm::DenseMap<unsigned, Cut> cuts;
  /// Facts that hold in the copy of the body being emitted.
  BoundSet assumed;
  /// Scratch of concatenations some of whose parts are in place.
  llvm::DenseMap<mlir::Operation *, mlir::Value> concatMemories;
  llvm::DenseSet<mlir::OpOperand *> partsInPlace;
  /// Innermost last: entries die with the region they were emitted in.
  llvm::SmallVector<std::map<MemoKey, mlir::Value>> memo;
  llvm::SmallVector<llvm::DenseMap<mlir::Value, mlir::Value>> spills;
  llvm::SmallVector<std::pair<int64_t, mlir::Value>> freeScratch;
  llvm::SmallVector<llvm::SmallVector<std::pair<int64_t, mlir::Value>>>
      usedScratch;
  llvm::DenseMap<mlir::Attribute, mlir::Value> padSlots;
  Sweep sweep;
  mlir::Value sink;
  int64_t scratchBytes = 0;
};

/// Opens a region: what is remembered in it, and its scratch, end with it.
struct Emitter::MemoScope {
  explicit MemoScope(Emitter &emitter);
  ~MemoScope();
  Emitter &emitter;
};

} // namespace lathe::x86

#endif // LATHE_LIB_TARGET_X86_EMITTER_H
