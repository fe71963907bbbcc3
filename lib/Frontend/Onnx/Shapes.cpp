// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Ops that move elements without looking at them.

#include "lib/Frontend/Onnx/NodeImporter.h"
#include "llvm/ADT/Sequence.h"

using namespace lathe;
using namespace lathe::onnx;
using namespace mlir;

static LogicalResult importShape(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Dims dims = b.getDims(node.in(0));
  int64_t rank = dims.size();
  auto clampToRank = [&](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  int64_t start = clampToRank(node.getInt("start", 0));
  int64_t end = clampToRank(node.getInt("end", rank));
  if (start >= end)
    return node.set(b.integers({}));
  SmallVector<int64_t> known = graph::toStaticShape(dims);
  ArrayRef<int64_t> wanted = ArrayRef(known).slice(start, end - start);
  if (!ShapedType::isDynamicShape(wanted))
    return node.set(b.integers(wanted));
  SmallVector<Value> sizes;
  for (int64_t axis = start; axis < end; ++axis)
    sizes.push_back(b.reshape(
        b.create<graph::DimOp>(b.getI64Type(), node.in(0), axis), b.size(1)));
  return node.set(b.concat(sizes, 0));
}

static LogicalResult importSize(NodeImporter &node) {
  GraphBuilder &b = node.b;
  return node.set(b.sizeValue(b.product(b.getDims(node.in(0)))));
}

static LogicalResult importReshape(NodeImporter &node) {
  GraphBuilder &b = node.b;
  if (node.opset < 5 || failed(node.checkRank(1, 1, 1)))
    return node.invalid("the shape must be a 1-D tensor");
  UnitAttr allowZero =
      node.getInt("allowzero", 0) != 0 ? b.getUnitAttr() : UnitAttr();
  return node.set(b.create<graph::DynamicReshapeOp>(
      b.getElementType(node.in(0)), node.in(0), node.in(1), allowZero,
      DenseI64ArrayAttr()));
}

static LogicalResult importFlatten(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Dims dims = b.getDims(node.in(0));
  int64_t rank = dims.size(), axis = node.getInt("axis", 1);
  if (axis < -rank || axis > rank)
    return node.invalid("attribute 'axis' is " + Twine(axis) +
                        ", out of range for rank " + Twine(rank));
  axis += axis < 0 ? rank : 0;
  return node.set(
      b.reshape(node.in(0), {b.product(ArrayRef(dims).take_front(axis)),
                             b.product(ArrayRef(dims).drop_front(axis))}));
}

static LogicalResult importSqueeze(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Dims dims = b.getDims(node.in(0)), result;
  std::optional<SmallVector<int64_t>> axes =
      node.getConstantOrAttr(1, "axes", 13);
  if (axes && !(axes = node.getAxes(*axes, dims.size())))
    return failure();
  for (auto [i, dim] : llvm::enumerate(dims)) {
    auto size = dyn_cast<AffineConstantExpr>(dim);
    bool drop = axes ? llvm::is_contained(*axes, static_cast<int64_t>(i))
                     : size && size.getValue() == 1;
    if (!axes && !size)
      return node.unsupported("without axes, dim " + Twine(i) +
                              " must be known at compile time");
    if (drop && size && size.getValue() != 1)
      return node.invalid("axis " + Twine(i) + " has size " +
                          Twine(size.getValue()) + "; allowed is 1");
    if (!drop)
      result.push_back(dim);
  }
  return node.set(b.reshape(node.in(0), result));
}

static LogicalResult importUnsqueeze(NodeImporter &node) {
  GraphBuilder &b = node.b;
  auto axes = node.getConstantOrAttr(1, "axes", 13);
  if (!axes)
    return node.wasRefused() ? failure() : node.invalid("'axes' is missing");
  auto positive = node.getAxes(*axes, b.getRank(node.in(0)) + axes->size());
  if (!positive)
    return failure();
  return node.set(b.unsqueeze(node.in(0), *positive));
}

static LogicalResult importTranspose(NodeImporter &node) {
  GraphBuilder &b = node.b;
  int64_t rank = b.getRank(node.in(0));
  SmallVector<int64_t> reversed(llvm::reverse(llvm::seq<int64_t>(0, rank)));
  SmallVector<int64_t> order = node.getInts("perm").value_or(reversed);
  SmallVector<int64_t> sorted(order);
  llvm::sort(sorted);
  if (!llvm::equal(sorted, llvm::seq<int64_t>(0, rank)))
    return node.invalid("attribute 'perm' must be a permutation of 0 to " +
                        Twine(rank - 1));
  return node.set(b.transpose(node.in(0), order));
}

static LogicalResult importConcat(NodeImporter &node) {
  GraphBuilder &b = node.b;
  auto axis = node.getAxis(node.getInt("axis", node.opset < 4 ? 1 : 0),
                           b.getRank(node.in(0)));
  if (!axis)
    return failure();
  return node.set(b.concat(node.getInputs(), *axis));
}

//===-- Split and slice ---------------------------------------------------===//

/// The sizes of the parts of a split of `total` when none are given.
static LogicalResult getEqualParts(NodeImporter &node, AffineExpr total,
                                   SmallVectorImpl<AffineExpr> &parts) {
  GraphBuilder &b = node.b;
  int64_t count = node.getNumOutputs();
  if (node.opset >= 18)
    count = node.getInt("num_outputs", count);
  if (count <= 0 || count > int64_t(node.getNumOutputs()))
    return node.invalid("attribute 'num_outputs' is " + Twine(count) +
                        ", but the node has " + Twine(node.getNumOutputs()) +
                        " outputs");
  if (auto size = dyn_cast<AffineConstantExpr>(total)) {
    // The last part takes what is left.
    int64_t part = llvm::divideCeil(size.getValue(), count);
    int64_t last = size.getValue() - part * (count - 1);
    if (last < 0)
      return node.invalid("cannot split " + Twine(size.getValue()) +
                          " elements into " + Twine(count) + " parts");
    parts.append(count - 1, b.size(part));
    parts.push_back(b.size(last));
    return success();
  }
  AffineExpr part = total.ceilDiv(count);
  parts.append(count - 1, part);
  parts.push_back(total - part * (count - 1));
  return success();
}

static LogicalResult importSplit(NodeImporter &node) {
  GraphBuilder &b = node.b;
  auto axis = node.getAxis(node.getInt("axis", 0), b.getRank(node.in(0)));
  if (!axis)
    return failure();
  AffineExpr total = b.getDim(node.in(0), *axis);
  SmallVector<AffineExpr> parts;
  if (node.opset >= 13 && node.hasInput(1)) {
    std::optional<Dims> given = b.getContents(node.in(1));
    if (!given)
      return node.unsupported("sizes of the parts must be known at compile "
                              "time or follow from named dims");
    parts.assign(given->begin(), given->end());
  } else if (auto given =
                 node.opset < 13 ? node.getInts("split") : std::nullopt) {
    parts = b.sizes(*given);
  } else if (failed(getEqualParts(node, total, parts))) {
    return failure();
  }
  if (parts.size() != node.getNumOutputs())
    return node.invalid("splits into " + Twine(parts.size()) +
                        " parts, but has " + Twine(node.getNumOutputs()) +
                        " outputs");
  SmallVector<Value> results;
  AffineExpr start = b.size(0);
  for (AffineExpr part : parts) {
    results.push_back(b.slice(node.in(0), *axis, start, part));
    start = start + part;
  }
  auto known = dyn_cast<AffineConstantExpr>(total);
  auto end = dyn_cast<AffineConstantExpr>(start);
  if (known && end && known.getValue() != end.getValue())
    return node.invalid("the parts have " + Twine(end.getValue()) +
                        " elements together, axis " + Twine(*axis) + " has " +
                        Twine(known.getValue()));
  return node.set(results);
}

static LogicalResult importSlice(NodeImporter &node) {
  GraphBuilder &b = node.b;
  SmallVector<Value> bounds;
  if (node.opset < 10) {
    for (StringRef name : {"starts", "ends", "axes"}) {
      auto values = node.getInts(name);
      if (!values && name != "axes")
        return node.invalid("attribute '" + name + "' is missing");
      bounds.push_back(values ? b.integers(*values) : Value());
    }
  } else {
    if (node.getNumInputs() < 3)
      return node.invalid("starts and ends must be given");
    bounds.assign(node.getInputs().begin() + 1, node.getInputs().end());
  }
  bounds.resize(4);
  for (Value &bound : bounds)
    if (bound)
      bound = b.cast(bound, b.getI64Type());
  return node.set(b.create<graph::DynamicSliceOp>(
      b.getElementType(node.in(0)), node.in(0), bounds[0], bounds[1], bounds[2],
      bounds[3], DenseI64ArrayAttr()));
}

//===-- Repetition and padding --------------------------------------------===//

static LogicalResult importExpand(NodeImporter &node) {
  GraphBuilder &b = node.b;
  if (failed(node.checkRank(1, 1, 1)))
    return failure();
  return node.set(b.create<graph::DynamicBroadcastOp>(
      b.getElementType(node.in(0)), node.in(0), node.in(1),
      DenseI64ArrayAttr()));
}

static LogicalResult importTile(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Dims dims = b.getDims(node.in(0));
  std::optional<Dims> repeats = b.getContents(node.in(1));
  if (!repeats)
    return node.unsupported("repeats must be known at compile time or follow "
                            "from named dims");
  if (repeats->size() != dims.size())
    return node.invalid("has " + Twine(repeats->size()) + " repeats for rank " +
                        Twine(dims.size()));
  // [d0, d1] -> [1, d0, 1, d1] -> [r0, d0, r1, d1] -> [r0 d0, r1 d1]
  Dims apart, repeated, result;
  for (auto [dim, repeat] : llvm::zip_equal(dims, *repeats)) {
    if (auto known = dyn_cast<AffineConstantExpr>(repeat);
        known && known.getValue() < 0)
      return node.invalid("repeats must not be negative");
    apart.append({b.size(1), dim});
    repeated.append({repeat, dim});
    result.push_back(b.product({repeat, dim}));
  }
  Value spread = b.broadcast(b.reshape(node.in(0), apart), repeated);
  return node.set(b.reshape(spread, result));
}

static LogicalResult importPad(NodeImporter &node) {
  GraphBuilder &b = node.b;
  int64_t rank = b.getRank(node.in(0));
  auto mode = graph::symbolizePadMode(node.getString("mode", "constant"));
  if (!mode)
    return node.invalid("attribute 'mode' is '" + node.getString("mode", "") +
                        "'; allowed are constant, edge, reflect and wrap");
  auto pads = node.getConstantOrAttr(1, "pads", 11);
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  if (node.hasInput(3)) {
    auto given = node.getConstant(3);
    if (!given)
      return failure();
    axes.clear();
    for (int64_t axis : *given) {
      auto positive = node.getAxis(axis, rank);
      if (!positive)
        return failure();
      axes.push_back(*positive);
    }
  }
  if (!pads)
    return node.wasRefused() ? failure() : node.invalid("'pads' is missing");
  if (pads->size() != 2 * axes.size())
    return node.invalid("has " + Twine(pads->size()) + " pads for " +
                        Twine(axes.size()) + " axes");
  SmallVector<int64_t> low(rank), high(rank);
  for (auto [i, axis] : llvm::enumerate(axes)) {
    low[axis] = (*pads)[i];
    high[axis] = (*pads)[i + axes.size()];
  }
  Value fill;
  if (*mode == graph::PadMode::constant) {
    double value = node.opset < 11 ? node.getFloat("value", 0.0) : 0.0;
    fill = node.hasInput(2) ? b.reshape(node.in(2), {})
                            : b.scalarLike(node.in(0), value);
  }
  return node.set(b.create<graph::PadOp>(b.getElementType(node.in(0)),
                                         node.in(0), fill, low, high, *mode));
}

//===-- Blocks ------------------------------------------------------------===//

static LogicalResult importDepthToSpace(NodeImporter &node) {
  GraphBuilder &b = node.b;
  int64_t block = node.getInt("blocksize", 0);
  std::string mode = node.opset < 11 ? "DCR" : node.getString("mode", "DCR");
  if (failed(node.checkRank(0, 4, 4)))
    return failure();
  if (block <= 0 || (mode != "DCR" && mode != "CRD"))
    return node.invalid("'blocksize' must be positive, 'mode' DCR or CRD");
  Dims d = b.getDims(node.in(0));
  AffineExpr s = b.size(block), c = d[1].floorDiv(block * block);
  bool isDcr = mode == "DCR";
  Value split = isDcr ? b.reshape(node.in(0), {d[0], s, s, c, d[2], d[3]})
                      : b.reshape(node.in(0), {d[0], c, s, s, d[2], d[3]});
  Value moved = isDcr ? b.transpose(split, {0, 3, 4, 1, 5, 2})
                      : b.transpose(split, {0, 1, 4, 2, 5, 3});
  return node.set(b.reshape(moved, {d[0], c, d[2] * block, d[3] * block}));
}

static LogicalResult importSpaceToDepth(NodeImporter &node) {
  GraphBuilder &b = node.b;
  int64_t block = node.getInt("blocksize", 0);
  if (failed(node.checkRank(0, 4, 4)))
    return failure();
  std::string mode = node.opset < 28 ? "DCR" : node.getString("mode", "DCR");
  if (block <= 0 || (mode != "DCR" && mode != "CRD"))
    return node.invalid("'blocksize' must be positive, 'mode' DCR or CRD");
  Dims d = b.getDims(node.in(0));
  AffineExpr s = b.size(block);
  AffineExpr h = d[2].floorDiv(block), w = d[3].floorDiv(block);
  Value split = b.reshape(node.in(0), {d[0], d[1], h, s, w, s});
  Value moved = mode == "DCR" ? b.transpose(split, {0, 3, 5, 1, 2, 4})
                              : b.transpose(split, {0, 1, 3, 5, 2, 4});
  return node.set(b.reshape(moved, {d[0], d[1] * (block * block), h, w}));
}

static LogicalResult importCenterCropPad(NodeImporter &node) {
  GraphBuilder &b = node.b;
  int64_t rank = b.getRank(node.in(0));
  SmallVector<int64_t> axes = node.getInts("axes").value_or(
      llvm::to_vector(llvm::seq<int64_t>(0, rank)));
  auto target = node.getConstant(1);
  if (!target)
    return failure();
  if (target->size() != axes.size())
    return node.invalid("has " + Twine(target->size()) + " sizes for " +
                        Twine(axes.size()) + " axes");
  SmallVector<int64_t> low(rank), high(rank);
  for (auto [axis, size] : llvm::zip_equal(axes, *target)) {
    auto positive = node.getAxis(axis, rank);
    if (!positive)
      return failure();
    auto found = dyn_cast<AffineConstantExpr>(b.getDim(node.in(0), *positive));
    if (!found)
      return node.unsupported("dim " + Twine(axis) +
                              " must be known at compile time");
    // What is missing or too much, the odd element at the end; the reference
    // crops from floor(excess / 2) on.
    int64_t missing = size - found.getValue();
    low[*positive] = missing >= 0 ? missing / 2 : -(-missing / 2);
    high[*positive] = missing - low[*positive];
  }
  return node.set(b.create<graph::PadOp>(
      b.getElementType(node.in(0)), node.in(0), b.scalarLike(node.in(0), 0.0),
      low, high, graph::PadMode::constant));
}

ArrayRef<OpEntry> lathe::onnx::getShapeOps() {
  static constexpr OpEntry ops[] = {
      {"CenterCropPad", 18, kNewest, 2, 2, Types::Any, importCenterCropPad},
      {"Concat", 4, kNewest, 1, kAnyCount, Types::Any, importConcat},
      {"DepthToSpace", 1, kNewest, 1, 1, Types::Any, importDepthToSpace},
      {"Expand", 8, kNewest, 2, 2, Types::Any, importExpand},
      {"Flatten", 1, kNewest, 1, 1, Types::Any, importFlatten},
      {"Pad", 2, kNewest, 1, 4, Types::Any, importPad},
      {"Reshape", 5, kNewest, 2, 2, Types::Any, importReshape},
      {"Shape", 1, kNewest, 1, 1, Types::Any, importShape},
      {"Size", 1, kNewest, 1, 1, Types::Any, importSize},
      {"Slice", 1, kNewest, 1, 5, Types::Any, importSlice},
      {"SpaceToDepth", 1, kNewest, 1, 1, Types::Any, importSpaceToDepth},
      {"Split", 2, kNewest, 1, 2, Types::Any, importSplit},
      {"Squeeze", 1, kNewest, 1, 2, Types::Any, importSqueeze},
      {"Tile", 6, kNewest, 2, 2, Types::Any, importTile},
      {"Transpose", 1, kNewest, 1, 1, Types::Any, importTranspose},
      {"Unsqueeze", 1, kNewest, 1, 2, Types::Any, importUnsqueeze},
  };
  return ops;
}
