// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// ONNX files to the graph dialect.

#ifndef LATHE_LIB_FRONTEND_ONNX_ONNXIMPORT_H
#define LATHE_LIB_FRONTEND_ONNX_ONNXIMPORT_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/Error.h"
#include <functional>
#include <string>

namespace lathe {

/// The opsets of the domain ai.onnx that the importer knows.
inline constexpr int64_t kOnnxMinOpset = 7;
inline constexpr int64_t kOnnxMaxOpset = 28;

struct OnnxImportOptions {
  /// The name of the function that the model becomes.
  std::string functionName = "main";
  /// Whether the runtime has a host function (Builtins.md); empty: all of them.
  std::function<bool(llvm::StringRef callee)> hasBuiltin;
};

/// Something that a model asks for and Lathe cannot do.
struct OnnxUnsupported {
  std::string node;   ///< The node's name, or that of its first output.
  std::string op;     ///< "Loop"; for inputs and tensors "graph input", ...
  std::string domain; ///< Empty for ai.onnx.
  int64_t opset;      ///< That the model imports of this domain.
  std::string reason; ///< "attribute 'mode' is 'cubic'; allowed are ..."

  /// One line with all of it.
  std::string str() const;
};

/// Imports the model in `path` as one public function: inputs and outputs in
/// order with their names, dims with the names that the model gives them,
/// every op with the location of its node. Constants refer to the mapped
/// files, which stay open as long as the context; nothing is copied.
///
/// Two kinds of failure. A file that is not a valid model gives one error with
/// the place. A valid model that asks for what Lathe does not support gives an
/// error that lists *all* of it, one per line; the list is in `unsupported`,
/// too. The context gets the dialects it needs.
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>>
importOnnx(mlir::MLIRContext &context, llvm::StringRef path,
           const OnnxImportOptions &options,
           llvm::SmallVectorImpl<OnnxUnsupported> &unsupported);

} // namespace lathe

#endif // LATHE_LIB_FRONTEND_ONNX_ONNXIMPORT_H
