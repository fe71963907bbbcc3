// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The attention strategy: `graph.attention` with any score function, mask and
// positional selection, reading its operands through views and writing through
// them. The number of queries selects how many run along the lanes.

#include "lib/Kernels/AttentionKernel.h"

#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Kernels/AttentionScore.h"
#include "lib/Kernels/AttentionSplit.h"
#include "lib/Kernels/ContractAnalysis.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;
using graph::Access;
using graph::Dims;
using graph::ViewStep;

/// Keys of a block on a matrix unit: the outputs so far are rescaled and added
/// to once for each block.
static constexpr int64_t kUnitKeys = 128;
/// Rows that four warps of a GPU multiply together.
static constexpr int64_t kWideRows = 64;
/// Blocks of fewer keys are not worth a pass of their own.
static constexpr int64_t kFewKeys = 32;
/// Workgroups take no fewer keys or queries for want of memory.
static constexpr int64_t kFewest = 8;

/// Whether the operands are strided, and the mask broadcasts.
static bool setAccesses(graph::GroupOp group, AttentionShape &shape,
                        graph::DimsOf dimsOf, std::string &reason) {
  graph::AttentionOp op = shape.op;
  for (Value operand : {op.getQuery(), op.getKey(), op.getValue()})
    if (!isStrided(operand, {}, dimsOf, reason))
      return false;
  if (op.getMask()) {
    Dims scores{shape.batch, shape.heads, shape.queries, shape.keys};
    shape.maskAccess.push_back(ViewStep::getBroadcast(scores));
    if (!isStrided(op.getMask(), shape.maskAccess, dimsOf, reason))
      return false;
  }
  auto accesses =
      getEpilogueAccesses(group, op.getResult(), Access(), dimsOf, reason);
  if (!accesses)
    return false;
  shape.yieldAccesses = std::move(*accesses);
  return true;
}

/// The f16 or bf16 that `value` is, or is widened from and not computed with
/// since; else null.
static FloatType getNarrow(Value value, graph::DimsOf dimsOf) {
  auto narrow = [](Value its) {
    Type type = getElementTypeOrSelf(its);
    return isa<Float16Type, BFloat16Type>(type) ? cast<FloatType>(type)
                                                : FloatType();
  };
  if (FloatType its = narrow(value))
    return its;
  Access views;
  auto cast =
      graph::traceViews(value, views, dimsOf).getDefiningOp<graph::CastOp>();
  return cast ? narrow(cast.getInput()) : FloatType();
}

static std::optional<AttentionShape> analyzeAttention(graph::GroupOp group,
                                                      graph::DimsOf dimsOf,
                                                      std::string &reason) {
  AttentionShape shape;
  shape.op = dyn_cast_or_null<graph::AttentionOp>(group.getRoot());
  if (!shape.op) {
    reason = "the root is not 'graph.attention'";
    return std::nullopt;
  }
  ArrayRef<AffineExpr> query = dimsOf(shape.op.getQuery());
  ArrayRef<AffineExpr> key = dimsOf(shape.op.getKey());
  auto size = getConstantSize(query[3]);
  auto valueSize = getConstantSize(dimsOf(shape.op.getValue())[3]);
  auto heads = getConstantSize(query[1]), keyHeads = getConstantSize(key[1]);
  if (!size || !valueSize || *size == 0 || *valueSize == 0) {
    reason = "the head size must be known and not zero";
    return std::nullopt;
  }
  if (!graph::isSameSize(query[1], key[1])) {
    if (!heads || !keyHeads || *keyHeads == 0 || *heads % *keyHeads != 0) {
      reason = "the number of heads must be a known multiple of that of the "
               "keys";
      return std::nullopt;
    }
    shape.headsPerKey = *heads / *keyHeads;
  }
  if (!createAttentionScore(shape.op, {})) {
    reason = "the score function has no kernel";
    return std::nullopt;
  }
  shape.list =
      dyn_cast<graph::BlockListAttr>(Attribute(shape.op.getSelection()));
  if (shape.list && shape.list.getHeads() > 1)
    shape.headsPerList = *heads / shape.list.getHeads();
  shape.batch = query[0];
  shape.heads = query[1];
  shape.keyHeads = key[1];
  shape.queries = query[2];
  shape.keys = key[2];
  shape.size = *size;
  shape.valueSize = *valueSize;
  shape.narrow = getNarrow(shape.op.getQuery(), dimsOf);
  for (Value operand : {shape.op.getKey(), shape.op.getValue()})
    if (getNarrow(operand, dimsOf) != shape.narrow)
      shape.narrow = {};
  if (!setAccesses(group, shape, dimsOf, reason))
    return std::nullopt;
  return shape;
}

