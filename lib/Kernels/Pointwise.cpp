// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Groups without a root: elementwise ops and data movement.
//
//   results of one shape           ->  one launch
//   a concat that is a result      ->  one launch per input, into its slice
//   a pad that is a result         ->  a fill, then a copy into the middle;
//                                      or one launch per mirrored border
//
// The iteration space is the results' dims, merged as far as all buffers allow.
// One dim runs along vectors; a program takes a chunk of it, or all of it for
// several positions of the next dim if it is short. On a GPU these positions
// and the chunk are one tile, and where elements lie one after the other along
// one dim to be read, along another one to be written, it extends along both.

#include "lib/Kernels/Pointwise.h"
#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Kernels/IterationSpace.h"
#include "lib/Kernels/TileEvaluator.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;

namespace {

/// Vectors of the widest element that a tile holds.
constexpr int64_t kUnroll = 4;
/// Elements that are worth a program.
constexpr int64_t kProgramElements = 4096;
/// Elements of a tile on a GPU, of which each thread of four warps has sixteen,
/// and its sides where it is transposed.
constexpr int64_t kGpuTile = 2048, kGpuRows = 64, kGpuColumns = 128;
/// Elements that a dim has to be a multiple of for tests of bounds to be few.
constexpr int64_t kGpuRun = 8;

/// Something to compute and where to put it.
struct Piece {
  Value value;
  unsigned result;
  /// From the value, and from the result, to the piece's dims.
  graph::Access valueAccess, resultAccess;
  graph::Dims dims;
};

/// Pieces of the same dims, computed together.
using Part = std::vector<Piece>;

/// The loops of a part's kernel.
struct Shape {
  graph::Dims dims;
  unsigned lane = 0;
  int64_t tile = 1;
  bool inBounds = false;
  /// Lane elements per program, or all of them.
  int64_t chunk = 0;
  /// The dim whose positions share a program, and how many do.
  std::optional<unsigned> block;
  int64_t blockSize = 1;
  /// They are a dim of the tile, in front of the lane dim.
  bool isBlockTiled = false, blockInBounds = false;
};

class PointwiseStrategy final : public Strategy {
public:
  graph::GroupKind getKind() const override {
    return graph::GroupKind::pointwise;
  }
  LogicalResult match(graph::GroupOp group, const LoweringContext &context,
                      std::string &reason) const override;
  FailureOr<LoweredGroup> lower(graph::GroupOp group,
                                LoweringContext &context) const override;
};

} // namespace

//===----------------------------------------------------------------------===//
// Pieces
//===----------------------------------------------------------------------===//

/// A window of `sizes` at `starts`, as a step.
static graph::ViewStep getWindow(ArrayRef<AffineExpr> starts,
                                 ArrayRef<AffineExpr> sizes) {
  graph::ViewStep step{graph::ViewStep::Kind::Slice,
                       graph::Dims(sizes),
                       graph::Dims(starts),
                       {}};
  step.numbers.assign(starts.size(), 1);
  return step;
}

static void addConcat(graph::ConcatOp op, unsigned result, graph::DimsOf dimsOf,
                      std::vector<Piece> &pieces) {
  AffineExpr zero = getAffineConstantExpr(0, op.getContext());
  graph::Dims starts(dimsOf(op.getResult()).size(), zero);
  for (Value input : op.getInputs()) {
    graph::Dims dims(dimsOf(input));
    pieces.push_back({input, result, {}, {getWindow(starts, dims)}, dims});
    starts[op.getAxis()] =
        graph::canonicalizeSize(starts[op.getAxis()] + dims[op.getAxis()]);
  }
}

namespace {
/// A run of result positions along one dim of a pad, and the input positions
/// that they show.
struct Run {
  AffineExpr to, from, size;
  int64_t step = 1;
  bool repeats = false; ///< All show `from`.
};
} // namespace

/// What the input itself covers: negative amounts cut it.
static Run getMiddle(AffineExpr size, int64_t low, int64_t high) {
  MLIRContext *context = size.getContext();
  int64_t cut = std::min<int64_t>(low, 0) + std::min<int64_t>(high, 0);
  return {getAffineConstantExpr(std::max<int64_t>(low, 0), context),
          getAffineConstantExpr(std::max<int64_t>(-low, 0), context),
          graph::canonicalizeSize(size + cut)};
}

