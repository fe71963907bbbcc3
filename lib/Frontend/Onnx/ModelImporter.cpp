// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Frontend/Onnx/ModelImporter.h"
#include "lib/Frontend/MappedConstant.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "llvm/ADT/StringExtras.h"

using namespace lathe;
using namespace lathe::onnx;
using namespace mlir;
using llvm::StringRef;
using llvm::Twine;

/// Nodes after inlining and graphs in graphs; hostile models expand for ever.
static constexpr uint64_t kMaxNodes = 1 << 20;
static constexpr unsigned kMaxDepth = 64;

/// The default domain has two names.
static StringRef getDomain(StringRef domain) {
  return domain == "ai.onnx" ? StringRef() : domain;
}

std::string OnnxUnsupported::str() const {
  if (opset == 0 && domain.empty()) // An input, a tensor, the whole model.
    return op + " '" + node + "': " + reason;
  std::string text =
      "node '" + node + "' (" + (domain.empty() ? "" : domain + ".") + op;
  if (opset > 0)
    text += ", opset " + std::to_string(opset);
  return text + "): " + reason;
}

StringRef lathe::onnx::getNodeName(const ::onnx::NodeProto &node) {
  if (!node.name().empty())
    return node.name();
  for (const std::string &output : node.output())
    if (!output.empty())
      return output;
  return node.op_type();
}

StringRef lathe::onnx::getOpName(const ::onnx::NodeProto &node) {
  return node.op_type().empty() ? StringRef("?") : StringRef(node.op_type());
}

ModelImporter::ModelImporter(MLIRContext &context, OnnxFile &file,
                             const OnnxImportOptions &options,
                             SmallVectorImpl<OnnxUnsupported> &unsupported)
    : context(context), file(file), options(options), unsupported(unsupported) {
}

void ModelImporter::addInvalid(const Twine &message) {
  if (invalid.empty())
    invalid = message.str();
}

Location ModelImporter::getLocation(const ::onnx::NodeProto &node) {
  auto op = NameLoc::get(StringAttr::get(&context, getOpName(node)));
  StringRef name = getNodeName(node);
  return name.empty() ? op : NameLoc::get(StringAttr::get(&context, name), op);
}

//===-- Inputs and results ------------------------------------------------===//

AffineExpr
ModelImporter::importDim(const ::onnx::TensorShapeProto::Dimension &dim,
                         StringRef input, unsigned index) {
  if (dim.has_dim_value() && dim.dim_value() >= 0)
    return getAffineConstantExpr(dim.dim_value(), &context);
  if (!dim.dim_param().empty())
    return getSymbol(dim.dim_param());
  return getSymbol((input + ".dim" + Twine(index)).str());
}

AffineExpr ModelImporter::getSymbol(StringRef name) {
  auto [it, isNew] = symbols.try_emplace(name, symbols.size());
  if (isNew)
    symbolNames.push_back(StringAttr::get(&context, name));
  return getAffineSymbolExpr(it->second, &context);
}

LogicalResult ModelImporter::declareInput(const ::onnx::ValueInfoProto &input,
                                          Scope &scope) {
  auto refuse = [&](const Twine &reason) {
    scope.values[input.name()] = Value();
    addUnsupported({input.name(), "graph input", "", 0, reason.str()});
    return success();
  };
  if (!input.type().has_tensor_type())
    return refuse("is not a tensor; sequences, maps and optionals are not "
                  "supported");
  const auto &tensor = input.type().tensor_type();
  Type elementType = lathe::onnx::getElementType(&context, tensor.elem_type());
  if (!elementType)
    return refuse("element type " + getDataTypeName(tensor.elem_type()) +
                  " is not supported");
  if (!tensor.has_shape())
    return refuse("has no shape; its rank must be known");
  if (tensor.shape().dim_size() > 64) {
    addInvalid("graph input '" + input.name() + "' has rank " +
               Twine(tensor.shape().dim_size()) + "; at most 64 is allowed");
    return failure();
  }
  Dims dims;
  for (auto [i, dim] : llvm::enumerate(tensor.shape().dim()))
    dims.push_back(importDim(dim, input.name(), i));
  if (!graph::isAddressable(dims, elementType))
    return refuse("has more than 2^62 bytes");
  auto type = RankedTensorType::get(graph::toStaticShape(dims), elementType);
  Location loc = NameLoc::get(StringAttr::get(&context, input.name()));
  unsigned index = frame->function.getNumArguments();
  if (failed(frame->function.insertArgument(index, type, {}, loc)))
    return failure();
  frame->function.setArgAttr(index, graph::kNameAttr,
                             StringAttr::get(&context, input.name()));
  frame->function.setArgAttr(
      index, graph::kDimsAttr,
      AffineMapAttr::get(AffineMap::get(0, symbols.size(), dims, &context)));
  scope.values[input.name()] = frame->function.getArgument(index);
  return success();
}