/// Bytes of the tiles that a program keeps.
static int64_t getScratch(const AttentionShape &shape,
                          const AttentionSchedule &schedule) {
  int64_t rows = shape.size + shape.valueSize + 2 * schedule.keys;
  return rows * schedule.lanes * sizeof(float);
}

/// Bytes of a tile in the memory of a workgroup: sizes are rounded up to powers
/// of two, and rows begin in other banks than those beside them.
static int64_t getSharedTile(int64_t rows, int64_t columns) {
  constexpr int64_t pad = 16;
  int64_t row = llvm::PowerOf2Ceil(columns) * sizeof(float) + pad;
  return llvm::PowerOf2Ceil(rows) * row;
}

/// Bytes that a workgroup shares at once: Q^T, and K or V and the weights.
static int64_t getShared(const AttentionShape &shape,
                         const AttentionSchedule &schedule) {
  int64_t lanes = schedule.lanes, keys = schedule.keys;
  int64_t weighted =
      getSharedTile(keys, shape.valueSize) + getSharedTile(keys, lanes);
  return getSharedTile(shape.size, lanes) +
         std::max(getSharedTile(shape.size, keys), weighted);
}

/// `scratchBytes` of a GPU leave room for a second workgroup beside one; long
/// heads do without it.
static bool fitsShared(const Capability &capability,
                       const AttentionShape &shape,
                       const AttentionSchedule &schedule) {
  return capability.kind != Capability::Kind::Gpu ||
         getShared(shape, schedule) <= 2 * capability.scratchBytes;
}

/// Takes fewer keys, then fewer queries and keys in turns, until they fit.
/// False if they do not.
static bool fitShared(const Capability &capability, const AttentionShape &shape,
                      AttentionSchedule &schedule) {
  while (!fitsShared(capability, shape, schedule)) {
    bool isOfKeys = schedule.keys > kFewKeys || schedule.keys >= schedule.lanes;
    int64_t &size = isOfKeys ? schedule.keys : schedule.lanes;
    if (size <= kFewest)
      return false;
    size /= 2;
  }
  schedule.edgeKeys = std::min(schedule.edgeKeys, schedule.keys);
  return true;
}

/// Keys of a block list in blocks of its own size, if that is neither small nor
/// large; else runs of blocks are cut as they come.
static void fitBlocks(int64_t block, AttentionSchedule &schedule) {
  schedule.edgeKeys = getBlockPart(block, schedule.edgeKeys);
  int64_t part = getBlockPart(block, schedule.keys);
  if (part < kFewKeys)
    part = schedule.keys;
  schedule.keys = part / schedule.edgeKeys * schedule.edgeKeys;
}

/// Takes the matrix unit if heads and blocks are whole steps of its k.
static void setMatrixUnit(const Capability &capability,
                          const AttentionShape &shape,
                          AttentionSchedule &schedule) {
  constexpr int64_t step = Capability::kUnitBytes / 2;
  if (capability.kind != Capability::Kind::Cpu || !capability.matrixUnit ||
      !shape.narrow || !shape.narrow.isBF16() || shape.size % step != 0 ||
      shape.valueSize % Capability::kUnitRows != 0 ||
      (shape.list && shape.list.getBlock() % step != 0))
    return;
  schedule.isNarrow = true;
  schedule.keys = kUnitKeys;
  schedule.edgeKeys = step;
}

namespace {

/// Numbers of queries that are served alike, and schedules for them, the
/// preferred one first.
struct QueryClass {
  StringRef name;
  AffineExpr condition; ///< `condition >= 0`, or always if null.
  SmallVector<AttentionSchedule, 3> schedules;
};

} // namespace

