// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Frontend/Onnx/NodeImporter.h"
#include "lib/Frontend/Onnx/ModelImporter.h"

using namespace lathe;
using namespace lathe::onnx;
using namespace mlir;
using llvm::StringRef;
using llvm::Twine;
using ::onnx::AttributeProto;

NodeImporter::NodeImporter(ModelImporter &model, Scope &scope,
                           const ::onnx::NodeProto &node, int64_t opset,
                           ArrayRef<Value> inputs, GraphBuilder &b)
    : b(b), node(node), opset(opset), model(model), scope(scope),
      inputs(inputs) {}

LogicalResult NodeImporter::set(ValueRange values) {
  if (b.hasFailed() || refused || llvm::is_contained(values, Value()))
    return failure();
  results.assign(values.begin(), values.end());
  return success();
}

LogicalResult NodeImporter::unsupported(const Twine &reason) {
  refused = true;
  model.addUnsupported({getNodeName(node).str(), getOpName(node).str(),
                        node.domain(), opset, reason.str()});
  return failure();
}

LogicalResult NodeImporter::requireBuiltin(StringRef callee) {
  if (model.hasBuiltin(callee))
    return success();
  return unsupported("the runtime has no host function for it yet");
}

LogicalResult NodeImporter::invalid(const Twine &reason) {
  refused = true;
  model.addInvalid("node '" + getNodeName(node) + "' (" + node.op_type() +
                   "): " + reason);
  return failure();
}

//===-- Attributes --------------------------------------------------------===//

const AttributeProto *NodeImporter::getAttr(StringRef name) {
  read.insert(name);
  for (const AttributeProto &attr : node.attribute()) {
    if (attr.name() != name)
      continue;
    if (attr.ref_attr_name().empty())
      return &attr;
    return scope.arguments.lookup(attr.ref_attr_name());
  }
  return nullptr;
}

const AttributeProto *
NodeImporter::getTyped(StringRef name, AttributeProto::AttributeType type) {
  const AttributeProto *attr = getAttr(name);
  if (!attr || attr->type() == type)
    return attr;
  (void)invalid("attribute '" + name + "' has type " +
                (AttributeProto::AttributeType_IsValid(attr->type())
                     ? AttributeProto::AttributeType_Name(attr->type())
                     : std::to_string(attr->type())) +
                "; allowed is " + AttributeProto::AttributeType_Name(type));
  return nullptr;
}

bool NodeImporter::hasAttr(StringRef name) { return getAttr(name); }

int64_t NodeImporter::getInt(StringRef name, int64_t fallback) {
  const AttributeProto *attr = getTyped(name, AttributeProto::INT);
  return attr ? attr->i() : fallback;
}

double NodeImporter::getFloat(StringRef name, double fallback) {
  const AttributeProto *attr = getTyped(name, AttributeProto::FLOAT);
  return attr ? attr->f() : fallback;
}

std::string NodeImporter::getString(StringRef name, StringRef fallback) {
  const AttributeProto *attr = getTyped(name, AttributeProto::STRING);
  return attr ? attr->s() : fallback.str();
}

std::optional<SmallVector<int64_t>> NodeImporter::getInts(StringRef name) {
  const AttributeProto *attr = getTyped(name, AttributeProto::INTS);
  if (!attr)
    return std::nullopt;
  return SmallVector<int64_t>(attr->ints().begin(), attr->ints().end());
}

SmallVector<int64_t> NodeImporter::getInts(StringRef name, size_t count,
                                           int64_t fallback) {
  std::optional<SmallVector<int64_t>> values = getInts(name);
  if (values && values->size() == count)
    return *values;
  if (values)
    (void)invalid("attribute '" + name + "' has " + Twine(values->size()) +
                  " elements; allowed are " + Twine(count));
  return SmallVector<int64_t>(count, fallback);
}

std::optional<SmallVector<double>> NodeImporter::getFloats(StringRef name) {
  const AttributeProto *attr = getTyped(name, AttributeProto::FLOATS);
  if (!attr)
    return std::nullopt;
  return SmallVector<double>(attr->floats().begin(), attr->floats().end());
}

std::optional<SmallVector<std::string>>
NodeImporter::getStrings(StringRef name) {
  const AttributeProto *attr = getTyped(name, AttributeProto::STRINGS);
  if (!attr)
    return std::nullopt;
  return SmallVector<std::string>(attr->strings().begin(),
                                  attr->strings().end());
}

