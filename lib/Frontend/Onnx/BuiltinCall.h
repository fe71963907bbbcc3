// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A `graph.builtin` while it is put together.

#ifndef LATHE_LIB_FRONTEND_ONNX_BUILTINCALL_H
#define LATHE_LIB_FRONTEND_ONNX_BUILTINCALL_H

#include "lib/Frontend/Onnx/NodeImporter.h"

namespace lathe::onnx {

/// Collects operands, options and results of one call (Builtins.md). Results
/// are all of known sizes (`result`), or all with sizes that the call defines
/// (`freshResult`); the two do not mix in one call.
class BuiltinCall {
public:
  BuiltinCall(NodeImporter &node, llvm::StringRef callee,
              llvm::ArrayRef<Value> operands)
      : operands(operands), node(node), callee(callee) {}

  /// By ONNX input position; null where an optional one is left out.
  llvm::SmallVector<Value> operands;

  void integer(llvm::StringRef name, int64_t value) {
    add(name, node.b.getI64IntegerAttr(value));
  }
  void number(llvm::StringRef name, double value) {
    add(name, node.b.getF64FloatAttr(value));
  }
  void string(llvm::StringRef name, llvm::StringRef value) {
    add(name, node.b.getStringAttr(value));
  }
  void ints(llvm::StringRef name, llvm::ArrayRef<int64_t> values) {
    add(name, node.b.getDenseI64ArrayAttr(values));
  }
  void numbers(llvm::StringRef name, llvm::ArrayRef<double> values) {
    add(name, node.b.getDenseF64ArrayAttr(values));
  }
  /// Passes on the node's float attribute of that name if it has one.
  void optionalNumber(llvm::StringRef name) {
    if (node.hasAttr(name))
      number(name, node.getFloat(name, 0.0));
  }

  void result(Type elementType, llvm::ArrayRef<AffineExpr> dims) {
    types.push_back(
        RankedTensorType::get(graph::toStaticShape(dims), elementType));
    shapes.emplace_back(dims);
  }
  /// Each dynamic dim is a symbol that the call defines.
  void freshResult(Type elementType, llvm::ArrayRef<int64_t> shape) {
    types.push_back(RankedTensorType::get(shape, elementType));
  }

  /// Creates the op; null values on failure.
  llvm::SmallVector<Value> build();
  /// The same, as the node's outputs.
  LogicalResult set();

private:
  void add(llvm::StringRef name, mlir::Attribute value) {
    options.push_back(node.b.getNamedAttr(name, value));
  }

  NodeImporter &node;
  std::string callee;
  llvm::SmallVector<mlir::NamedAttribute> options;
  llvm::SmallVector<RankedTensorType> types;
  llvm::SmallVector<Dims> shapes;
};

} // namespace lathe::onnx

#endif // LATHE_LIB_FRONTEND_ONNX_BUILTINCALL_H
