// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Frontend/HuggingFace/ModelBuilder.h"
#include "lib/Frontend/MappedConstant.h"
#include <cmath>
#include <limits>

using namespace mlir;
using namespace lathe;
using namespace lathe::huggingface;
using llvm::Error;
using llvm::Twine;

ModelBuilder::ModelBuilder(ModuleOp module, Config &config,
                           Checkpoint &checkpoint)
    : config(config), checkpoint(checkpoint) {
  OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
  function = func::FuncOp::create(b, module.getLoc(), "main",
                                  b.getFunctionType({}, {}));
  function.addEntryBlock();
  analysis = std::make_unique<graph::ShapeAnalysis>(function);
  builder = std::make_unique<GraphBuilder>(function, *analysis);
}

ModelBuilder::~ModelBuilder() = default;

void ModelBuilder::fail(const Twine &message) {
  if (error.empty())
    error = message.str();
  builder->setFailed();
}

//===----------------------------------------------------------------------===//
// Inputs and outputs
//===----------------------------------------------------------------------===//

AffineExpr ModelBuilder::getDim(llvm::StringRef name) {
  int64_t size;
  if (!name.getAsInteger(10, size))
    return builder->size(size);
  return analysis->getSymbol(name);
}

Value ModelBuilder::input(llvm::StringRef name, Type element,
                          llvm::ArrayRef<std::string> dims) {
  graph::Dims sizes;
  for (const std::string &dim : dims)
    sizes.push_back(getDim(dim));
  auto type = RankedTensorType::get(graph::toStaticShape(sizes), element);
  auto label = builder->getStringAttr(name);
  unsigned index = function.getNumArguments();
  if (failed(function.insertArgument(index, type, {}, NameLoc::get(label)))) {
    fail("input '" + name + "' cannot be added");
    return {};
  }
  function.setArgAttr(index, graph::kNameAttr, label);
  analysis->setDims(function.getArgument(index), sizes);
  return function.getArgument(index);
}

void ModelBuilder::output(llvm::StringRef name, Value value) {
  outputs.emplace_back(name, value);
}