Value NodeImporter::getTensor(StringRef name) {
  const AttributeProto *attr = getTyped(name, AttributeProto::TENSOR);
  if (!attr)
    return {};
  Value value = model.importTensor(attr->t(), getNodeName(node));
  if (!value)
    refused = true;
  return value;
}

void NodeImporter::ignore(ArrayRef<StringRef> names) {
  for (StringRef name : names)
    read.insert(name);
}

SmallVector<std::string> NodeImporter::getUnreadAttrs() {
  SmallVector<std::string> names;
  for (const AttributeProto &attr : node.attribute())
    if (!read.contains(attr.name()))
      names.push_back(attr.name());
  return names;
}

//===-- Checks ------------------------------------------------------------===//

std::optional<int64_t> NodeImporter::getAxis(int64_t axis, int64_t rank) {
  if (axis >= -rank && axis < rank)
    return axis < 0 ? axis + rank : axis;
  (void)invalid("axis " + Twine(axis) + " is out of range for rank " +
                Twine(rank));
  return std::nullopt;
}

std::optional<SmallVector<int64_t>>
NodeImporter::getAxes(ArrayRef<int64_t> axes, int64_t rank) {
  SmallVector<int64_t> result;
  for (int64_t axis : axes) {
    std::optional<int64_t> positive = getAxis(axis, rank);
    if (!positive)
      return std::nullopt;
    result.push_back(*positive);
  }
  llvm::sort(result);
  auto repeated = std::adjacent_find(result.begin(), result.end());
  if (repeated == result.end())
    return result;
  (void)invalid("axis " + Twine(*repeated) + " is given twice");
  return std::nullopt;
}

LogicalResult NodeImporter::checkRank(unsigned input, int64_t min,
                                      int64_t max) {
  int64_t rank = b.getRank(in(input));
  if (rank >= min && rank <= max)
    return success();
  return invalid("input " + Twine(input) + " has rank " + Twine(rank) +
                 "; allowed is " +
                 (max == kAnyCount ? "at least " + Twine(min)
                  : min == max     ? Twine(min)
                                   : Twine(min) + " to " + Twine(max)));
}

std::optional<SmallVector<int64_t>> NodeImporter::getConstant(unsigned input) {
  std::optional<SmallVector<int64_t>> values = b.getIntegers(in(input));
  if (!values && !b.hasFailed())
    (void)unsupported("input " + Twine(input) + " ('" + node.input(input) +
                      "') must be known at compile time");
  return values;
}

std::optional<int64_t> NodeImporter::getAxisInput(unsigned input,
                                                  int64_t rank) {
  auto given = getConstant(input);
  if (!given)
    return std::nullopt;
  if (given->size() == 1)
    return getAxis(given->front(), rank);
  (void)invalid("input " + Twine(input) + " must be one number, the axis");
  return std::nullopt;
}

std::optional<SmallVector<int64_t>>
NodeImporter::getConstantOrAttr(unsigned input, StringRef attr,
                                int64_t sinceOpset) {
  if (opset < sinceOpset)
    return getInts(attr);
  return hasInput(input) ? getConstant(input) : std::nullopt;
}

//===-- The op table ------------------------------------------------------===//

using OpIndex = llvm::StringMap<SmallVector<const OpEntry *, 2>>;

static OpIndex makeIndex() {
  OpIndex index;
  for (ArrayRef<OpEntry> table :
       {getElementwiseOps(), getActivationOps(), getShapeOps(),
        getIndexingOps(), getGeneratorOps(), getReductionOps(),
        getNormalizationOps(), getContractionOps(), getConvolutionOps(),
        getAttentionOps(), getQuantizationOps(), getBuiltinOps(),
        getRecurrentOps(), getResizeOps(), getLossOps(), getControlFlowOps()})
    for (const OpEntry &entry : table)
      index[entry.name].push_back(&entry);
  return index;
}

ArrayRef<const OpEntry *> lathe::onnx::findOp(StringRef domain,
                                              StringRef name) {
  static const OpIndex index = makeIndex();
  if (!domain.empty() && domain != "ai.onnx")
    return {};
  auto found = index.find(name);
  return found == index.end() ? ArrayRef<const OpEntry *>()
                              : ArrayRef<const OpEntry *>(found->second);
}