/// `schedule` and others that differ in the keys of a block: longer blocks
/// rescale the outputs less often, shorter ones keep more in the first cache.
static SmallVector<AttentionSchedule, 3>
listSchedules(const Capability &capability, const AttentionShape &shape,
              const AttentionSchedule &schedule) {
  SmallVector<AttentionSchedule, 3> schedules{schedule};
  if (shape.list)
    return schedules; // Its own blocks decide.
  for (int64_t keys : {2 * schedule.keys, schedule.keys / 2}) {
    if (schedule.isNarrow && keys > kUnitKeys)
      continue; // Values lie in blocks of so many.
    AttentionSchedule other = schedule;
    other.keys = keys;
    if (keys % schedule.edgeKeys == 0 && keys >= kFewKeys &&
        fitsShared(capability, shape, other))
      schedules.push_back(other);
  }
  return schedules;
}

bool lathe::kernels::takesRows(const Capability &capability,
                               const AttentionShape &shape) {
  constexpr int64_t step = 16, longest = 256;
  auto fits = [](int64_t size) { return size % step == 0 && size <= longest; };
  return capability.kind == Capability::Kind::Gpu && capability.matrixUnit &&
         shape.narrow && fits(shape.size) && fits(shape.valueSize) &&
         (!shape.list || shape.list.getBlock() % step == 0);
}

/// Keys of a block, at most `most`, of which as many cover a known number of
/// keys with the least to spare: 197 are two blocks of 112.
static int64_t cutEvenly(const AttentionShape &shape, int64_t most) {
  constexpr int64_t step = 16;
  auto keys = getConstantSize(shape.keys);
  graph::AttentionOp op = shape.op;
  if (!keys || *keys == 0 ||
      !isa<graph::DenseSelectionAttr>(Attribute(op.getSelection())))
    return most;
  int64_t blocks = llvm::divideCeil(*keys, most);
  return llvm::alignTo(llvm::divideCeil(*keys, blocks), step);
}

/// Whether keys end on both sides of a query: three loops take more registers.
static bool slides(graph::AttentionOp op) {
  auto window = dyn_cast<graph::WindowAttr>(Attribute(op.getSelection()));
  return window && window.getLeft() >= 0;
}

/// Sixteen rows for a warp, or four times as many for four that multiply
/// together; long heads take shorter blocks.
static SmallVector<AttentionSchedule, 3> listRows(const Capability &capability,
                                                  const AttentionShape &shape) {
  int64_t longest = std::max(shape.size, shape.valueSize);
  graph::AttentionOp op = shape.op;
  SmallVector<std::tuple<int64_t, int64_t, int64_t>, 3> sizes;
  if (capability.unitRows < kWideRows)
    sizes = {{64, longest > 128 ? 32 : 64, 4}};
  else if (longest > 128)
    sizes = {{128, slides(op) || op.getMask() ? 32 : 64, 8}};
  else if (op.getMask() || (longest > 64 && slides(op)))
    sizes = {{128, 64, 8}}; // Its places take registers.
  else if (longest > 64 || shape.list || slides(op))
    sizes = {{128, 128, 8}, {64, 128, 4}};
  else
    sizes = {{192, 128, 12}, {128, 128, 8}, {64, 128, 4}};
  SmallVector<AttentionSchedule, 3> schedules;
  for (auto [rows, keys, warps] : sizes) {
    AttentionSchedule schedule;
    schedule.isNarrow = schedule.isRows = true;
    schedule.lanes = rows;
    schedule.keys = keys;
    schedule.warps = warps;
    while (shape.list && !canGroup(shape.list, schedule.lanes))
      schedule.lanes /= 2;
    if (shape.list)
      schedule.keys = getBlockPart(shape.list.getBlock(), keys);
    else if (capability.unitRows >= kWideRows)
      schedule.keys = cutEvenly(shape, schedule.keys);
    schedule.edgeKeys = schedule.keys;
    schedules.push_back(schedule);
  }
  if (shape.list)
    schedules.truncate(1);
  return schedules;
}

/// How long a program of so many rows takes, in those of 128: four warps alone
/// wait for themselves, twelve have the shortest waits.
static double getTimeOfRows(int64_t rows) {
  return rows <= 64 ? 0.65 : rows <= 128 ? 1.0 : 1.3;
}