Error ModelBuilder::finish() {
  if (Error failure = config.takeError())
    return failure;
  if (!error.empty())
    return makeError(error);
  if (builder->hasFailed())
    return makeError(config.getPath() +
                     ": the sizes do not make a model; see the errors above");
  SmallVector<Value> values;
  SmallVector<DictionaryAttr> attrs;
  for (const auto &[name, value] : outputs) {
    values.push_back(value);
    attrs.push_back(builder->getDictionaryAttr(
        builder->getNamedAttr(graph::kNameAttr, builder->getStringAttr(name))));
  }
  func::ReturnOp::create(*builder, function.getLoc(), values);
  function.setType(builder->getFunctionType(function.getArgumentTypes(),
                                            ValueRange(values).getTypes()));
  function.setAllResultAttrs(attrs);
  analysis->annotateFunction();
  return Error::success();
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

bool ModelBuilder::hasWeight(const Twine &name) {
  return checkpoint.contains((prefix + name).str());
}

Value ModelBuilder::weight(const Twine &name, llvm::ArrayRef<int64_t> shape) {
  std::string key = (prefix + name).str();
  if (!error.empty())
    return {};
  auto it = checkpoint.find(key);
  if (it == checkpoint.end()) {
    fail("tensor '" + key + "' is missing from the checkpoint of " +
         config.getPath());
    return {};
  }
  const StoredTensor &tensor = it->second;
  if (tensor.type.getShape() != shape) {
    std::string found, wanted;
    llvm::raw_string_ostream(found) << tensor.type;
    llvm::raw_string_ostream(wanted)
        << RankedTensorType::get(shape, tensor.type.getElementType());
    fail("tensor '" + key + "' of " + tensor.file->getPath() + " is " + found +
         "; " + config.getPath() + " asks for " + wanted);
    return {};
  }
  Location outer = builder->loc;
  builder->loc = NameLoc::get(builder->getStringAttr(key));
  Value value = builder->cast(builder->constant(makeMappedConstant(
                                  tensor.type, key, tensor.file, tensor.bytes)),
                              builder->getF32Type());
  builder->loc = outer;
  return value;
}

//===----------------------------------------------------------------------===//
// Layers
//===----------------------------------------------------------------------===//

namespace {
/// Gives the ops of a layer its name as location.
class LayerScope {
public:
  LayerScope(GraphBuilder &builder, const Twine &name)
      : builder(builder), outer(builder.loc) {
    builder.loc = NameLoc::get(builder.getStringAttr(name));
  }
  ~LayerScope() { builder.loc = outer; }

private:
  GraphBuilder &builder;
  Location outer;
};
} // namespace

Value ModelBuilder::linear(Value x, const Twine &name, int64_t in, int64_t out,
                           bool bias) {
  std::string layer = name.str();
  LayerScope scope(*builder, layer);
  Value kernel = weight(layer + ".weight", {out, in});
  Value y = builder->matmul(x, builder->transpose(kernel, {1, 0}));
  return bias ? builder->add(y, weight(layer + ".bias", {out})) : y;
}

Value ModelBuilder::layerNorm(Value x, const Twine &name, int64_t size,
                              double epsilon) {
  std::string layer = name.str();
  LayerScope scope(*builder, layer);
  return builder->create<graph::LayerNormOp>(
      builder->getF32Type(), x, weight(layer + ".weight", {size}),
      weight(layer + ".bias", {size}),
      builder->getI64IntegerAttr(builder->getRank(x) - 1),
      builder->getF64FloatAttr(epsilon));
}

Value ModelBuilder::embedding(Value ids, const Twine &name, int64_t count,
                              int64_t size) {
  std::string layer = name.str();
  LayerScope scope(*builder, layer);
  return builder->create<graph::GatherOp>(
      builder->getF32Type(), weight(layer + ".weight", {count, size}), ids,
      builder->getI64IntegerAttr(0));
}

Value ModelBuilder::activation(Value x, llvm::StringRef name) {
  if (name == "gelu")
    return builder->unary<graph::GeluOp>(x);
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast")
    return builder->unary<graph::GeluTanhOp>(x);
  if (name == "relu")
    return builder->unary<graph::ReluOp>(x);
  if (name == "silu" || name == "swish")
    return builder->unary<graph::SiluOp>(x);
  if (name == "tanh")
    return builder->unary<graph::TanhOp>(x);
  if (name == "sigmoid")
    return builder->unary<graph::SigmoidOp>(x);
  fail(config.getPath() + ": activation '" + name +
       "' is not supported; there are gelu, gelu_new, gelu_pytorch_tanh, "
       "gelu_fast, relu, silu, swish, tanh and sigmoid");
  return {};
}

Value ModelBuilder::repeat(int64_t count, Value x,
                           llvm::function_ref<Value(Value, int64_t)> layer) {
  for (int64_t i = 0; i < count && error.empty() && !builder->hasFailed(); ++i)
    x = layer(x, i);
  return x;
}

Value ModelBuilder::splitHeads(Value x, int64_t heads) {
  GraphBuilder &b = *builder;
  AffineExpr width = b.getDim(x, 2).floorDiv(heads);
  return b.transpose(
      b.reshape(x, {b.getDim(x, 0), b.getDim(x, 1), b.size(heads), width}),
      {0, 2, 1, 3});
}

Value ModelBuilder::attention(Value query, Value key, Value value,
                              int64_t heads, Value mask) {
  GraphBuilder &b = *builder;
  if (!error.empty() || b.hasFailed())
    return {};
  auto hidden = cast<RankedTensorType>(query.getType()).getDimSize(2);
  double scale = 1.0 / std::sqrt(static_cast<double>(hidden / heads));
  Value o = b.create<graph::AttentionOp>(
      b.getF32Type(), splitHeads(query, heads), splitHeads(key, heads),
      splitHeads(value, heads), mask,
      graph::SoftmaxAttr::get(b.getContext(), scale, /*cap=*/0.0),
      graph::DenseSelectionAttr::get(b.getContext()));
  return b.reshape(b.transpose(o, {0, 2, 1, 3}),
                   {b.getDim(query, 0), b.getDim(query, 1), b.size(hidden)});
}

Value ModelBuilder::additiveMask(Value mask) {
  GraphBuilder &b = *builder;
  LayerScope scope(b, "attention_mask");
  Value visible = b.unsqueeze(b.cast(mask, b.getF32Type()), {1, 2});
  Value hidden = b.sub(b.scalarLike(visible, 1.0), visible);
  return b.mul(hidden,
               b.scalarLike(visible, std::numeric_limits<float>::lowest()));
}
