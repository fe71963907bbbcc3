// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Frontend/Onnx/OnnxFile.h"
#include "lib/Frontend/MappedConstant.h"
#include "lib/Frontend/Onnx/WireFormat.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include <google/protobuf/io/coded_stream.h>

using namespace lathe;
using namespace lathe::onnx;
using namespace mlir;
using llvm::Twine;
using ::onnx::TensorProto;

mlir::Type lathe::onnx::getElementType(MLIRContext *context, int32_t dataType) {
  auto integer = [&](unsigned width, bool isUnsigned) -> Type {
    return IntegerType::get(context, width,
                            isUnsigned ? IntegerType::Unsigned
                                       : IntegerType::Signless);
  };
  switch (dataType) {
  case TensorProto::FLOAT:
    return Float32Type::get(context);
  case TensorProto::DOUBLE:
    return Float64Type::get(context);
  case TensorProto::FLOAT16:
    return Float16Type::get(context);
  case TensorProto::BFLOAT16:
    return BFloat16Type::get(context);
  case TensorProto::FLOAT8E4M3FN:
    return Float8E4M3FNType::get(context);
  case TensorProto::FLOAT8E5M2:
    return Float8E5M2Type::get(context);
  case TensorProto::BOOL:
    return integer(1, false);
  case TensorProto::INT8:
    return integer(8, false);
  case TensorProto::INT16:
    return integer(16, false);
  case TensorProto::INT32:
    return integer(32, false);
  case TensorProto::INT64:
    return integer(64, false);
  case TensorProto::UINT8:
    return integer(8, true);
  case TensorProto::UINT16:
    return integer(16, true);
  case TensorProto::UINT32:
    return integer(32, true);
  case TensorProto::UINT64:
    return integer(64, true);
  default:
    return {};
  }
}

std::string lathe::onnx::getDataTypeName(int32_t dataType) {
  if (TensorProto::DataType_IsValid(dataType))
    return TensorProto::DataType_Name(TensorProto::DataType(dataType));
  return "data type " + std::to_string(dataType);
}

llvm::Expected<std::unique_ptr<OnnxFile>> OnnxFile::open(llvm::StringRef path) {
  auto file = MappedFile::open(path);
  if (!file)
    return file.takeError();
  llvm::Expected<std::string> skeleton = makeSkeleton((*file)->getBytes());
  if (!skeleton)
    return makeError(
        path + ": not an ONNX model: " + llvm::toString(skeleton.takeError()));

  auto result = std::make_unique<OnnxFile>();
  result->file = std::move(*file);
  google::protobuf::io::CodedInputStream stream(
      reinterpret_cast<const uint8_t *>(skeleton->data()), skeleton->size());
  // The walker has bounded graphs; types may nest as well.
  stream.SetRecursionLimit(200);
  if (!result->model.ParseFromCodedStream(&stream) ||
      !stream.ConsumedEntireMessage())
    return makeError(path + ": not an ONNX model: a field has the wrong type "
                            "or text that is not UTF-8");
  if (!result->model.has_graph())
    return makeError(path + ": not an ONNX model: it has no graph");
  return std::move(result);
}

llvm::Expected<ElementsAttr> OnnxFile::getTensor(MLIRContext *context,
                                                 const TensorProto &tensor,
                                                 llvm::StringRef name) {
  auto fail = [&](const Twine &message) {
    return makeError("tensor '" + name + "' " + message);
  };
  Type elementType = lathe::onnx::getElementType(context, tensor.data_type());
  if (!elementType)
    return fail("has element type " + getDataTypeName(tensor.data_type()) +
                ", which Lathe does not support");
  if (tensor.has_segment())
    return fail("is stored in segments, which Lathe does not support");
  if (tensor.dims_size() > 64)
    return fail("has rank " + Twine(tensor.dims_size()) +
                "; at most 64 is allowed");
  for (int64_t dim : tensor.dims())
    if (dim < 0)
      return fail("has dim " + Twine(dim) + "; dims must not be negative");
  auto type = RankedTensorType::get(
      ArrayRef<int64_t>(tensor.dims().data(), tensor.dims_size()), elementType);
  std::optional<uint64_t> size = getDenseSize(type);
  if (!size)
    return fail("has more elements than fit into 64 bits");
  if (tensor.data_location() == TensorProto::EXTERNAL)
    return getExternalData(type, tensor, name, *size);
  return getTypedData(type, tensor, name, *size);
}

//===-- External files ----------------------------------------------------===//

llvm::Expected<std::shared_ptr<const MappedFile>>
OnnxFile::openExternal(llvm::StringRef location) {
  auto [it, isNew] = external.try_emplace(location);
  if (!isNew)
    return it->second;
  external.erase(it);
  namespace path = llvm::sys::path;
  // Only files of the model's own folder and below, with symbolic links
  // followed: a model must not be able to read the rest of the machine.
  if (location.empty() || location.contains('\0') ||
      path::is_absolute(location) ||
      llvm::is_contained(
          llvm::make_range(path::begin(location), path::end(location)), ".."))
    return makeError("external data location '" + location +
                     "' must be a path below the model's folder");
  llvm::SmallString<128> folder(path::parent_path(getPath()));
  if (folder.empty())
    folder = ".";
  llvm::SmallString<128> full(folder), realFolder, realFile;
  path::append(full, location);
  if (std::error_code code = llvm::sys::fs::real_path(full, realFile))
    return makeError("external data '" + full + "': " + code.message());
  if (std::error_code code = llvm::sys::fs::real_path(folder, realFolder))
    return makeError("'" + folder + "': " + code.message());
  if (realFolder != "/")
    realFolder += '/';
  if (!llvm::StringRef(realFile).starts_with(realFolder))
    return makeError("external data location '" + location +
                     "' leads out of the model's folder");
  auto file = MappedFile::open(full);
  if (!file)
    return file.takeError();
  external[location] = *file;
  return *file;
}

