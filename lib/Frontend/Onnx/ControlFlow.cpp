// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Branches and loops. A branch whose condition is known is inlined; everything
// else becomes functions that `graph.if` and `graph.loop` run.

#include "dialects/Graph/IR/Polynomial.h"
#include "lib/Frontend/Onnx/ModelImporter.h"

using namespace lathe;
using namespace lathe::onnx;
using namespace mlir;

/// Dims as `shapes` of a control flow op wants them: -1 where they depend on
/// symbols that only the function knows.
static Dims publish(GraphBuilder &b, ArrayRef<AffineExpr> dims,
                    unsigned given) {
  Dims result;
  for (AffineExpr dim : dims) {
    bool isPublic = true;
    dim.walk([&](AffineExpr part) {
      if (auto symbol = dyn_cast<AffineSymbolExpr>(part))
        isPublic &= symbol.getPosition() < given;
    });
    result.push_back(isPublic ? dim : b.size(-1));
  }
  return result;
}

/// Result types and the attribute `shapes`.
static ArrayAttr getShapes(GraphBuilder &b, ArrayRef<Dims> shapes,
                           ArrayRef<Type> elementTypes,
                           SmallVectorImpl<Type> &types) {
  SmallVector<Attribute> maps;
  for (auto [dims, elementType] : llvm::zip_equal(shapes, elementTypes)) {
    maps.push_back(b.map(dims));
    SmallVector<int64_t> shape = graph::toStaticShape(dims);
    for (int64_t &size : shape)
      size = size == -1 ? ShapedType::kDynamic : size;
    types.push_back(RankedTensorType::get(shape, elementType));
  }
  return b.getArrayAttr(maps);
}

//===-- If ----------------------------------------------------------------===//

static LogicalResult inlineBranch(NodeImporter &node,
                                  const ::onnx::GraphProto &branch) {
  SmallVector<Value> results;
  if (failed(node.getModel().importBranch(branch, node.getScope(), results)))
    return failure();
  if (results.size() != node.getNumOutputs())
    return node.invalid("the branch has " + Twine(results.size()) +
                        " outputs, the node " + Twine(node.getNumOutputs()));
  if (llvm::is_contained(results, Value()))
    return node.skip();
  return node.set(results);
}

/// Whether `condition` compares two sizes for equality (true) or inequality
/// (false); nothing if it depends on data.
static std::optional<bool> comparesSizes(GraphBuilder &b, Value condition) {
  while (Operation *op = condition.getDefiningOp()) {
    if (auto compare = dyn_cast<graph::CompareOp>(op)) {
      bool isEqual = compare.getKind() == Compare::eq;
      if ((!isEqual && compare.getKind() != Compare::ne) ||
          !b.getContents(compare.getLhs()) || !b.getContents(compare.getRhs()))
        return std::nullopt;
      return isEqual;
    }
    if (!isa<graph::CastOp, graph::ReshapeOp, graph::DynamicReshapeOp>(op))
      return std::nullopt;
    condition = op->getOperand(0);
  }
  return std::nullopt;
}

static LogicalResult buildIf(NodeImporter &node, ImportedGraph &then,
                             ImportedGraph &otherwise) {
  GraphBuilder &b = node.b;
  ModelImporter &model = node.getModel();
  unsigned given = b.analysis.getSymbols().size();
  SmallVector<Dims> shapes;
  SmallVector<Type> elements, types;
  for (auto [x, y] : llvm::zip_equal(then.results, otherwise.results)) {
    Dims left = publish(b, then.frame->analysis->getDims(x), given);
    Dims right = publish(b, otherwise.frame->analysis->getDims(y), given);
    for (auto [a, c] : llvm::zip_equal(left, right))
      a = graph::isSameSize(a, c) ? a : b.size(-1);
    shapes.push_back(left);
    elements.push_back(getElementTypeOrSelf(x.getType()));
    if (elements.back() != getElementTypeOrSelf(y.getType()))
      return node.invalid("the branches differ in element type");
  }
  // Both branches take what either reads.
  model.capture(*then.frame, otherwise.frame->captures);
  model.finish(then, then.results);
  model.finish(otherwise, otherwise.results);
  ArrayAttr maps = getShapes(b, shapes, elements, types);
  return node.set(b.createMany<graph::IfOp>(
      types, node.in(0), FlatSymbolRefAttr::get(then.frame->function),
      FlatSymbolRefAttr::get(otherwise.frame->function),
      otherwise.frame->captures, maps, DenseI64ArrayAttr()));
}

