// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The contract strategy: linear layers and matrix products, with whatever
// elementwise ops and views follow them. The row count selects the kernel: a
// single row streams the weights, few rows run through all column panels in
// turn, many rows go in groups that stay in the second-level cache.

#include "lib/Kernels/ContractBlocks.h"
#include "lib/Kernels/ContractKernel.h"

#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Kernels/FlatTile.h"
#include "lib/Kernels/MicroTile.h"
#include "lib/Kernels/UnitTile.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;

namespace {

/// Row counts that are served alike, and schedules for them, the preferred one
/// first.
struct RowClass {
  std::string name;
  AffineExpr condition; ///< `condition >= 0`, or always if null.
  SmallVector<ContractSchedule> schedules;
};

} // namespace

/// More rows leave less of a matrix unit empty; codes that share a byte, which
/// need many more steps there, and come from memory, are worth it later.
static int64_t getFewRows(graph::GroupOp group, const Contraction &c) {
  constexpr int64_t few = 2, fewDecoded = 4;
  return llvm::any_of(c.branches,
                      [&](const ContractBranch &branch) {
                        return branch.getParts(group) > 1;
                      })
             ? fewDecoded
             : few;
}

/// Why a matrix unit of a CPU cannot take the products of a branch; "" if it
/// can.
static std::string getUnitProblem(graph::GroupOp group, const Contraction &c,
                                  const ContractBranch &branch) {
  constexpr int64_t step = Capability::kUnitBytes;
  // Codes are decoded on their way to the product: of more to a byte, that
  // takes longer than the product.
  constexpr int64_t mostParts = 2;
  int64_t k = getConstantSize(c.k).value_or(0);
  if (branch.kind == ContractKind::BF16Pairs)
    return k >= step / 2 ? "" : "of fewer inputs than one of its steps";
  if (branch.kind != ContractKind::DynamicInt8)
    return "of no type that it multiplies";
  if (int64_t parts = branch.getParts(group); parts > mostParts)
    return llvm::formatv("of {0} codes to a byte, which it would wait for",
                         parts);
  if (int64_t size = c.quantizer.getGroup(); size % step != 0)
    return llvm::formatv("in groups of {0} inputs, no multiple of its {1}",
                         size, step);
  return k >= step ? "" : "of fewer inputs than one of its steps";
}

/// Whether a matrix unit takes all products of `rows` rows: there is enough of
/// k, and more than the few rows that would leave most of the unit empty.
static bool usesMatrixUnit(const Capability &capability, graph::GroupOp group,
                           const Contraction &c, std::optional<int64_t> rows) {
  if (!capability.matrixUnit || capability.kind != Capability::Kind::Cpu ||
      (rows && *rows <= getFewRows(group, c)))
    return false;
  return llvm::all_of(c.branches, [&](const ContractBranch &branch) {
    return getUnitProblem(group, c, branch).empty();
  });
}

/// What a user should know of 8-bit products that a matrix unit does not take.
static std::string getUnitRemark(const Capability &capability,
                                 graph::GroupOp group, const Contraction &c) {
  if (!c.quantizer || !capability.matrixUnit ||
      capability.kind != Capability::Kind::Cpu)
    return "";
  for (const ContractBranch &branch : c.branches)
    if (std::string why = getUnitProblem(group, c, branch); !why.empty())
      return "the matrix unit does not take weights " + why;
  return "";
}

/// So many steps hide what a tile costs beside them; their panels are near.
static constexpr int64_t kFewSteps = 256;

/// Shapes of the accumulator for `rows` rows, the preferred one first.
static SmallVector<ContractSchedule>
getMicroTiles(const Capability &capability, graph::GroupOp group,
              const Contraction &c, std::optional<int64_t> rows) {
  SmallVector<MicroTile, 3> listed;
  if (capability.kind == Capability::Kind::Gpu) {
    listed = listThreadTiles(rows, c.panelColumns);
  } else if (usesMatrixUnit(capability, group, c, rows)) {
    // Sums that are scaled group by group are not stored as they come.
    bool isOneGroup =
        !c.quantizer || c.quantizer.getGroup() >= *getConstantSize(c.k);
    listed = listMatrixTiles(capability, rows, c.panelColumns, isOneGroup);
  } else {
    ProductSizes sizes;
    sizes.rows = rows;
    // The pixels of an image times a batch: one image is the least.
    if (int64_t image = c.m.getLargestKnownDivisor(); !rows && image > 1)
      sizes.rows = image;
    sizes.columns = getConstantSize(c.n);
    // Groups of rows see to it that long panels are read seldom.
    if (auto k = getConstantSize(c.k); k && sizes.rows)
      sizes.steps = std::min<int64_t>(*k, kFewSteps);
    sizes.panelColumns = c.panelColumns;
    listed = listMicroTiles(capability, sizes);
  }
  SmallVector<ContractSchedule> tiles;
  for (MicroTile tile : listed) {
    ContractSchedule schedule;
    schedule.rows = tile.rows;
    schedule.columns = tile.columns;
    schedule.depth = tile.depth;
    tiles.push_back(schedule);
  }
  return tiles;
}