/// The schedule first that a known number of queries takes the least time with:
/// rows beyond the last one count, and programs that run beside each other.
static void orderRows(const Capability &capability, const AttentionShape &shape,
                      MutableArrayRef<AttentionSchedule> schedules) {
  auto queries = getConstantSize(shape.queries);
  if (!queries || shape.list)
    return;
  auto heads = getConstantSize(shape.heads * shape.batch);
  auto getTime = [&](const AttentionSchedule &its) {
    int64_t programs = llvm::divideCeil(*queries, its.lanes);
    double time = getTimeOfRows(its.lanes);
    if (!heads)
      return programs * time;
    double turns = double(programs * *heads) / capability.processors;
    return std::max(turns, 1.0) * time;
  };
  auto *best = llvm::min_element(schedules, [&](const auto &x, const auto &y) {
    return getTime(x) < getTime(y);
  });
  std::rotate(schedules.begin(), best, std::next(best));
}

/// Rows of one instruction for few queries.
static SmallVector<QueryClass, 2> getRowClasses(const Capability &capability,
                                                const AttentionShape &shape) {
  constexpr int64_t few = 16;
  SmallVector<QueryClass, 2> classes;
  SmallVector<AttentionSchedule, 3> schedules = listRows(capability, shape);
  auto queries = getConstantSize(shape.queries);
  if (!shape.list && (!queries || *queries <= few)) {
    AttentionSchedule narrow = schedules.front();
    narrow.lanes = few;
    narrow.keys = narrow.edgeKeys = std::min<int64_t>(narrow.keys, 64);
    narrow.warps = 4;
    AffineExpr condition = queries ? AffineExpr() : few - shape.queries;
    classes.push_back({"few queries", condition, {narrow}});
    if (queries)
      return classes;
  }
  // What few causal queries see ends within their first blocks: fewer rows
  // leave less of it hidden.
  graph::AttentionOp op = shape.op;
  bool isSigmoid = isa<graph::SigmoidAttr>(Attribute(op.getScore()));
  int64_t many = isSigmoid ? 2048 : 4096;
  auto window = dyn_cast<graph::WindowAttr>(Attribute(op.getSelection()));
  bool isShort =
      window && window.getRight() >= 0 && schedules.front().lanes > kUnitKeys;
  if (isShort && (!queries || *queries < many)) {
    AffineExpr condition = queries ? AffineExpr() : many - 1 - shape.queries;
    SmallVector<AttentionSchedule, 3> some(llvm::drop_begin(schedules));
    orderRows(capability, shape, some);
    classes.push_back({"some queries", condition, some});
    if (queries)
      return classes;
  }
  orderRows(capability, shape, schedules);
  classes.push_back({"queries", AffineExpr(), schedules});
  return classes;
}

/// All lanes for many queries, first choice one vector register for few.
static SmallVector<QueryClass, 2> getClasses(const Capability &capability,
                                             const AttentionShape &shape) {
  if (takesRows(capability, shape))
    return getRowClasses(capability, shape);
  int64_t few = std::max<int64_t>(capability.getLanes(32), 16);
  AttentionSchedule schedule;
  setMatrixUnit(capability, shape, schedule);
  schedule.lanes = capability.vectorRegisters >= 32 ? 4 * few : 2 * few;
  while (schedule.lanes > few &&
         (getScratch(shape, schedule) > capability.scratchBytes ||
          (shape.list && !canGroup(shape.list, schedule.lanes))))
    schedule.lanes /= 2;
  fitShared(capability, shape, schedule);
  if (shape.list)
    fitBlocks(shape.list.getBlock(), schedule);
  SmallVector<QueryClass, 2> classes;
  auto queries = getConstantSize(shape.queries);
  if (schedule.lanes > few && (!queries || *queries <= few)) {
    AttentionSchedule narrow = schedule;
    narrow.lanes = few;
    AffineExpr condition = queries ? AffineExpr() : few - shape.queries;
    classes.push_back(
        {"few queries", condition, listSchedules(capability, shape, narrow)});
    if (queries)
      return classes;
  }
  classes.push_back(
      {"queries", AffineExpr(), listSchedules(capability, shape, schedule)});
  return classes;
}