static LogicalResult importIf(NodeImporter &node) {
  const auto *then = node.getAttr("then_branch");
  const auto *otherwise = node.getAttr("else_branch");
  if (!then || !otherwise || !then->has_g() || !otherwise->has_g())
    return node.invalid("attributes 'then_branch' and 'else_branch' must be "
                        "graphs");
  if (std::optional<double> known = node.b.getScalar(node.in(0)))
    return inlineBranch(node, *known != 0.0 ? then->g() : otherwise->g());

  ModelImporter &model = node.getModel();
  auto declare = [](Frame &, Scope &) { return success(); };
  auto first =
      model.importFunction(then->g(), node.getScope(), "then", {}, declare);
  if (!first)
    return node.skip();
  auto second = model.importFunction(otherwise->g(), node.getScope(), "else",
                                     first->frame->captures, declare);
  if (!second)
    return node.skip();
  if (first->results.size() != node.getNumOutputs() ||
      second->results.size() != node.getNumOutputs())
    return node.invalid("the branches have " + Twine(first->results.size()) +
                        " and " + Twine(second->results.size()) +
                        " outputs, the node " + Twine(node.getNumOutputs()));
  for (auto [a, c] : llvm::zip_equal(first->results, second->results)) {
    if (node.b.getRank(a) == node.b.getRank(c))
      continue;
    // What PyTorch makes of squeeze(dim): the ranks can only agree with the
    // rest of the model where the sizes are equal, and the branch checks that.
    std::optional<bool> isEqual = comparesSizes(node.b, node.in(0));
    if (!isEqual)
      return node.unsupported(
          "the branches give rank " + Twine(node.b.getRank(a)) + " and " +
          Twine(node.b.getRank(c)) + "; ranks must not depend on data");
    first->frame->function.erase();
    second->frame->function.erase();
    return inlineBranch(node, *isEqual ? then->g() : otherwise->g());
  }
  return buildIf(node, *first, *second);
}

//===-- Loops -------------------------------------------------------------===//

namespace {
/// A loop over a graph, from ONNX's Loop or Scan.
class LoopBuilder {
public:
  LoopBuilder(NodeImporter &node, const ::onnx::GraphProto &body)
      : node(node), b(node.b), model(node.getModel()), body(body) {}

  Value count, condition;      ///< Outside; null: no limit, no condition.
  SmallVector<Value> carried;  ///< Initial values, outside.
  unsigned firstCarried = 0;   ///< Position among the graph's inputs.
  bool givesCondition = false; ///< The graph's first output says to go on.
  /// Binds the graph's other inputs; gets the number of the iteration.
  std::function<LogicalResult(Frame &, Scope &, Value)> bindInputs;

  /// Carried values, then collected ones; nothing on failure.
  std::optional<SmallVector<Value>> build();

private:
  std::optional<ImportedGraph> importOnce();
  LogicalResult declare(Frame &inner, Scope &scope);
  /// Frees dims of carried values that change; false if none does.
  FailureOr<bool> relax(ImportedGraph &graph);
  SmallVector<Value> finish(ImportedGraph &graph);

  NodeImporter &node;
  GraphBuilder &b;
  ModelImporter &model;
  const ::onnx::GraphProto &body;
  SmallVector<SmallVector<bool>> isFree; ///< Per carried value and dim.
};
} // namespace

