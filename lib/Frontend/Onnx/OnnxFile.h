// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// An ONNX file on disk: its messages, and its tensors where they lie.

#ifndef LATHE_LIB_FRONTEND_ONNX_ONNXFILE_H
#define LATHE_LIB_FRONTEND_ONNX_ONNXFILE_H

#include "lib/Frontend/Onnx/onnx.pb.h"
#include "lib/Support/MappedFile.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/StringMap.h"

namespace lathe::onnx {

/// The MLIR type of a `TensorProto.DataType`, or null if Lathe has none for it
/// (strings, complex numbers, floats under 16 bits, packed integers).
mlir::Type getElementType(mlir::MLIRContext *context, int32_t dataType);

/// "FLOAT16" and so on; the number itself for an unknown one.
std::string getDataTypeName(int32_t dataType);

/// A parsed model and the files its tensors lie in. Tensors in the messages
/// have no contents (see WireFormat.h): `getTensor` reads them.
class OnnxFile {
public:
  /// Maps and parses `path`. The error names the file and the byte.
  static llvm::Expected<std::unique_ptr<OnnxFile>> open(llvm::StringRef path);

  const ::onnx::ModelProto &getModel() const { return model; }
  llvm::StringRef getPath() const { return file->getPath(); }

  /// The contents of `tensor`, by reference to the file where its format
  /// allows. `name` is for messages and the resource. External data is read
  /// from beside the model only. Errors name the tensor, not the file.
  llvm::Expected<mlir::ElementsAttr>
  getTensor(mlir::MLIRContext *context, const ::onnx::TensorProto &tensor,
            llvm::StringRef name);

private:
  llvm::Expected<mlir::ElementsAttr>
  getTypedData(mlir::RankedTensorType type, const ::onnx::TensorProto &tensor,
               llvm::StringRef name, uint64_t size);
  llvm::Expected<mlir::ElementsAttr>
  getExternalData(mlir::RankedTensorType type,
                  const ::onnx::TensorProto &tensor, llvm::StringRef name,
                  uint64_t size);
  llvm::Expected<std::shared_ptr<const MappedFile>>
  openExternal(llvm::StringRef location);

  std::shared_ptr<const MappedFile> file;
  ::onnx::ModelProto model;
  /// External files by their location in the model.
  llvm::StringMap<std::shared_ptr<const MappedFile>> external;
};

} // namespace lathe::onnx

#endif // LATHE_LIB_FRONTEND_ONNX_ONNXFILE_H