/// Row tiles whose input fills half of the second-level cache; 0 if k is not
/// known, if programs run in no order (on a GPU), or if k is so long that a
/// group would have too few rows to read the weight for: it had better stay
/// while all rows pass by.
static int64_t getGroupTiles(const Capability &capability, const Contraction &c,
                             int64_t rows) {
  auto k = getConstantSize(c.k);
  if (!k || *k == 0 || !c.batch.empty() ||
      capability.kind == Capability::Kind::Gpu)
    return 0;
  constexpr int64_t fewRows = 64;
  int64_t bytesPerRow = *k * (c.quantizer ? 1 : c.narrowInput ? 2 : 4);
  int64_t nearRows = capability.l2Bytes / 2 / bytesPerRow;
  return nearRows < fewRows ? 0 : std::max<int64_t>(nearRows / rows, 1);
}

/// The most codes in a byte of the weights.
static int64_t getCodesOfByte(const Contraction &c) {
  auto group = cast<graph::GroupOp>(c.root->getParentOp());
  int64_t most = 1;
  for (const ContractBranch &branch : c.branches)
    most = std::max(most, branch.getParts(group));
  return most;
}

/// Schedules for few rows, where there is one row of weights for each column
/// and nothing else to multiply with them.
static SmallVector<ContractSchedule>
getFlatSchedules(const Capability &capability, const Contraction &c,
                 const UnitSizes &sizes) {
  SmallVector<ContractSchedule> schedules;
  if (c.branches.size() != 1 || c.quantizer ||
      c.unitElement.getIntOrFloatBitWidth() != 16 ||
      (!c.readsCodes && getNarrowElement(c) != c.unitElement))
    return schedules;
  FlatSizes flat;
  flat.sizes = sizes;
  if (c.readsCodes) {
    flat.weightBits /= 2 * getCodesOfByte(c);
    flat.depth *= getCodesOfByte(c);
    flat.mostColumns = c.panelColumns;
  }
  for (const FlatTile &tile : listFlatTiles(capability, flat)) {
    ContractSchedule schedule;
    schedule.rows = tile.rows;
    schedule.columns = tile.columns;
    schedule.depth = flat.depth;
    schedule.warps = tile.warps;
    schedule.stages = tile.stages;
    schedule.cluster = tile.split;
    schedule.isFlat = true;
    schedules.push_back(schedule);
  }
  return schedules;
}

/// Schedules for a GPU's matrix unit.
static SmallVector<ContractSchedule>
getUnitSchedules(const Capability &capability, const Contraction &c,
                 std::optional<int64_t> rows) {
  UnitSizes sizes{rows, getConstantSize(c.n), getConstantSize(c.k)};
  sizes.isAlongK = c.isAlongK;
  if (c.unitElement)
    sizes.elementBytes = c.unitElement.getIntOrFloatBitWidth() / 8;
  sizes.products = int64_t(c.branches.size());
  for (AffineExpr dim : c.batch)
    sizes.batch *= std::max<int64_t>(getConstantSize(dim).value_or(1), 1);
  SmallVector<ContractSchedule> schedules =
      getFlatSchedules(capability, c, sizes);
  Capability its = capability;
  // Codes are decoded for products of one warp.
  constexpr int64_t warpRows = 16;
  if (c.readsCodes)
    its.unitRows = warpRows;
  for (const UnitTile &tile : listUnitTiles(its, sizes)) {
    if (c.readsCodes && tile.columns > c.panelColumns)
      continue;
    ContractSchedule schedule;
    schedule.rows = tile.rows;
    schedule.columns = tile.columns;
    schedule.depth =
        c.readsCodes ? kUnitRun : kUnitLineBytes / sizes.elementBytes;
    schedule.warps = tile.warps;
    // What is decoded wants memory beside the stages.
    schedule.stages =
        c.readsCodes ? std::min<int64_t>(tile.stages, 2) : tile.stages;
    schedule.cluster = tile.cluster;
    schedules.push_back(schedule);
  }
  return schedules;
}