LogicalResult ModelImporter::declareInputs(Scope &scope) {
  llvm::StringSet<> constants;
  for (const auto &tensor : file.getModel().graph().initializer())
    constants.insert(tensor.name());
  for (const auto &input : file.getModel().graph().input()) {
    // Before IR version 4 every initializer was an input as well.
    if (constants.contains(input.name()))
      continue;
    if (input.name().empty() || scope.values.contains(input.name())) {
      addInvalid("graph input '" + input.name() +
                 "' must have a name of its own");
      return failure();
    }
    if (failed(declareInput(input, scope)))
      return failure();
  }
  frame->function->setAttr(graph::kSymbolsAttr,
                           ArrayAttr::get(&context, symbolNames));
  return success();
}

LogicalResult ModelImporter::setResults(ArrayRef<Value> results) {
  const auto &outputs = file.getModel().graph().output();
  SmallVector<Type> types;
  SmallVector<DictionaryAttr> attrs;
  Builder b(&context);
  for (auto [output, value] : llvm::zip_equal(outputs, results)) {
    Type found = getElementTypeOrSelf(value.getType());
    const auto &declared = output.type().tensor_type();
    Type allowed = lathe::onnx::getElementType(&context, declared.elem_type());
    if (declared.elem_type() != 0 && found != allowed) {
      std::string name;
      llvm::raw_string_ostream(name) << found;
      addInvalid("graph output '" + output.name() + "' is declared as " +
                 getDataTypeName(declared.elem_type()) +
                 ", but its element type is " + name);
      return failure();
    }
    types.push_back(value.getType());
    attrs.push_back(b.getDictionaryAttr(
        b.getNamedAttr(graph::kNameAttr, b.getStringAttr(output.name()))));
  }
  func::ReturnOp::create(*frame->builder, frame->function.getLoc(), results);
  frame->function.setType(
      FunctionType::get(&context, frame->function.getArgumentTypes(), types));
  frame->function.setAllResultAttrs(attrs);
  return success();
}

//===-- Names -------------------------------------------------------------===//

Value ModelImporter::importTensor(const ::onnx::TensorProto &tensor,
                                  StringRef name) {
  auto [it, isNew] = frame->tensors.try_emplace(&tensor);
  if (!isNew)
    return it->second;
  if (!lathe::onnx::getElementType(&context, tensor.data_type())) {
    addUnsupported({name.str(), "tensor", "", 0,
                    "element type " + getDataTypeName(tensor.data_type()) +
                        " is not supported"});
    return {};
  }
  auto contents = file.getTensor(&context, tensor, name);
  if (!contents) {
    addInvalid(llvm::toString(contents.takeError()));
    return {};
  }
  Location node = frame->builder->loc;
  if (!name.empty())
    frame->builder->loc = NameLoc::get(StringAttr::get(&context, name));
  Value value = frame->builder->constant(*contents);
  frame->builder->loc = node;
  return frame->tensors[&tensor] = value;
}