/// All runs along a dim. A constant pad shows the input in the middle only.
static SmallVector<Run, 3> getRuns(graph::PadMode mode, AffineExpr size,
                                   int64_t low, int64_t high) {
  MLIRContext *context = size.getContext();
  auto number = [&](int64_t value) {
    return getAffineConstantExpr(value, context);
  };
  SmallVector<Run, 3> runs{getMiddle(size, low, high)};
  if (mode == graph::PadMode::constant)
    return runs;
  bool reflects = mode == graph::PadMode::reflect;
  bool wraps = mode == graph::PadMode::wrap;
  if (low > 0) {
    AffineExpr from = reflects ? number(low) : wraps ? size - low : number(0);
    runs.push_back({number(0), graph::canonicalizeSize(from), number(low),
                    reflects ? -1 : 1, !reflects && !wraps});
  }
  if (high > 0) {
    AffineExpr from = reflects ? size - 2 : wraps ? number(0) : size - 1;
    runs.push_back({graph::canonicalizeSize(runs[0].to + runs[0].size),
                    graph::canonicalizeSize(from), number(high),
                    reflects ? -1 : 1, !reflects && !wraps});
  }
  return runs;
}

/// The piece that shows `runs`, one for each dim.
static Piece getPadPiece(Value input, unsigned result, ArrayRef<Run> runs) {
  AffineExpr one = getAffineConstantExpr(1, input.getContext());
  graph::ViewStep slice{graph::ViewStep::Kind::Slice, {}, {}, {}};
  graph::Dims to, sizes;
  bool repeats = false;
  for (const Run &run : runs) {
    slice.dims.push_back(run.repeats ? one : run.size);
    slice.starts.push_back(run.from);
    slice.numbers.push_back(run.step);
    to.push_back(run.to);
    sizes.push_back(run.size);
    repeats |= run.repeats;
  }
  graph::Access access{slice};
  if (repeats)
    access.push_back(graph::ViewStep::getBroadcast(sizes));
  return {input, result, access, {getWindow(to, sizes)}, sizes};
}

/// A constant pad fills the result (a null value stands for zero) and copies
/// the input over it; other modes have a piece for every combination of runs.
static void addPad(graph::PadOp op, unsigned result, graph::DimsOf dimsOf,
                   std::vector<Piece> &pieces) {
  if (op.getMode() == graph::PadMode::constant) {
    graph::Dims dims(dimsOf(op.getResult()));
    graph::Access broadcast{graph::ViewStep::getBroadcast(dims)};
    pieces.push_back({op.getValue(), result, broadcast, {}, dims});
  }
  std::vector<SmallVector<Run>> combinations(1);
  for (auto [size, low, high] :
       llvm::zip_equal(dimsOf(op.getInput()), op.getLow(), op.getHigh())) {
    std::vector<SmallVector<Run>> longer;
    for (const Run &run : getRuns(op.getMode(), size, low, high))
      for (SmallVector<Run> combination : combinations) {
        combination.push_back(run);
        longer.push_back(std::move(combination));
      }
    combinations = std::move(longer);
  }
  for (ArrayRef<Run> runs : combinations)
    pieces.push_back(getPadPiece(op.getInput(), result, runs));
}