/// Lets kernels of many queries take V^T from a temporary. Returns the keys of
/// its blocks, or 0 if none does.
static int64_t transposeValues(MutableArrayRef<QueryClass> classes,
                               const AttentionShape &shape) {
  if (classes.empty())
    return 0;
  QueryClass &most = classes.back();
  auto queries = getConstantSize(shape.queries);
  const AttentionSchedule &first = most.schedules.front();
  if (!first.isNarrow || first.isRows || (queries && *queries <= first.lanes))
    return 0; // One program for each head.
  int64_t block = 0;
  for (const AttentionSchedule &schedule : most.schedules)
    block = std::max(block, schedule.keys);
  for (AttentionSchedule &schedule : most.schedules)
    schedule.valueBlock = block;
  return block;
}

/// Of block lists, what the kernel does for all of its queries.
static AffineExpr getFlops(const AttentionShape &shape,
                           const AttentionSchedule &schedule) {
  AffineExpr scores = shape.batch * shape.heads * shape.queries * shape.keys;
  if (shape.list)
    scores =
        shape.batch * (shape.heads * getAttentionBlocks(shape, schedule).scores)
                          .floorDiv(shape.list.getHeads());
  return graph::canonicalizeSize(scores * (2 * (shape.size + shape.valueSize)));
}

/// The launch that writes V^T; few queries, which read V, need none of it.
static LogicalResult addTransposedValues(graph::GroupOp group,
                                         LoweringContext &context,
                                         const AttentionShape &shape,
                                         ArrayRef<QueryClass> classes,
                                         int64_t block, LoweredGroup &lowered) {
  lowered.temporaries.push_back(getTransposedValues(shape, block));
  LaunchBuilder launch(group, context);
  launch.setTemporaries(lowered.temporaries);
  for (const QueryClass &queries : classes.drop_back()) {
    KernelBuilder nothing = launch.addKernel("attention", {0});
    nothing.addCondition(queries.condition);
    nothing.setGrid({getAffineConstantExpr(0, group.getContext())});
  }
  if (failed(buildTransposedValues(launch, shape, block)))
    return failure();
  lowered.launches.push_back(launch.finish(
      "attention_values_" + std::to_string(shape.valueSize), AffineExpr()));
  return success();
}

static SmallVector<tile::ScheduleAttr>
getAttrs(graph::GroupOp group, ArrayRef<SplitSchedule> schedules) {
  return llvm::map_to_vector(schedules, [&](const SplitSchedule &its) {
    return its.getAttr(group.getContext());
  });
}

/// The launch that computes parts of the keys, if their conditions hold.
static LogicalResult addParts(graph::GroupOp group, LoweringContext &context,
                              const AttentionShape &shape,
                              const AttentionSplit &split, StringRef name,
                              LoweredGroup &lowered) {
  llvm::append_range(lowered.temporaries, split.temporaries);
  LaunchBuilder launch(group, context);
  launch.setTemporaries(lowered.temporaries);
  auto listed = getAttrs(group, split.schedules);
  auto build = [&](KernelBuilder &kernel, unsigned index) {
    split.addConditions(kernel, /*isWhole=*/false);
    return buildPartKernel(launch, shape, split, split.schedules[index],
                           /*isWhole=*/false, kernel);
  };
  std::string own = (name + "_parts").str();
  if (failed(launch.addKernels(own + ", few queries", listed, build)))
    return failure();
  bool isAlways = split.isAlways(/*isWhole=*/false);
  if (!isAlways)
    launch.addKernel("attention", {0})
        .setGrid({getAffineConstantExpr(0, group.getContext())});
  lowered.launches.push_back(launch.finish(
      own, isAlways ? getFlops(shape, AttentionSchedule()) : AffineExpr()));
  return success();
}

