// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The vocabulary in which architectures are written down: layers by the names
// of their weights. An architecture is one file that reads like the model's
// definition (Bert.cpp is the shortest to learn from).

#ifndef LATHE_LIB_FRONTEND_HUGGINGFACE_MODELBUILDER_H
#define LATHE_LIB_FRONTEND_HUGGINGFACE_MODELBUILDER_H

#include "dialects/Graph/IR/GraphBuilder.h"
#include "lib/Frontend/HuggingFace/Json.h"
#include "lib/Frontend/HuggingFace/Safetensors.h"

namespace lathe::huggingface {

using graph::GraphBuilder;
using mlir::Value;

/// Builds the function of one model. Errors are sticky, as in GraphBuilder:
/// after the first, everything does nothing, and `takeError` has it.
class ModelBuilder {
public:
  ModelBuilder(mlir::ModuleOp module, Config &config, Checkpoint &checkpoint);
  ~ModelBuilder();

  Config &config;

  /// Ops beside the layers below.
  GraphBuilder &ops() { return *builder; }

  //===-- Inputs and outputs
  //-------------------------------------------------===//

  /// An input with named dims: `input("input_ids", i64, {"batch", "seq"})`. A
  /// name that is a number is a static dim. All inputs come before any layer.
  Value input(llvm::StringRef name, mlir::Type element,
              llvm::ArrayRef<std::string> dims);
  void output(llvm::StringRef name, Value value);

  //===-- Weights
  //------------------------------------------------------------===//

  /// Names of weights are looked up under `prefix` ("bert." where a checkpoint
  /// holds a larger model).
  void setPrefix(llvm::StringRef prefix) { this->prefix = prefix.str(); }
  bool hasWeight(const llvm::Twine &name);
  /// A weight of exactly this shape, converted to f32.
  Value weight(const llvm::Twine &name, llvm::ArrayRef<int64_t> shape);

  //===-- Layers
  //-------------------------------------------------------------===//

  /// `x W^T + b` with `<name>.weight` [out, in] and `<name>.bias`.
  Value linear(Value x, const llvm::Twine &name, int64_t in, int64_t out,
               bool bias = true);
  /// Over the last dim, with `<name>.weight` and `<name>.bias`.
  Value layerNorm(Value x, const llvm::Twine &name, int64_t size,
                  double epsilon);
  /// Rows of `<name>.weight` [count, size].
  Value embedding(Value ids, const llvm::Twine &name, int64_t count,
                  int64_t size);
  /// The activation called `name` in configurations: gelu, relu, silu, ...
  Value activation(Value x, llvm::StringRef name);
  /// Softmax attention of `heads` heads on `[batch, seq, heads * d]` inputs,
  /// scaled by 1 / sqrt(d). `mask` may be null.
  Value attention(Value query, Value key, Value value, int64_t heads,
                  Value mask);
  /// `[batch, seq]` of 0 and 1 to what attention adds to its logits:
  /// `[batch, 1, 1, seq]` of the lowest f32 and 0.
  Value additiveMask(Value mask);

  /// `x = layer(x, i)` for i from 0 to `count`. Stops at the first error: a
  /// configuration may claim any number of layers, the checkpoint has few.
  Value repeat(int64_t count, Value x,
               llvm::function_ref<Value(Value, int64_t)> layer);

  /// Writes function type and results. The first error, if there was any.
  llvm::Error finish();

private:
  Value splitHeads(Value x, int64_t heads);
  mlir::AffineExpr getDim(llvm::StringRef name);
  void fail(const llvm::Twine &message);

  mlir::func::FuncOp function;
  Checkpoint &checkpoint;
  std::unique_ptr<graph::ShapeAnalysis> analysis;
  std::unique_ptr<GraphBuilder> builder;
  std::string prefix, error;
  llvm::SmallVector<std::string> symbols;
  llvm::SmallVector<std::pair<std::string, Value>> outputs;
};

} // namespace lathe::huggingface

#endif // LATHE_LIB_FRONTEND_HUGGINGFACE_MODELBUILDER_H