LogicalResult LoopBuilder::declare(Frame &inner, Scope &scope) {
  Value number = model.addArgument(inner, "iteration", b.getI64Type(), {});
  for (auto [i, value] : llvm::enumerate(carried)) {
    Dims dims = b.getDims(value);
    for (auto [d, dim] : llvm::enumerate(dims))
      if (isFree[i][d])
        dim = inner.analysis->getSymbol(
            ("carried" + Twine(i) + ".dim" + Twine(d)).str());
    StringRef name = body.input(firstCarried + i).name();
    Value argument =
        model.addArgument(inner, name, b.getElementType(value), dims);
    if (failed(model.bind(name, argument, scope)))
      return failure();
  }
  return bindInputs(inner, scope, number);
}

std::optional<ImportedGraph> LoopBuilder::importOnce() {
  return model.importFunction(
      body, node.getScope(), "body", {},
      [&](Frame &inner, Scope &scope) { return declare(inner, scope); });
}

FailureOr<bool> LoopBuilder::relax(ImportedGraph &graph) {
  bool hasChanged = false;
  for (auto [i, value] : llvm::enumerate(carried)) {
    Value next = graph.results[givesCondition + i];
    Dims before = b.getDims(value);
    ArrayRef<AffineExpr> after = graph.frame->analysis->getDims(next);
    if (b.getElementType(next) != b.getElementType(value))
      return node.invalid("carried value " + Twine(i) +
                          " changes its element type");
    if (before.size() != after.size())
      return node.unsupported("carried value " + Twine(i) +
                              " changes its rank from " + Twine(before.size()) +
                              " to " + Twine(after.size()));
    for (size_t d = 0; d < before.size(); ++d) {
      bool isSame = isFree[i][d] || graph::isSameSize(before[d], after[d]);
      isFree[i][d] = isFree[i][d] || !isSame;
      hasChanged |= !isSame;
    }
  }
  return hasChanged;
}

SmallVector<Value> LoopBuilder::finish(ImportedGraph &graph) {
  Frame &inner = *graph.frame;
  GraphBuilder &ib = *inner.builder;
  SmallVector<Value> results(graph.results);
  std::optional<double> goOn = 1.0;
  if (givesCondition) {
    results.front() = ib.reshape(results.front(), {});
    goOn = ib.getScalar(results.front());
  } else {
    results.insert(results.begin(), ib.scalar(ib.getI1Type(), 1.0));
  }
  // The number of iterations, where only the count decides it.
  AffineExpr iterations = b.size(-1);
  std::optional<Dims> limit = b.getContents(count);
  if (limit && goOn == 1.0 && !condition &&
      graph::isSizeAtLeast(limit->front(), 0))
    iterations = limit->front();
  unsigned given = b.analysis.getSymbols().size();
  SmallVector<Dims> shapes;
  SmallVector<Type> elements, types;
  for (auto [i, value] : llvm::enumerate(ArrayRef(results).drop_front())) {
    Dims dims = publish(b, inner.analysis->getDims(value), given);
    if (i < carried.size()) {
      dims = b.getDims(carried[i]);
      for (auto [d, dim] : llvm::enumerate(dims))
        dim = isFree[i][d] ? b.size(-1) : dim;
    } else {
      dims.insert(dims.begin(), iterations);
    }
    shapes.push_back(dims);
    elements.push_back(getElementTypeOrSelf(value.getType()));
  }
  model.finish(graph, results);
  ArrayAttr maps = getShapes(b, shapes, elements, types);
  return b.createMany<graph::LoopOp>(
      types, FlatSymbolRefAttr::get(inner.function), count, condition, carried,
      inner.captures, maps, DenseI64ArrayAttr());
}

std::optional<SmallVector<Value>> LoopBuilder::build() {
  for (Value value : carried)
    isFree.emplace_back(b.getRank(value), false);
  while (true) {
    std::optional<ImportedGraph> graph = importOnce();
    if (!graph || graph->results.size() < givesCondition + carried.size()) {
      (void)node.skip();
      return std::nullopt;
    }
    FailureOr<bool> hasChanged = relax(*graph);
    if (failed(hasChanged))
      return std::nullopt;
    if (!*hasChanged)
      return finish(*graph);
    graph->frame->function.erase();
  }
}

