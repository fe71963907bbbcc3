// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "OnnxTestModels.h"
#include "lib/Frontend/Onnx/onnx.pb.h"

using namespace lathe;
using onnx::AttributeProto;
using onnx::GraphProto;
using onnx::ModelProto;
using onnx::NodeProto;
using onnx::TensorProto;

static NodeProto &addNode(GraphProto &graph, const char *op,
                          std::vector<const char *> inputs,
                          std::vector<const char *> outputs) {
  NodeProto &node = *graph.add_node();
  node.set_op_type(op);
  node.set_name(std::string("/") + op);
  for (const char *input : inputs)
    node.add_input(input);
  for (const char *output : outputs)
    node.add_output(output);
  return node;
}

static AttributeProto &addAttr(NodeProto &node, const char *name,
                               AttributeProto::AttributeType type) {
  AttributeProto &attr = *node.add_attribute();
  attr.set_name(name);
  attr.set_type(type);
  return attr;
}

static void addInts(NodeProto &node, const char *name,
                    std::vector<int64_t> values) {
  AttributeProto &attr = addAttr(node, name, AttributeProto::INTS);
  for (int64_t value : values)
    attr.add_ints(value);
}

static void addValueInfo(onnx::ValueInfoProto &info, const char *name,
                         std::vector<const char *> dims) {
  info.set_name(name);
  auto &tensor = *info.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(TensorProto::FLOAT);
  for (const char *dim : dims)
    if (isdigit(dim[0]))
      tensor.mutable_shape()->add_dim()->set_dim_value(std::atoi(dim));
    else
      tensor.mutable_shape()->add_dim()->set_dim_param(dim);
}

static void addFloats(GraphProto &graph, const char *name,
                      std::vector<int64_t> dims) {
  TensorProto &tensor = *graph.add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(TensorProto::FLOAT);
  int64_t count = 1;
  for (int64_t dim : dims) {
    tensor.add_dims(dim);
    count *= dim;
  }
  std::vector<float> values(count, 0.5f);
  tensor.set_raw_data(values.data(), count * sizeof(float));
}

static void addIntegers(GraphProto &graph, const char *name,
                        std::vector<int64_t> values) {
  TensorProto &tensor = *graph.add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(TensorProto::INT64);
  tensor.add_dims(values.size());
  for (int64_t value : values)
    tensor.add_int64_data(value);
}

static ModelProto makeModel() {
  ModelProto model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(20);
  addValueInfo(*model.mutable_graph()->add_input(), "x", {"batch", "seq", "8"});
  addValueInfo(*model.mutable_graph()->add_output(), "y", {});
  model.mutable_graph()->mutable_output(0)->mutable_type()->Clear();
  return model;
}

static ModelProto makeTransformer() {
  ModelProto model = makeModel();
  GraphProto &graph = *model.mutable_graph();
  addFloats(graph, "w", {8, 16});
  addFloats(graph, "scale", {8});
  addIntegers(graph, "heads", {0, 0, 2, 8});
  NodeProto &norm = addNode(graph, "LayerNormalization", {"x", "scale"}, {"n"});
  addAttr(norm, "epsilon", AttributeProto::FLOAT).set_f(1e-5f);
  addNode(graph, "MatMul", {"n", "w"}, {"m"});
  addNode(graph, "Reshape", {"m", "heads"}, {"r"});
  addInts(addNode(graph, "Transpose", {"r"}, {"t"}), "perm", {0, 2, 1, 3});
  addNode(graph, "Shape", {"t"}, {"s"});
  addIntegers(graph, "two", {2});
  addNode(graph, "Gather", {"s", "two"}, {"length"});
  addNode(graph, "Concat", {"two", "length"}, {"to"});
  addAttr(graph.mutable_node()->at(6), "axis", AttributeProto::INT).set_i(0);
  addNode(graph, "Expand", {"length", "to"}, {"e"});
  addNode(graph, "Softmax", {"t"}, {"y"});
  return model;
}

static ModelProto makeConvolution() {
  ModelProto model = makeModel();
  GraphProto &graph = *model.mutable_graph();
  addFloats(graph, "w", {4, 3, 3, 3});
  addFloats(graph, "scale", {4});
  addIntegers(graph, "shape", {2, 3, -1, 8});
  addNode(graph, "Reshape", {"x", "shape"}, {"image"});
  NodeProto &conv = addNode(graph, "Conv", {"image", "w", "scale"}, {"c"});
  addInts(conv, "pads", {1, 1, 1, 1});
  addInts(conv, "strides", {2, 2});
  addNode(graph, "BatchNormalization",
          {"c", "scale", "scale", "scale", "scale"}, {"b"});
  addInts(addNode(graph, "MaxPool", {"b"}, {"p"}), "kernel_shape", {2, 2});
  NodeProto &sum = addNode(graph, "Einsum", {"p", "p"}, {"k"});
  addAttr(sum, "equation", AttributeProto::STRING).set_s("bchw,bdhw->bcd");
  NodeProto &pad = addNode(graph, "Pad", {"k", "pads"}, {"q"});
  addAttr(pad, "mode", AttributeProto::STRING).set_s("constant");
  addIntegers(graph, "pads", {0, 1, 0, 0, 1, 0});
  addIntegers(graph, "parts", {2, 2});
  addNode(graph, "Split", {"q", "parts"}, {"y", "other"});
  addAttr(*graph.mutable_node(6), "axis", AttributeProto::INT).set_i(2);
  return model;
}

static ModelProto makeControlFlow() {
  ModelProto model = makeModel();
  GraphProto &graph = *model.mutable_graph();
  NodeProto &truth = addNode(graph, "Constant", {}, {"yes"});
  TensorProto &value =
      *addAttr(truth, "value", AttributeProto::TENSOR).mutable_t();
  value.set_data_type(TensorProto::BOOL);
  value.add_int32_data(1);
  NodeProto &branch = addNode(graph, "If", {"yes"}, {"z"});
  for (const char *name : {"then_branch", "else_branch"}) {
    GraphProto &body =
        *addAttr(branch, name, AttributeProto::GRAPH).mutable_g();
    addNode(body, "Relu", {"x"}, {"inner"});
    body.add_output()->set_name("inner");
  }
  onnx::FunctionProto &function = *model.add_functions();
  function.set_name("Scale");
  function.set_domain("test");
  function.add_input("a");
  function.add_output("b");
  function.add_opset_import()->set_version(20);
  NodeProto &elu = *function.add_node();
  elu.set_op_type("Elu");
  elu.add_input("a");
  elu.add_output("b");
  addAttr(elu, "alpha", AttributeProto::FLOAT).set_ref_attr_name("factor");
  NodeProto &call = addNode(graph, "Scale", {"z"}, {"y"});
  call.set_domain("test");
  addAttr(call, "factor", AttributeProto::FLOAT).set_f(2.0f);
  return model;
}

std::vector<std::string> test::makeSeedModels() {
  return {makeTransformer().SerializeAsString(),
          makeConvolution().SerializeAsString(),
          makeControlFlow().SerializeAsString()};
}