std::optional<Value> ModelImporter::lookUp(StringRef name, const Scope &scope) {
  for (const Scope *at = &scope; at; at = at->parent) {
    auto value = at->values.find(name);
    if (value != at->values.end())
      return bring(value->second, *frame);
    auto tensor = at->initializers.find(name);
    if (tensor != at->initializers.end())
      return importTensor(*tensor->second, name);
  }
  return std::nullopt;
}

LogicalResult ModelImporter::bind(StringRef name, Value value, Scope &scope) {
  if (name.empty() || scope.values.try_emplace(name, value).second)
    return success();
  addInvalid("value '" + name + "' is defined twice");
  return failure();
}

LogicalResult ModelImporter::importOpsets(
    const google::protobuf::RepeatedPtrField<::onnx::OperatorSetIdProto>
        &imports,
    Scope &scope) {
  for (const auto &import : imports) {
    StringRef domain = getDomain(import.domain());
    scope.opsets[domain] = import.version();
  }
  auto base = scope.opsets.find("");
  if (base == scope.opsets.end() ||
      (base->second >= kOnnxMinOpset && base->second <= kOnnxMaxOpset))
    return success();
  addUnsupported({file.getPath().str(), "model", "", base->second,
                  "opset " + std::to_string(base->second) +
                      " of ai.onnx; supported are " +
                      std::to_string(kOnnxMinOpset) + " to " +
                      std::to_string(kOnnxMaxOpset)});
  return failure();
}

//===-- Graphs and nodes --------------------------------------------------===//

LogicalResult ModelImporter::importBody(const ::onnx::GraphProto &graph,
                                        Scope &scope,
                                        SmallVectorImpl<Value> &results) {
  for (const auto &tensor : graph.initializer())
    scope.initializers[tensor.name()] = &tensor;
  for (const auto &sparse : graph.sparse_initializer()) {
    addUnsupported({sparse.values().name(), "sparse initializer", "", 0,
                    "sparse tensors are not supported"});
    (void)bind(sparse.values().name(), {}, scope);
  }
  for (const auto &node : graph.node())
    if (failed(importNode(node, scope)))
      return failure();
  for (const auto &output : graph.output()) {
    std::optional<Value> value = lookUp(output.name(), scope);
    if (!value)
      addInvalid("graph output '" + output.name() + "' is not computed");
    if (!value || isInvalid())
      return failure();
    results.push_back(*value);
  }
  return success();
}

LogicalResult ModelImporter::importBranch(const ::onnx::GraphProto &graph,
                                          Scope &outer,
                                          SmallVectorImpl<Value> &results) {
  Scope scope;
  scope.parent = &outer;
  scope.opsets = outer.opsets;
  scope.arguments = outer.arguments;
  scope.depth = outer.depth + 1;
  return importBody(graph, scope, results);
}

LogicalResult ModelImporter::getInputs(const ::onnx::NodeProto &node,
                                       Scope &scope,
                                       SmallVectorImpl<Value> &inputs,
                                       bool &skip) {
  for (auto [i, name] : llvm::enumerate(node.input())) {
    if (name.empty()) {
      inputs.emplace_back();
      continue;
    }
    std::optional<Value> value = lookUp(name, scope);
    if (!value)
      addInvalid("node '" + getNodeName(node) + "' (" + node.op_type() +
                 "): input " + Twine(i) + " ('" + name +
                 "') is not defined before the node; nodes must stand in "
                 "topological order");
    if (!value || isInvalid())
      return failure();
    skip |= !*value;
    inputs.push_back(*value);
  }
  while (!inputs.empty() && !inputs.back() && !skip)
    inputs.pop_back();
  return success();
}

