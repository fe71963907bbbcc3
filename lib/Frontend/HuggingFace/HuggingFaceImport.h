// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Hugging Face folders (config.json, *.safetensors) to the graph dialect.

#ifndef LATHE_LIB_FRONTEND_HUGGINGFACE_HUGGINGFACEIMPORT_H
#define LATHE_LIB_FRONTEND_HUGGINGFACE_HUGGINGFACEIMPORT_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/Error.h"

namespace lathe {

/// Imports the model in `folder` as one public function `main`: the base model
/// of its `model_type`, without task heads. Weights refer to the mapped files.
/// Errors name the file and the key or tensor.
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>>
importHuggingFace(mlir::MLIRContext &context, llvm::StringRef folder);

/// The values of `model_type` that have an architecture, sorted.
std::vector<std::string> getHuggingFaceModelTypes();

} // namespace lathe

#endif // LATHE_LIB_FRONTEND_HUGGINGFACE_HUGGINGFACEIMPORT_H