/// Few rows leave most processors without a tile unless tiles are small.
static SmallVector<RowClass> getUnitClasses(const Capability &capability,
                                            const Contraction &c) {
  if (auto m = getConstantSize(c.m))
    return {{std::to_string(*m) + " rows", AffineExpr(),
             getUnitSchedules(capability, c, m)}};
  SmallVector<RowClass> classes;
  for (int64_t most : {8, 16, 32, 64, 256, 1024}) {
    // Few rows are told apart where they have schedules of their own.
    bool isOnlyFlat = most == 8 || most == 32;
    if (most < c.m.getLargestKnownDivisor() ||
        (isOnlyFlat && !getUnitSchedules(capability, c, most).front().isFlat))
      continue;
    classes.push_back({"up to " + std::to_string(most) + " rows", most - c.m,
                       getUnitSchedules(capability, c, most)});
    // One that serves as well as the one before does.
    if (classes.size() > 1 &&
        classes.end()[-2].schedules.front() == classes.back().schedules.front())
      classes.erase(classes.end() - 2);
  }
  classes.push_back(
      {"rows", AffineExpr(), getUnitSchedules(capability, c, std::nullopt)});
  return classes;
}

static SmallVector<RowClass> getRowClasses(const Capability &capability,
                                           graph::GroupOp group,
                                           const Contraction &c) {
  if (c.unitElement || c.readsCodes)
    return getUnitClasses(capability, c);
  SmallVector<ContractSchedule> micro =
      getMicroTiles(capability, group, c, getConstantSize(c.m));
  SmallVector<RowClass> classes;
  auto m = getConstantSize(c.m);
  // Pixels of an image times a batch are never a single row.
  if (!m && c.m.getLargestKnownDivisor() == 1) {
    RowClass single{"one row", 1 - c.m, getMicroTiles(capability, group, c, 1)};
    classes.push_back(single);
  }
  if (int64_t few = getFewRows(group, c);
      !classes.empty() && few > 2 &&
      usesMatrixUnit(capability, group, c, few + 1))
    classes.push_back(
        {"few rows", few - c.m, getMicroTiles(capability, group, c, few)});
  RowClass some{m ? std::to_string(*m) + " rows" : "rows", AffineExpr(), micro};
  int64_t tiles = getGroupTiles(capability, c, micro.front().rows);
  // The last group may be almost empty: worth it from three groups on.
  int64_t fromRows = 3 * tiles * micro.front().rows;
  if (tiles > 0 && (!m || *m >= fromRows)) {
    RowClass many = some;
    if (!m) {
      many.name = "many rows";
      many.condition = c.m - fromRows;
    }
    for (ContractSchedule &schedule : many.schedules)
      schedule.groupTiles = getGroupTiles(capability, c, schedule.rows);
    many.schedules.append(micro);
    classes.push_back(many);
  }
  if (classes.empty() || classes.back().condition)
    classes.push_back(some);
  return classes;
}

static std::string getName(graph::GroupOp group, const Contraction &c) {
  std::string name = c.quantizer ? "linear_int8_" : "linear_";
  if (c.branches.front().kind == ContractKind::Blocks)
    name = c.quantizer ? "linear_blocks_int8_" : "linear_blocks_";
  if (isa<graph::MatmulOp>(c.root))
    name = "matmul_";
  name += getShapeName({c.k, c.n});
  std::string ops = getOpsName(group, c.root);
  return ops.empty() ? name : name + "_" + ops;
}

/// The launch that quantizes the input.
static LogicalResult addQuantize(graph::GroupOp group, const Contraction &c,
                                 LoweringContext &context,
                                 LoweredGroup &lowered) {
  for (Temporary &temporary : getQuantizedInput(c))
    lowered.temporaries.push_back(std::move(temporary));
  LaunchBuilder launch(group, context);
  launch.setTemporaries(lowered.temporaries);
  if (failed(buildQuantizeKernel(launch, c)))
    return group.emitError("cannot quantize the input of ") << *c.root;
  lowered.launches.push_back(
      launch.finish("quantize_" + getShapeName({c.k}), AffineExpr()));
  return success();
}