LogicalResult ModelImporter::importNode(const ::onnx::NodeProto &node,
                                        Scope &scope) {
  if (++nodeCount > kMaxNodes || scope.depth > kMaxDepth) {
    addInvalid("node '" + getNodeName(node) +
               "': functions and graphs expand to more than " +
               Twine(kMaxNodes) + " nodes or nest more than " +
               Twine(kMaxDepth) + " deep");
    return failure();
  }
  SmallVector<Value> inputs;
  bool skip = false;
  if (failed(getInputs(node, scope, inputs, skip)))
    return failure();
  StringRef domain = getDomain(node.domain());
  const auto *body = functions.lookup(
      (domain + "\n" + node.op_type() + "\n" + node.overload()).str());
  frame->builder->loc = getLocation(node);
  if (body && (!domain.empty() || findOp(domain, node.op_type()).empty())) {
    if (!skip)
      return inlineFunction(*body, node, scope, inputs);
  } else {
    NodeImporter importer(*this, scope, node, scope.opsets.lookup(domain),
                          inputs, *frame->builder);
    const OpEntry *entry = findEntry(importer, domain);
    if (entry && !skip && succeeded(importOp(*entry, importer))) {
      for (auto [i, name] : llvm::enumerate(node.output()))
        if (!name.empty() &&
            failed(bind(name, importer.getResults()[i], scope)))
          return failure();
      return success();
    }
    if (isInvalid())
      return failure();
  }
  for (const std::string &name : node.output())
    if (failed(bind(name, {}, scope)))
      return failure();
  return success();
}

const OpEntry *ModelImporter::findEntry(NodeImporter &importer,
                                        StringRef domain) {
  ArrayRef<const OpEntry *> entries = findOp(domain, importer.node.op_type());
  if (entries.empty()) {
    (void)importer.unsupported("this op is not supported");
    return nullptr;
  }
  for (const OpEntry *entry : entries)
    if (importer.opset >= entry->minOpset && importer.opset <= entry->maxOpset)
      return entry;
  (void)importer.unsupported("this op is not part of that opset, or is "
                             "deprecated in it");
  return nullptr;
}

/// Whether an op of these element types takes `type`.
static bool isAllowed(Types types, Type type) {
  switch (types) {
  case Types::Any:
    return true;
  case Types::Float:
    return isa<FloatType>(type);
  case Types::Number:
    return !type.isInteger(1);
  case Types::Integer:
    return isa<IntegerType>(type) && !type.isInteger(1);
  case Types::Bool:
    return type.isInteger(1);
  }
  return false;
}

LogicalResult ModelImporter::importOp(const OpEntry &entry,
                                      NodeImporter &importer) {
  int count = importer.getNumInputs();
  if (count < entry.minInputs || count > entry.maxInputs)
    return importer.invalid(
        "has " + Twine(count) + " inputs; allowed are " +
        (entry.maxInputs == kAnyCount
             ? "at least " + Twine(entry.minInputs)
             : Twine(entry.minInputs) + " to " + Twine(entry.maxInputs)));
  for (int i = 0; i < entry.minInputs; ++i)
    if (!importer.hasInput(i))
      return importer.invalid("input " + Twine(i) + " must not be left out");
  if (count > 0 && importer.hasInput(0)) {
    Type type = getElementTypeOrSelf(importer.in(0).getType());
    std::string name;
    llvm::raw_string_ostream(name) << type;
    if (!isAllowed(entry.types, type))
      return importer.invalid("element type " + name +
                              " of input 0 is not allowed");
  }

  std::string diagnostics;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    if (diagnostics.empty())
      diagnostics = diagnostic.str();
    return success();
  });
  frame->builder->resetFailure();
  LogicalResult result = entry.import(importer);
  if (frame->builder->hasFailed() && !importer.wasRefused())
    return importer.invalid(diagnostics.empty() ? "shapes do not fit"
                                                : diagnostics);
  if (failed(result)) {
    if (!importer.wasRefused())
      return importer.invalid("cannot be imported");
    return failure();
  }
  for (const std::string &name : importer.getUnreadAttrs())
    return importer.unsupported("attribute '" + name + "' is not supported");
  for (unsigned i = 0; i < importer.getNumOutputs(); ++i)
    if (importer.usesOutput(i) && i >= importer.getResults().size())
      return importer.unsupported("output " + Twine(i) + " ('" +
                                  importer.node.output(i) +
                                  "') is not supported");
  return success();
}