static const ::onnx::GraphProto *getBody(NodeImporter &node) {
  const auto *attr = node.getAttr("body");
  if (attr && attr->has_g())
    return &attr->g();
  (void)node.invalid("attribute 'body' must be a graph");
  return nullptr;
}

static LogicalResult importLoop(NodeImporter &node) {
  GraphBuilder &b = node.b;
  ModelImporter &model = node.getModel();
  const ::onnx::GraphProto *body = getBody(node);
  if (!body)
    return failure();
  LoopBuilder loop(node, *body);
  if (node.getNumInputs() > 2)
    loop.carried.assign(node.getInputs().begin() + 2, node.getInputs().end());
  size_t numInputs = loop.carried.size() + 2;
  if (size_t(body->input_size()) != numInputs ||
      llvm::is_contained(loop.carried, Value()))
    return node.invalid("the body has " + Twine(body->input_size()) +
                        " inputs; allowed are " + Twine(numInputs));
  if (node.hasInput(0))
    loop.count = b.reshape(b.cast(node.in(0), b.getI64Type()), {});
  std::optional<double> begins = b.getScalar(node.in(1));
  if (node.hasInput(1) && begins != 1.0)
    loop.condition = b.reshape(node.in(1), {});
  loop.firstCarried = 2;
  loop.givesCondition = true;
  loop.bindInputs = [&](Frame &inner, Scope &scope, Value number) {
    GraphBuilder &ib = *inner.builder;
    auto shapeOf = [&](int i) {
      const auto &type = body->input(i).type().tensor_type();
      return Dims(type.shape().dim_size(), ib.size(1));
    };
    Value goesOn = ib.scalar(ib.getI1Type(), 1.0);
    return success(
        succeeded(model.bind(body->input(0).name(),
                             ib.reshape(number, shapeOf(0)), scope)) &&
        succeeded(model.bind(body->input(1).name(),
                             ib.reshape(goesOn, shapeOf(1)), scope)));
  };
  auto results = loop.build();
  return results ? node.set(*results) : failure();
}

//===-- Scan --------------------------------------------------------------===//

namespace {
/// Which dims a scan goes over, and from which end.
struct ScanAxes {
  SmallVector<int64_t> axes, directions;
};
} // namespace

static std::optional<ScanAxes> getScanAxes(NodeImporter &node, StringRef kind,
                                           size_t count) {
  ScanAxes result;
  std::string prefix = ("scan_" + kind + "_").str();
  result.axes = node.getInts(prefix + "axes", count, 0);
  result.directions = node.getInts(prefix + "directions", count, 0);
  return node.wasRefused() ? std::nullopt : std::optional(result);
}

/// A result of a scan as the model wants it: elements along `axis`, from the
/// end if `isReversed`.
static Value orient(GraphBuilder &b, Value value, int64_t axis,
                    bool isReversed) {
  Dims dims = b.getDims(value);
  if (isReversed) {
    Dims starts(dims.size(), b.size(0));
    SmallVector<int64_t> steps(dims.size(), 1);
    starts[0] = dims[0] - 1;
    steps[0] = -1;
    value =
        b.create<graph::SliceOp>(b.getElementType(value), value, b.map(starts),
                                 b.map(dims), b.getDenseI64ArrayAttr(steps));
  }
  SmallVector<int64_t> order;
  for (int64_t i = 1; i < int64_t(dims.size()); ++i)
    order.push_back(i);
  order.insert(order.begin() + axis, 0);
  return axis == 0 ? value : b.transpose(value, order);
}