/// The kernels of the second launch: those that merge, those of whole heads.
static LogicalResult addSecond(LaunchBuilder &launch,
                               const AttentionShape &shape,
                               const AttentionSplit &split,
                               StringRef workload) {
  if (!split.schedules.empty() &&
      failed(buildMergeKernel(launch, shape, split)))
    return failure();
  if (split.wholeSchedules.empty())
    return success();
  auto build = [&](KernelBuilder &kernel, unsigned index) {
    split.addConditions(kernel, /*isWhole=*/true);
    return buildPartKernel(launch, shape, split, split.wholeSchedules[index],
                           /*isWhole=*/true, kernel);
  };
  return launch.addKernels((workload + ", few queries of many heads").str(),
                           getAttrs(launch.getGroup(), split.wholeSchedules),
                           build);
}

static std::string getName(graph::GroupOp group, const AttentionShape &shape) {
  graph::AttentionOp op = shape.op;
  bool isSigmoid = isa<graph::SigmoidAttr>(Attribute(op.getScore()));
  std::string name = isSigmoid ? "attention_sigmoid_" : "attention_softmax_";
  name += std::to_string(shape.size);
  if (isa<graph::WindowAttr>(Attribute(op.getSelection())))
    name += "_window";
  if (shape.list)
    name += "_blocks";
  if (op.getMask())
    name += "_mask";
  std::string ops = getOpsName(group, op);
  return ops.empty() ? name : name + "_" + ops;
}

namespace {

class AttentionStrategy : public Strategy {
public:
  graph::GroupKind getKind() const override {
    return graph::GroupKind::attention;
  }

  LogicalResult match(graph::GroupOp group, const LoweringContext &context,
                      std::string &reason) const override {
    auto shape = analyzeAttention(group, context.dimsOf, reason);
    if (!shape)
      return failure();
    AttentionSchedule schedule;
    if (fitShared(context.capability, *shape, schedule))
      return success();
    reason = "heads of " + std::to_string(shape->size) + " and " +
             std::to_string(shape->valueSize) +
             " elements do not fit the memory of a workgroup";
    return failure();
  }

  FailureOr<LoweredGroup> lower(graph::GroupOp group,
                                LoweringContext &context) const override {
    std::string reason;
    auto shape = analyzeAttention(group, context.dimsOf, reason);
    if (!shape)
      return group.emitError("no attention: ") << reason;
    std::string name = getName(group, *shape), workload = name;
    if (shape->valueSize != shape->size)
      workload += "_to_" + std::to_string(shape->valueSize);
    LoweredGroup lowered;
    auto split = getAttentionSplit(context.capability, *shape, context.dimsOf);
    if (split && !split->schedules.empty() &&
        failed(addParts(group, context, *shape, *split, name, lowered)))
      return group.emitError("cannot build a kernel for ") << *shape->op;
    SmallVector<QueryClass, 2> classes;
    if (!split || !split->conditions.empty())
      classes = getClasses(context.capability, *shape);
    if (int64_t block = transposeValues(classes, *shape))
      if (failed(addTransposedValues(group, context, *shape, classes, block,
                                     lowered)))
        return group.emitError("cannot build a kernel for ") << *shape->op;
    LaunchBuilder launch(group, context);
    launch.setTemporaries(lowered.temporaries);
    if (split && failed(addSecond(launch, *shape, *split, workload)))
      return group.emitError("cannot build a kernel for ") << *shape->op;
    for (const QueryClass &queries : classes) {
      SmallVector<tile::ScheduleAttr> listed;
      for (const AttentionSchedule &schedule : queries.schedules)
        listed.push_back(tile::ScheduleAttr::get(
            group.getContext(), "attention",
            {schedule.lanes, schedule.keys, schedule.edgeKeys}, /*stages=*/1,
            schedule.warps));
      auto build = [&](KernelBuilder &kernel, unsigned index) {
        if (queries.condition)
          kernel.addCondition(queries.condition);
        return buildAttentionKernel(launch, *shape, queries.schedules[index],
                                    kernel);
      };
      if (failed(launch.addKernels(workload + ", " + queries.name.str(), listed,
                                   build)))
        return group.emitError("cannot build a kernel for ") << *shape->op;
    }
    AffineExpr flops;
    if (!classes.empty())
      flops = getFlops(*shape, classes.back().schedules.front());
    lowered.launches.push_back(launch.finish(name, flops));
    return lowered;
  }
};

} // namespace

std::unique_ptr<Strategy> lathe::kernels::createAttentionStrategy() {
  return std::make_unique<AttentionStrategy>();
}