LogicalResult ModelImporter::inlineFunction(const ::onnx::FunctionProto &body,
                                            const ::onnx::NodeProto &node,
                                            Scope &scope,
                                            ArrayRef<Value> inputs) {
  Scope inner;
  inner.depth = scope.depth + 1;
  if (failed(importOpsets(body.opset_import(), inner)))
    return failure();
  for (const auto &[i, name] : llvm::enumerate(body.input()))
    if (i < inputs.size() && inputs[i] && failed(bind(name, inputs[i], inner)))
      return failure();
  for (const auto &attr : body.attribute_proto())
    inner.arguments[attr.name()] = &attr;
  for (const auto &attr : node.attribute()) {
    const auto *value = &attr;
    if (!attr.ref_attr_name().empty())
      value = scope.arguments.lookup(attr.ref_attr_name());
    if (value)
      inner.arguments[attr.name()] = value;
  }
  for (const auto &child : body.node())
    if (failed(importNode(child, inner)))
      return failure();
  for (const auto &[i, name] : llvm::enumerate(node.output())) {
    std::optional<Value> value;
    if (i < size_t(body.output_size()))
      value = lookUp(body.output(i), inner);
    if (!value && !name.empty())
      addInvalid("node '" + getNodeName(node) + "': function '" + body.name() +
                 "' does not compute output " + Twine(i));
    if (isInvalid() || (value && failed(bind(name, *value, scope))))
      return failure();
  }
  return success();
}

//===-- The model ---------------------------------------------------------===//

llvm::Expected<OwningOpRef<ModuleOp>> ModelImporter::import() {
  auto fail = [&]() -> llvm::Error {
    if (isInvalid())
      return makeError(file.getPath() + ": " + invalid);
    std::string text = (file.getPath() + ": " +
                        (unsupported.size() == 1
                             ? "a place needs what Lathe does not support"
                             : Twine(unsupported.size()) +
                                   " places need what Lathe does not support"))
                           .str();
    for (const OnnxUnsupported &what : unsupported)
      text += "\n  " + what.str();
    return makeError(text);
  };
  Location loc = NameLoc::get(StringAttr::get(&context, file.getPath()));
  module = ModuleOp::create(loc);
  OpBuilder b(module->getBodyRegion());
  frame->function = func::FuncOp::create(b, loc, options.functionName,
                                         b.getFunctionType({}, {}));
  frame->function.addEntryBlock();
  Scope scope;
  SmallVector<Value> results;
  for (const auto &body : file.getModel().functions()) {
    StringRef domain = getDomain(body.domain());
    functions[(domain + "\n" + body.name() + "\n" + body.overload()).str()] =
        &body;
  }
  if (failed(importOpsets(file.getModel().opset_import(), scope)) ||
      failed(declareInputs(scope)))
    return fail();
  frame->analysis = std::make_unique<graph::ShapeAnalysis>(frame->function);
  frame->builder =
      std::make_unique<GraphBuilder>(frame->function, *frame->analysis);
  if (failed(importBody(file.getModel().graph(), scope, results)) ||
      !unsupported.empty() || failed(setResults(results)))
    return fail();
  frame->analysis->annotateFunction();
  if (failed(verify(*module)))
    return makeError(file.getPath() + ": the imported IR does not verify");
  return std::move(module);
}

llvm::Expected<OwningOpRef<ModuleOp>>
lathe::importOnnx(MLIRContext &context, StringRef path,
                  const OnnxImportOptions &options,
                  SmallVectorImpl<OnnxUnsupported> &unsupported) {
  context.loadDialect<func::FuncDialect, graph::GraphDialect>();
  auto file = OnnxFile::open(path);
  if (!file)
    return file.takeError();
  return ModelImporter(context, **file, options, unsupported).import();
}