static LogicalResult importScan(NodeImporter &node) {
  GraphBuilder &b = node.b;
  ModelImporter &model = node.getModel();
  const ::onnx::GraphProto *body = getBody(node);
  int64_t numScans = node.getInt("num_scan_inputs", 0);
  if (!body || numScans <= 0 || numScans > int64_t(node.getNumInputs()) ||
      unsigned(body->input_size()) != node.getNumInputs() ||
      llvm::is_contained(node.getInputs(), Value()))
    return node.invalid("'num_scan_inputs' and the body's inputs do not fit "
                        "the inputs");
  LoopBuilder loop(node, *body);
  size_t numStates = node.getNumInputs() - numScans;
  loop.carried.assign(node.getInputs().begin(),
                      node.getInputs().begin() + numStates);
  auto in = getScanAxes(node, "input", numScans);
  if (!in)
    return failure();
  for (int64_t i = 0; i < numScans; ++i) {
    auto axis = node.getAxis(in->axes[i], b.getRank(node.in(numStates + i)));
    if (!axis)
      return failure();
    in->axes[i] = *axis;
  }
  AffineExpr length = b.getDim(node.in(numStates), in->axes[0]);
  loop.count = b.sizeValue(length);
  loop.bindInputs = [&](Frame &inner, Scope &scope, Value number) {
    GraphBuilder &ib = *inner.builder;
    for (int64_t i = 0; i < numScans; ++i) {
      Value whole = model.bring(node.in(numStates + i), inner);
      Value place = number;
      if (in->directions[i])
        place = ib.sub(ib.sizeValue(length - 1), number);
      Value element =
          ib.create<graph::GatherOp>(ib.getElementType(whole), whole, place,
                                     ib.getI64IntegerAttr(in->axes[i]));
      if (element)
        element.getDefiningOp()->setAttr(graph::kInRangeAttr, ib.getUnitAttr());
      if (failed(model.bind(body->input(numStates + i).name(), element, scope)))
        return failure();
    }
    return success();
  };
  auto results = loop.build();
  if (!results)
    return failure();
  auto out = getScanAxes(node, "output", results->size() - numStates);
  if (!out)
    return failure();
  for (size_t i = numStates; i < results->size(); ++i) {
    Value &result = (*results)[i];
    auto axis = node.getAxis(out->axes[i - numStates], b.getRank(result));
    if (!axis)
      return failure();
    result = orient(b, result, *axis, out->directions[i - numStates] != 0);
  }
  return node.set(*results);
}

static LogicalResult refuseSequence(NodeImporter &node) {
  return node.unsupported("sequences, optionals and strings are not supported");
}

ArrayRef<OpEntry> lathe::onnx::getControlFlowOps() {
  static constexpr OpEntry ops[] = {
      {"If", 1, kNewest, 1, 1, Types::Bool, importIf},
      {"Loop", 1, kNewest, 0, kAnyCount, Types::Any, importLoop},
      {"Scan", 9, kNewest, 1, kAnyCount, Types::Any, importScan},
      {"SequenceMap", 17, kNewest, 0, kAnyCount, Types::Any, refuseSequence},
      {"ConcatFromSequence", 11, kNewest, 0, kAnyCount, Types::Any,
       refuseSequence},
      {"Optional", 15, kNewest, 0, kAnyCount, Types::Any, refuseSequence},
      {"OptionalGetElement", 15, kNewest, 0, kAnyCount, Types::Any,
       refuseSequence},
      {"OptionalHasElement", 15, kNewest, 0, kAnyCount, Types::Any,
       refuseSequence},
      {"SequenceAt", 11, kNewest, 0, kAnyCount, Types::Any, refuseSequence},
      {"SequenceConstruct", 11, kNewest, 0, kAnyCount, Types::Any,
       refuseSequence},
      {"SequenceEmpty", 11, kNewest, 0, kAnyCount, Types::Any, refuseSequence},
      {"SequenceErase", 11, kNewest, 0, kAnyCount, Types::Any, refuseSequence},
      {"SequenceInsert", 11, kNewest, 0, kAnyCount, Types::Any, refuseSequence},
      {"SequenceLength", 11, kNewest, 0, kAnyCount, Types::Any, refuseSequence},
      {"SplitToSequence", 11, kNewest, 0, kAnyCount, Types::Any,
       refuseSequence},
      {"StringConcat", 20, kNewest, 0, kAnyCount, Types::Any, refuseSequence},
      {"StringNormalizer", 10, kNewest, 0, kAnyCount, Types::Any,
       refuseSequence},
      {"StringSplit", 20, kNewest, 0, kAnyCount, Types::Any, refuseSequence},
  };
  return ops;
}