static std::vector<Part> getParts(graph::GroupOp group, graph::DimsOf dimsOf) {
  std::vector<Part> parts;
  for (auto [i, value] : llvm::enumerate(group.getYield().getValues())) {
    std::vector<Piece> pieces;
    if (auto concat = value.getDefiningOp<graph::ConcatOp>())
      addConcat(concat, i, dimsOf, pieces);
    else if (auto pad = value.getDefiningOp<graph::PadOp>())
      addPad(pad, i, dimsOf, pieces);
    else
      pieces.push_back(
          {value, unsigned(i), {}, {}, graph::Dims(dimsOf(value))});
    for (Piece &piece : pieces) {
      // What fills a result must run before what is copied over it.
      bool isWhole = pieces.size() == 1;
      auto part = llvm::find_if(parts, [&](const Part &other) {
        return isWhole &&
               llvm::equal(other.front().dims, piece.dims, graph::isSameSize) &&
               other.front().resultAccess.empty();
      });
      if (part == parts.end())
        parts.push_back({piece});
      else
        part->push_back(piece);
    }
  }
  return parts;
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

/// The views of all buffers of a part over its dims, stores first, and the
/// widest element.
static LogicalResult
collectViews(const Part &part, graph::GroupOp group, graph::DimsOf dimsOf,
             SmallVectorImpl<graph::StridedView> &views, unsigned &bits,
             llvm::function_ref<void(Operation *, StringRef)> refuse) {
  auto widen = [&](Value value) {
    Type element = getElementTypeOrSelf(value);
    bits = std::max(bits, getComputeType(element).getIntOrFloatBitWidth());
  };
  for (const Piece &piece : part) {
    Value result = group.getYield().getValues()[piece.result];
    auto view = graph::applyAccess(
        graph::StridedView::getContiguous(group.getContext(), dimsOf(result)),
        piece.resultAccess);
    views.push_back(*view);
    widen(result);
  }
  for (const Piece &piece : part) {
    if (!piece.value)
      continue;
    auto isLeaf = [](Value value) { return isa<BlockArgument>(value); };
    auto visit = [&](const graph::Leaf &leaf) {
      views.push_back(leaf.view);
      widen(leaf.value);
    };
    if (failed(graph::walkLeaves(piece.value, piece.valueAccess, dimsOf, isLeaf,
                                 visit, refuse)))
      return failure();
  }
  return success();
}

/// A dim along which something is contiguous that is not along the lane dim.
static std::optional<unsigned>
findTransposed(ArrayRef<graph::StridedView> views, const Shape &shape) {
  for (const graph::StridedView &view : views) {
    auto along = getConstantSize(view.strides[shape.lane]);
    if (along && (*along == 0 || *along == 1))
      continue;
    for (unsigned dim = 0; dim < shape.dims.size(); ++dim) {
      auto size = getConstantSize(shape.dims[dim]);
      if (getConstantSize(view.strides[dim]) == 1 && !(size && *size < kGpuRun))
        return dim;
    }
  }
  return std::nullopt;
}

/// The dim beside the lane dim; another one where that is short, as the two
/// halves are that rotary embeddings exchange.
static unsigned chooseGpuBlock(const Shape &shape, int64_t most) {
  constexpr int64_t fewTimes = 8;
  unsigned rank = shape.dims.size();
  unsigned nearest = shape.lane == rank - 1 ? shape.lane - 1 : rank - 1;
  auto sizeOf = [&](unsigned dim) {
    return std::min(getConstantSize(shape.dims[dim]).value_or(most), most);
  };
  if (sizeOf(nearest) * fewTimes > most)
    return nearest;
  unsigned best = nearest;
  for (unsigned dim = rank; dim-- > 0;)
    if (dim != shape.lane && sizeOf(dim) > sizeOf(best))
      best = dim;
  return best;
}

/// A tile of one or two dims for each program. Positions along which elements
/// are gathered are one dim.
static void chooseGpuTile(Shape &shape, ArrayRef<graph::StridedView> views,
                          bool isFlat) {
  auto atMost = [&](unsigned dim, int64_t most) {
    auto size = getConstantSize(shape.dims[dim]);
    return size ? std::min<int64_t>(
                      most, llvm::PowerOf2Ceil(std::max<int64_t>(*size, 1)))
                : most;
  };
  shape.tile = atMost(shape.lane, kGpuTile);
  if (!isFlat && shape.dims.size() > 1) {
    shape.block = findTransposed(views, shape);
    int64_t most = kGpuRows;
    if (shape.block) {
      shape.tile = atMost(shape.lane, kGpuColumns);
    } else {
      most = kGpuTile / shape.tile;
      shape.block = chooseGpuBlock(shape, most);
    }
    shape.blockSize = atMost(*shape.block, most);
    shape.isBlockTiled = shape.blockSize > 1;
    shape.blockInBounds =
        isMultipleOf(shape.dims[*shape.block], shape.blockSize);
  }
  shape.inBounds = isMultipleOf(shape.dims[shape.lane], shape.tile);
  shape.chunk = shape.tile;
}

static Shape chooseShape(ArrayRef<AffineExpr> dims,
                         SmallVectorImpl<graph::StridedView> &views,
                         unsigned bits, const Capability &capability,
                         bool gathers) {
  Shape shape;
  shape.dims = collapseDims(dims, views);
  reshapeAll(views, shape.dims);
  shape.lane = chooseLaneDim(views, 0, shape.dims.size());
  AffineExpr laneSize = shape.dims[shape.lane];
  if (capability.kind == Capability::Kind::Gpu) {
    chooseGpuTile(shape, views, /*isFlat=*/gathers);
    return shape;
  }
  shape.tile = chooseTileSize(capability, bits, kUnroll, laneSize);
  shape.inBounds = isMultipleOf(laneSize, shape.tile);
  shape.chunk = std::max(kProgramElements, shape.tile);
  std::optional<int64_t> size = getConstantSize(laneSize);
  if (!size || *size > shape.chunk)
    return shape;
  // The dim is short: a program takes all of it, several times.
  shape.chunk = 0;
  if (shape.dims.size() > 1) {
    shape.block = shape.lane == shape.dims.size() - 1 ? shape.lane - 1
                                                      : shape.dims.size() - 1;
    shape.blockSize = std::max<int64_t>(1, kProgramElements / *size);
    if (auto rows = getConstantSize(shape.dims[*shape.block]))
      shape.blockSize = std::min(shape.blockSize, *rows);
  }
  return shape;
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

namespace {
/// Builds the kernel of one part.
class PartBuilder {
public:
  PartBuilder(const Part &part, const Shape &shape, graph::GroupOp group,
              LoweringContext &context, KernelBuilder kernel)
      : part(part), shape(shape), group(group), context(context),
        kernel(kernel) {}

  LogicalResult build();

private:
  graph::Dims getGridDims();
  void forEachBlockPosition(Value program,
                            llvm::function_ref<void(Value)> body);
  void forEachLane(llvm::function_ref<void(Value)> body);
  LogicalResult buildTile(ArrayRef<Value> bases);
  LogicalResult buildGpuTile(ArrayRef<Value> bases);
  LogicalResult buildGpu(ArrayRef<AffineExpr> gridDims, AffineExpr outer);

  const Part &part;
  Shape shape;
  graph::GroupOp group;
  LoweringContext &context;
  KernelBuilder kernel;
};
} // namespace

/// The dims that programs are spread over: the lane dim is apart.
graph::Dims PartBuilder::getGridDims() {
  graph::Dims dims = shape.dims;
  dims[shape.lane] = getAffineConstantExpr(1, kernel.getContext());
  if (shape.block)
    dims[*shape.block] = ceilDivide(dims[*shape.block], shape.blockSize);
  return dims;
}

/// Runs `body` from `begin` up to the smaller of `begin + count` and `size`.
static void forRange(KernelBuilder &kernel, Value program, int64_t count,
                     AffineExpr size, int64_t step,
                     llvm::function_ref<void(Value)> body) {
  Value begin = kernel.mul(program, kernel.getIndex(count));
  Value end = kernel.add(begin, kernel.getIndex(count));
  if (!isMultipleOf(size, count))
    end =
        arith::MinUIOp::create(kernel.getBuilder(), end, kernel.getSize(size));
  kernel.forEach(begin, end, kernel.getIndex(step), {},
                 [&](Value index, ValueRange) -> SmallVector<Value> {
                   body(index);
                   return {};
                 });
}

void PartBuilder::forEachBlockPosition(Value program,
                                       llvm::function_ref<void(Value)> body) {
  if (shape.blockSize == 1)
    return body(program);
  forRange(kernel, program, shape.blockSize, shape.dims[*shape.block],
           /*step=*/1, body);
}

void PartBuilder::forEachLane(llvm::function_ref<void(Value)> body) {
  AffineExpr size = shape.dims[shape.lane];
  if (shape.chunk > shape.tile)
    return forRange(kernel, kernel.getProgramId(0), shape.chunk, size,
                    shape.tile, body);
  if (shape.chunk == shape.tile)
    return body(
        kernel.mul(kernel.getProgramId(0), kernel.getIndex(shape.tile)));
  if (*getConstantSize(size) <= shape.tile)
    return body(kernel.getIndex(0));
  forRange(kernel, kernel.getIndex(0), *getConstantSize(size), size, shape.tile,
           body);
}

LogicalResult PartBuilder::buildTile(ArrayRef<Value> bases) {
  TileWindow window{llvm::to_vector(bases), {}};
  if (shape.isBlockTiled)
    window.extents.push_back(
        {*shape.block, shape.blockSize, shape.blockInBounds});
  window.extents.push_back({shape.lane, shape.tile, shape.inBounds});
  TileEvaluator evaluator(kernel, group, context, window);
  graph::ViewStep collapse = graph::ViewStep::getReshape(shape.dims);
  for (const Piece &piece : part) {
    graph::Access from = piece.valueAccess, to = piece.resultAccess;
    from.push_back(collapse);
    to.push_back(collapse);
    Value result = group.getYield().getValues()[piece.result];
    FailureOr<Value> tile =
        piece.value
            ? evaluator.evaluate(piece.value, from)
            : kernel.getSplat(window.getTileShape(),
                              getComputeType(getElementTypeOrSelf(result)),
                              0.0);
    if (failed(tile) || failed(evaluator.store(*tile, piece.result, to)))
      return failure();
  }
  return success();
}

/// One tile, twice where elements at its border may be outside one by one: with
/// tests of bounds only for the last ones.
LogicalResult PartBuilder::buildGpuTile(ArrayRef<Value> bases) {
  AffineExpr size = shape.dims[shape.lane];
  if (shape.inBounds || isMultipleOf(size, kGpuRun))
    return buildTile(bases);
  ImplicitLocOpBuilder &b = kernel.getBuilder();
  auto isInside = [&](unsigned dim, int64_t count) -> Value {
    Value end = kernel.add(bases[dim], kernel.getIndex(count));
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ule, end,
                                 kernel.getSize(shape.dims[dim]));
  };
  Value isWhole = isInside(shape.lane, shape.tile);
  if (shape.isBlockTiled && !shape.blockInBounds)
    isWhole = arith::AndIOp::create(b, isWhole,
                                    isInside(*shape.block, shape.blockSize));
  auto branch = scf::IfOp::create(b, isWhole, /*withElseRegion=*/true);
  bool blockInBounds = shape.blockInBounds;
  for (bool inside : {true, false}) {
    OpBuilder::InsertionGuard guard(b);
    Block *block = inside ? branch.thenBlock() : branch.elseBlock();
    b.setInsertionPoint(block->getTerminator());
    shape.inBounds = inside;
    shape.blockInBounds = inside || blockInBounds;
    if (failed(buildTile(bases)))
      return failure();
  }
  return success();
}

/// Grids are long in their first dim only.
LogicalResult PartBuilder::buildGpu(ArrayRef<AffineExpr> gridDims,
                                    AffineExpr outer) {
  bool isOne = getConstantSize(outer) == 1;
  SmallVector<Value> bases =
      kernel.delinearize(kernel.getProgramId(isOne ? 1 : 0), gridDims);
  Value lane = kernel.getProgramId(isOne ? 0 : 1);
  bases[shape.lane] = kernel.mul(lane, kernel.getIndex(shape.tile));
  if (shape.isBlockTiled)
    bases[*shape.block] =
        kernel.mul(bases[*shape.block], kernel.getIndex(shape.blockSize));
  LogicalResult result = buildGpuTile(bases);
  AffineExpr chunks = ceilDivide(shape.dims[shape.lane], shape.tile);
  kernel.setGrid({isOne ? chunks : outer, isOne ? outer : chunks});
  return result;
}

LogicalResult PartBuilder::build() {
  graph::Dims gridDims = getGridDims();
  AffineExpr outer = graph::getProduct(kernel.getContext(), gridDims);
  if (context.capability.kind == Capability::Kind::Gpu)
    return buildGpu(gridDims, outer);
  bool chunked = shape.chunk != 0;
  SmallVector<Value> bases =
      kernel.delinearize(kernel.getProgramId(chunked ? 1 : 0), gridDims);
  LogicalResult result = success();
  auto forLanes = [&] {
    forEachLane([&](Value lane) {
      bases[shape.lane] = lane;
      result = buildTile(bases);
    });
  };
  if (shape.block)
    forEachBlockPosition(bases[*shape.block], [&](Value position) {
      bases[*shape.block] = position;
      forLanes();
    });
  else
    forLanes();
  if (chunked)
    kernel.setGrid({ceilDivide(shape.dims[shape.lane], shape.chunk), outer});
  else
    kernel.setGrid({outer});
  return result;
}

//===----------------------------------------------------------------------===//
// Strategy
//===----------------------------------------------------------------------===//

LogicalResult PointwiseStrategy::match(graph::GroupOp group,
                                       const LoweringContext &context,
                                       std::string &reason) const {
  auto refuse = [&](Operation *op, StringRef why) {
    reason =
        (op ? op->getName().getStringRef() : StringRef("an argument")).str() +
        ": " + why.str();
  };
  for (const Part &part : getParts(group, context.dimsOf)) {
    SmallVector<graph::StridedView> views;
    unsigned bits = 8;
    if (failed(collectViews(part, group, context.dimsOf, views, bits, refuse)))
      return failure();
  }
  return success();
}

/// Elementwise ops of the group, each counted as one operation.
static int64_t countOps(graph::GroupOp group) {
  return llvm::count_if(group.getBody().front(), [](Operation &op) {
    return op.hasTrait<graph::OpTrait::Elementwise>();
  });
}

static FailureOr<LaunchSpec> lowerPart(const Part &part, graph::GroupOp group,
                                       LoweringContext &context) {
  SmallVector<graph::StridedView> views;
  unsigned bits = 8;
  if (failed(collectViews(part, group, context.dimsOf, views, bits,
                          [](Operation *, StringRef) {})))
    return group.emitError("was lowered without having matched");
  bool gathers = llvm::any_of(group.getBody().front(), [](Operation &op) {
    return graph::isGather(&op);
  });
  Shape shape =
      chooseShape(part.front().dims, views, bits, context.capability, gathers);
  LaunchBuilder launch(group, context);
  SmallVector<int64_t> tile{shape.tile};
  if (shape.isBlockTiled)
    tile.insert(tile.begin(), shape.blockSize);
  KernelBuilder kernel = launch.addKernel("pointwise", tile);
  if (failed(PartBuilder(part, shape, group, context, kernel).build()))
    return failure();
  AffineExpr count = graph::getProduct(group.getContext(), part.front().dims);
  std::string ops = getOpsName(group, nullptr);
  return launch.finish((ops.empty() ? "copy" : ops) + "_" +
                           getShapeName(shape.dims),
                       graph::canonicalizeSize(count * countOps(group)));
}

FailureOr<LoweredGroup>
PointwiseStrategy::lower(graph::GroupOp group, LoweringContext &context) const {
  LoweredGroup lowered;
  for (const Part &part : getParts(group, context.dimsOf)) {
    AffineExpr count = graph::getProduct(group.getContext(), part.front().dims);
    if (getConstantSize(count) == 0)
      continue;
    FailureOr<LaunchSpec> launch = lowerPart(part, group, context);
    if (failed(launch))
      return failure();
    lowered.launches.push_back(std::move(*launch));
  }
  return lowered;
}

FailureOr<LaunchSpec> lathe::kernels::lowerCopy(graph::GroupOp group,
                                                Value value, unsigned result,
                                                LoweringContext &context) {
  Part part{{value, result, {}, {}, graph::Dims(context.dimsOf(value))}};
  return lowerPart(part, group, context);
}

std::unique_ptr<Strategy> lathe::kernels::createPointwiseStrategy() {
  return std::make_unique<PointwiseStrategy>();
}