/// The launches that multiply with lists of blocks.
static LogicalResult addBlocks(graph::GroupOp group, Contraction &c,
                               LoweringContext &context,
                               LoweredGroup &lowered) {
  c.branches.front().kind = ContractKind::Blocks;
  unsigned transposed = lowered.temporaries.size();
  lowered.temporaries.push_back(getTransposedInput(c));
  LaunchBuilder transpose(group, context);
  transpose.setTemporaries(lowered.temporaries);
  if (failed(buildTransposeKernel(transpose, c, transposed)))
    return group.emitError("cannot transpose the input of ") << *c.root;
  lowered.launches.push_back(
      transpose.finish("transpose_" + getShapeName({c.k}), AffineExpr()));

  LaunchBuilder launch(group, context);
  launch.setTemporaries(lowered.temporaries);
  std::string name = getName(group, c);
  auto addRows = [&](std::optional<int64_t> most, StringRef rows) {
    auto tiles = listBlockTiles(context.capability, most);
    auto build = [&](KernelBuilder &kernel, unsigned index) {
      if (most && !getConstantSize(c.m))
        kernel.addCondition(*most - c.m);
      return buildBlocksKernel(launch, c, transposed, tiles[index], kernel);
    };
    return launch.addKernels("contract", (name + ", " + rows).str(), tiles,
                             build);
  };
  auto m = getConstantSize(c.m);
  int64_t few = context.capability.getLanes(32);
  if (!m && failed(addRows(few, "few rows")))
    return failure();
  if (failed(addRows(m, m ? std::to_string(*m) + " rows" : "rows")))
    return group.emitError("cannot build a kernel for ") << *c.root;
  lowered.launches.push_back(launch.finish(name, c.getFlops()));
  return success();
}

/// Launches that write panels of weights that would be read across, where there
/// may be enough rows to pay for it.
static LogicalResult addPanels(graph::GroupOp group, Contraction &c,
                               LoweringContext &context,
                               LoweredGroup &lowered) {
  constexpr int64_t fewRows = 8;
  auto m = getConstantSize(c.m);
  if (m && *m < fewRows)
    return success();
  for (ContractBranch &branch : c.branches) {
    if (!hasScatteredColumns(branch, context.dimsOf))
      continue;
    branch.panels = lowered.temporaries.size();
    lowered.temporaries.push_back(getPanels(c, branch));
    LaunchBuilder launch(group, context);
    launch.setTemporaries(lowered.temporaries);
    if (failed(buildPanelsKernel(launch, c, branch)))
      return group.emitError("cannot pack a weight of ") << *c.root;
    lowered.launches.push_back(
        launch.finish("panels_" + getShapeName({c.k, c.n}), AffineExpr()));
  }
  return success();
}

namespace {

class ContractStrategy : public Strategy {
public:
  graph::GroupKind getKind() const override {
    return graph::GroupKind::contract;
  }

  LogicalResult match(graph::GroupOp group, const LoweringContext &context,
                      std::string &reason) const override {
    return success(
        analyzeContraction(group, context.dimsOf, reason).has_value());
  }

  FailureOr<LoweredGroup> lower(graph::GroupOp group,
                                LoweringContext &context) const override {
    std::string reason;
    auto c = analyzeContraction(group, context.dimsOf, reason);
    if (!c)
      return group.emitError("no contraction: ") << reason;
    LoweredGroup lowered;
    bool hasUnit = context.capability.kind == Capability::Kind::Gpu &&
                   context.capability.matrixUnit;
    if (hasUnit)
      decodeOnUnit(*c, group, context.dimsOf);
    c->spreadsCodes = c->quantizer && usesMatrixUnit(context.capability, group,
                                                     *c, std::nullopt);
    if (c->quantizer && failed(addQuantize(group, *c, context, lowered)))
      return failure();
    if (usesBlocks(context.capability, *c, lowered.remark)) {
      if (failed(addBlocks(group, *c, context, lowered)))
        return failure();
      return lowered;
    }
    if (hasUnit && getNarrowElement(*c))
      useMatrixUnit(*c, context.dimsOf, context.capability);
    if (!c->unitElement && !c->readsCodes &&
        failed(addPanels(group, *c, context, lowered)))
      return failure();
    if (lowered.remark.empty())
      lowered.remark = getUnitRemark(context.capability, group, *c);
    LaunchBuilder launch(group, context);
    launch.setTemporaries(lowered.temporaries);
    std::string name = getName(group, *c);
    for (const RowClass &rows : getRowClasses(context.capability, group, *c)) {
      SmallVector<tile::ScheduleAttr> listed;
      for (const ContractSchedule &schedule : rows.schedules)
        listed.push_back(schedule.getAttr(group.getContext()));
      auto build = [&](KernelBuilder &kernel, unsigned index) {
        if (rows.condition)
          kernel.addCondition(rows.condition);
        return buildContractKernel(launch, *c, rows.schedules[index], kernel);
      };
      if (failed(launch.addKernels(name + ", " + rows.name, listed, build)))
        return group.emitError("cannot build a kernel for ") << *c->root;
    }
    lowered.launches.push_back(launch.finish(name, c->getFlops()));
    return lowered;
  }
};

} // namespace

std::unique_ptr<Strategy> lathe::kernels::createContractStrategy() {
  return std::make_unique<ContractStrategy>();
}
