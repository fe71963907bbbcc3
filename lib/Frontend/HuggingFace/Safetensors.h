// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The safetensors format: eight bytes of header size, a JSON header, data.
// https://huggingface.co/docs/safetensors

#ifndef LATHE_LIB_FRONTEND_HUGGINGFACE_SAFETENSORS_H
#define LATHE_LIB_FRONTEND_HUGGINGFACE_SAFETENSORS_H

#include "lib/Support/MappedFile.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"

namespace lathe::huggingface {

/// One tensor of a checkpoint: where its bytes are.
struct StoredTensor {
  mlir::RankedTensorType type;
  std::shared_ptr<const MappedFile> file;
  llvm::ArrayRef<char> bytes;
};

/// The tensors of a checkpoint by name.
using Checkpoint = llvm::StringMap<StoredTensor>;

/// Adds the tensors of one safetensors file. Errors name the file and the
/// tensor: a range outside the file or of the wrong size, a name that is
/// already there, a dtype that tensors of ours lack.
llvm::Error readSafetensors(llvm::StringRef path, mlir::MLIRContext &context,
                            Checkpoint &checkpoint);

/// Reads `model.safetensors` of a folder, or all the files that its
/// `model.safetensors.index.json` lists.
llvm::Expected<Checkpoint> readCheckpoint(llvm::StringRef folder,
                                          mlir::MLIRContext &context);

} // namespace lathe::huggingface

#endif // LATHE_LIB_FRONTEND_HUGGINGFACE_SAFETENSORS_H
