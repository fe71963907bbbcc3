// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the importer of one ONNX op sees: the node's inputs as values, its
// attributes, and a builder.

#ifndef LATHE_LIB_FRONTEND_ONNX_NODEIMPORTER_H
#define LATHE_LIB_FRONTEND_ONNX_NODEIMPORTER_H

#include "dialects/Graph/IR/GraphBuilder.h"
#include "lib/Frontend/Onnx/onnx.pb.h"
#include "llvm/ADT/StringSet.h"

namespace lathe::onnx {

class ModelImporter;
struct Scope;
using graph::Compare;
using graph::Dims;
using graph::GraphBuilder;
using graph::Reduction;
using llvm::LogicalResult;
using mlir::AffineExpr;
using mlir::RankedTensorType;
using mlir::Type;
using mlir::Value;

/// One node while it is imported. An op's import function reads inputs and
/// attributes, builds with `b` and ends with `set`, or with `unsupported` or
/// `invalid`, which record the reason and return failure. After it, the
/// importer checks that every attribute was read and every used output set.
class NodeImporter {
public:
  NodeImporter(ModelImporter &model, Scope &scope,
               const ::onnx::NodeProto &node, int64_t opset,
               llvm::ArrayRef<Value> inputs, GraphBuilder &b);

  GraphBuilder &b;
  const ::onnx::NodeProto &node;
  const int64_t opset; ///< Of the node's domain.

  //===-- Inputs and outputs ----------------------------------------------===//

  unsigned getNumInputs() const { return inputs.size(); }
  unsigned getNumOutputs() const { return node.output_size(); }
  llvm::ArrayRef<Value> getInputs() const { return inputs; }
  /// Input `i`; null if it is optional and left out.
  Value in(unsigned i) const { return i < inputs.size() ? inputs[i] : Value(); }
  bool hasInput(unsigned i) const { return bool(in(i)); }
  bool usesOutput(unsigned i) const {
    return i < getNumOutputs() && !node.output(i).empty();
  }

  /// Binds the outputs. Fails if the builder has failed.
  LogicalResult set(mlir::ValueRange values);
  LogicalResult set(Value value) { return set(mlir::ValueRange(value)); }

  //===-- Refusals --------------------------------------------------------===//

  /// The model is valid, but Lathe can't do this.
  LogicalResult unsupported(const llvm::Twine &reason);
  /// The same if the runtime lacks a host function.
  LogicalResult requireBuiltin(llvm::StringRef callee);
  /// The model is wrong.
  LogicalResult invalid(const llvm::Twine &reason);

  /// The outputs depend on something that was refused already.
  LogicalResult skip() {
    refused = true;
    return llvm::failure();
  }

  //===-- Attributes ------------------------------------------------------===//
  // A wrong attribute type is recorded as invalid and gives the default; `set`
  // then fails.

  bool hasAttr(llvm::StringRef name);
  int64_t getInt(llvm::StringRef name, int64_t fallback);
  double getFloat(llvm::StringRef name, double fallback);
  std::string getString(llvm::StringRef name, llvm::StringRef fallback);
  std::optional<llvm::SmallVector<int64_t>> getInts(llvm::StringRef name);
  llvm::SmallVector<int64_t> getInts(llvm::StringRef name, size_t count,
                                     int64_t fallback);
  std::optional<llvm::SmallVector<double>> getFloats(llvm::StringRef name);
  std::optional<llvm::SmallVector<std::string>>
  getStrings(llvm::StringRef name);
  /// The attribute after function arguments are put in; null if absent.
  const ::onnx::AttributeProto *getAttr(llvm::StringRef name);
  /// A tensor attribute as a value; null if absent or not readable.
  Value getTensor(llvm::StringRef name);
  /// Attributes that change nothing in inference.
  void ignore(llvm::ArrayRef<llvm::StringRef> names);

  //===-- Checks ----------------------------------------------------------===//

  /// `axis` counted from the front; nothing (and invalid) when out of range.
  std::optional<int64_t> getAxis(int64_t axis, int64_t rank);
  /// The same for a list, ascending and without repetition.
  std::optional<llvm::SmallVector<int64_t>>
  getAxes(llvm::ArrayRef<int64_t> axes, int64_t rank);
  LogicalResult checkRank(unsigned input, int64_t min, int64_t max);
  /// The integers of a constant input that must be known at compile time;
  /// nothing (and unsupported) when they are not.
  std::optional<llvm::SmallVector<int64_t>> getConstant(unsigned input);
  /// The axis that a constant input gives, counted from the front.
  std::optional<int64_t> getAxisInput(unsigned input, int64_t rank);
  /// An input that was an attribute in older opsets.
  std::optional<llvm::SmallVector<int64_t>>
  getConstantOrAttr(unsigned input, llvm::StringRef attr, int64_t sinceOpset);

  ModelImporter &getModel() { return model; }
  Scope &getScope() { return scope; }
  /// Attributes that no one has asked for.
  llvm::SmallVector<std::string> getUnreadAttrs();
  bool wasRefused() const { return refused; }
  llvm::ArrayRef<Value> getResults() const { return results; }

private:
  const ::onnx::AttributeProto *
  getTyped(llvm::StringRef name, ::onnx::AttributeProto::AttributeType type);

  ModelImporter &model;
  Scope &scope;
  llvm::SmallVector<Value> inputs, results;
  llvm::StringSet<> read;
  bool refused = false;
};

//===-- The op table ------------------------------------------------------===//

/// Element types that an op takes in its first input.
enum class Types { Any, Float, Number, Integer, Bool };

/// One op of a domain, as it is from `minOpset` to `maxOpset`.
struct OpEntry {
  llvm::StringLiteral name;
  int minOpset, maxOpset; ///< Of the domain; both included.
  int minInputs, maxInputs;
  Types types;
  LogicalResult (*import)(NodeImporter &);
};

inline constexpr int kAnyCount = 1 << 30;
inline constexpr int kNewest = 1 << 30;

// One table per file of this folder; all are of the domain ai.onnx.
llvm::ArrayRef<OpEntry> getElementwiseOps();
llvm::ArrayRef<OpEntry> getActivationOps();
llvm::ArrayRef<OpEntry> getShapeOps();
llvm::ArrayRef<OpEntry> getIndexingOps();
llvm::ArrayRef<OpEntry> getGeneratorOps();
llvm::ArrayRef<OpEntry> getReductionOps();
llvm::ArrayRef<OpEntry> getNormalizationOps();
llvm::ArrayRef<OpEntry> getContractionOps();
llvm::ArrayRef<OpEntry> getConvolutionOps();
llvm::ArrayRef<OpEntry> getAttentionOps();
llvm::ArrayRef<OpEntry> getQuantizationOps();
llvm::ArrayRef<OpEntry> getBuiltinOps();
llvm::ArrayRef<OpEntry> getRecurrentOps();
llvm::ArrayRef<OpEntry> getResizeOps();
llvm::ArrayRef<OpEntry> getLossOps();
llvm::ArrayRef<OpEntry> getControlFlowOps();

/// The entries of `domain` with that name, all opsets; empty if none.
llvm::ArrayRef<const OpEntry *> findOp(llvm::StringRef domain,
                                       llvm::StringRef name);

} // namespace lathe::onnx

#endif // LATHE_LIB_FRONTEND_ONNX_NODEIMPORTER_H