llvm::Expected<ElementsAttr>
OnnxFile::getExternalData(RankedTensorType type, const TensorProto &tensor,
                          llvm::StringRef name, uint64_t size) {
  llvm::StringRef location;
  uint64_t offset = 0, length = size;
  for (const auto &entry : tensor.external_data()) {
    llvm::StringRef key = entry.key(), value = entry.value();
    if (key == "location")
      location = value;
    else if ((key == "offset" && value.getAsInteger(10, offset)) ||
             (key == "length" && value.getAsInteger(10, length)))
      return makeError("tensor '" + name + "' has external data " + key + " '" +
                       value + "'; it must be a number of bytes");
  }
  auto data = openExternal(location);
  if (!data)
    return makeError("tensor '" + name +
                     "': " + llvm::toString(data.takeError()));
  ArrayRef<char> bytes = (*data)->getBytes();
  if (length != size || offset > bytes.size() || size > bytes.size() - offset)
    return makeError("tensor '" + name + "' needs " + Twine(size) +
                     " bytes, its external data is " + Twine(length) +
                     " bytes at " + Twine(offset) + " of '" + location +
                     "', which has " + Twine(bytes.size()));
  return makeMappedConstant(type, name, *data, bytes.slice(offset, size));
}

//===-- Contents in the model ---------------------------------------------===//

/// Appends `value` as an integer of `width` bytes, little-endian.
static void appendInteger(llvm::SmallVectorImpl<char> &out, uint64_t value,
                          unsigned width) {
  for (unsigned i = 0; i < width; ++i)
    out.push_back(char(value >> (8 * i)));
}

template <typename T>
static void appendField(llvm::SmallVectorImpl<char> &out,
                        const google::protobuf::RepeatedField<T> &field,
                        unsigned width) {
  for (T element : field) {
    uint64_t bits = 0;
    memcpy(&bits, &element, sizeof(T));
    appendInteger(out, bits, width);
  }
}

/// The field of TensorProto that may hold a tensor of `type`.
static unsigned getTypedField(Type type) {
  if (type.isF32())
    return 4;
  if (type.isF64())
    return 10;
  auto integer = dyn_cast<IntegerType>(type);
  if (integer && integer.getWidth() == 64)
    return integer.isUnsigned() ? 11 : 7;
  if (integer && integer.getWidth() == 32 && integer.isUnsigned())
    return 11;
  return 5;
}

llvm::Expected<ElementsAttr> OnnxFile::getTypedData(RankedTensorType type,
                                                    const TensorProto &tensor,
                                                    llvm::StringRef name,
                                                    uint64_t size) {
  Type elementType = type.getElementType();
  unsigned width = (elementType.getIntOrFloatBitWidth() + 7) / 8;
  unsigned field = getTypedField(elementType);
  auto wrongSize = [&](uint64_t found) {
    return makeError("tensor '" + name + "' must have " + Twine(size / width) +
                     " elements, " + Twine(size) + " bytes; it has " +
                     Twine(found) + " bytes");
  };
  llvm::SmallVector<TensorPiece, 1> pieces = getPieces(tensor.raw_data());
  for (const TensorPiece &piece : pieces)
    if (piece.field != 9 && piece.field != field)
      return makeError(
          "tensor '" + name + "' of " + getDataTypeName(tensor.data_type()) +
          " has contents in field " + Twine(piece.field) +
          " of its message; allowed are raw_data and field " + Twine(field));
  bool isFixedWidth = field == 4 || field == 10;
  auto getBytes = [&](const TensorPiece &piece) {
    return file->getBytes().slice(piece.offset, piece.size);
  };
  if (pieces.size() == 1 && (pieces[0].field == 9 || isFixedWidth)) {
    if (pieces[0].size != size)
      return wrongSize(pieces[0].size);
    return makeMappedConstant(type, name, file, getBytes(pieces[0]));
  }

  llvm::SmallVector<char, 0> bytes;
  for (const TensorPiece &piece : pieces) {
    ArrayRef<char> content = getBytes(piece);
    if (piece.field == 9 || isFixedWidth) {
      bytes.append(content.begin(), content.end());
      continue;
    }
    uint64_t value;
    while (!content.empty()) {
      if (!readVarint(content, value))
        return makeError("tensor '" + name + "' has a damaged number");
      appendInteger(bytes, value, width);
      if (bytes.size() > size)
        return wrongSize(bytes.size());
    }
  }
  // Fields that are not packed are still in the message.
  if (field == 4)
    appendField(bytes, tensor.float_data(), width);
  else if (field == 10)
    appendField(bytes, tensor.double_data(), width);
  else if (field == 7)
    appendField(bytes, tensor.int64_data(), width);
  else if (field == 11)
    appendField(bytes, tensor.uint64_data(), width);
  else
    appendField(bytes, tensor.int32_data(), width);
  if (bytes.size() != size)
    return wrongSize(bytes.size());
  return makeOwnedConstant(type, name, bytes);
}
