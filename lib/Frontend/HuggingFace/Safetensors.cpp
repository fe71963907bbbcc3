// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Frontend/HuggingFace/Safetensors.h"
#include "lib/Frontend/HuggingFace/Json.h"
#include "lib/Frontend/MappedConstant.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::huggingface;
using llvm::Error;
using llvm::Expected;
using llvm::Twine;

/// The reference implementation's limit on the JSON header.
static constexpr uint64_t kMaxHeaderBytes = 100'000'000;
static constexpr uint64_t kHeaderSizeBytes = 8;
static constexpr size_t kMaxRank = 16;

static Type getElementType(StringRef dtype, MLIRContext &context) {
  Builder b(&context);
  return llvm::StringSwitch<Type>(dtype)
      .Case("F64", b.getF64Type())
      .Case("F32", b.getF32Type())
      .Case("F16", b.getF16Type())
      .Case("BF16", b.getBF16Type())
      .Case("I64", b.getI64Type())
      .Case("I32", b.getI32Type())
      .Case("I16", b.getI16Type())
      .Case("I8", b.getI8Type())
      .Case("U8", b.getIntegerType(8, /*isSigned=*/false))
      .Case("BOOL", b.getI1Type())
      .Default(Type());
}

/// Reads an array of sizes; nothing unless all are integers and not negative.
static std::optional<SmallVector<int64_t>>
getSizes(const llvm::json::Object &entry, StringRef key) {
  const llvm::json::Array *array = entry.getArray(key);
  if (!array)
    return std::nullopt;
  SmallVector<int64_t> sizes;
  for (const llvm::json::Value &value : *array) {
    std::optional<int64_t> size = value.getAsInteger();
    if (!size || *size < 0)
      return std::nullopt;
    sizes.push_back(*size);
  }
  return sizes;
}

/// Reads one entry of the header; `data` is what follows the header.
static Expected<StoredTensor> readTensor(const llvm::json::Object &entry,
                                         ArrayRef<char> data,
                                         MLIRContext &context) {
  std::optional<StringRef> dtype = entry.getString("dtype");
  Type element = dtype ? getElementType(*dtype, context) : Type();
  if (!element)
    return makeError(
        "'dtype' is " + (dtype ? "'" + dtype->str() + "'" : "missing") +
        "; allowed are F64, F32, F16, BF16, I64, I32, I16, I8, U8 and BOOL");
  std::optional<SmallVector<int64_t>> shape = getSizes(entry, "shape");
  if (!shape || shape->size() > kMaxRank)
    return makeError("'shape' must be an array of at most " + Twine(kMaxRank) +
                     " sizes");
  std::optional<SmallVector<int64_t>> range = getSizes(entry, "data_offsets");
  if (!range || range->size() != 2)
    return makeError("'data_offsets' must be two offsets");
  uint64_t begin = (*range)[0], end = (*range)[1];
  if (begin > end || end > data.size())
    return makeError("bytes " + Twine(begin) + " to " + Twine(end) +
                     " are not inside the file's data of " +
                     Twine(data.size()) + " bytes");
  // Sizes that overflow are caught here: getDenseSize gives nothing for them.
  auto type = RankedTensorType::get(*shape, element);
  std::optional<uint64_t> size = getDenseSize(type);
  if (!size || *size != end - begin)
    return makeError("holds " + Twine(end - begin) +
                     " bytes, but its shape and dtype need " +
                     (size ? Twine(*size) : Twine("more than there can be")));
  return StoredTensor{type, nullptr, data.slice(begin, end - begin)};
}

Error huggingface::readSafetensors(StringRef path, MLIRContext &context,
                                   Checkpoint &checkpoint) {
  auto file = MappedFile::open(path);
  if (!file)
    return file.takeError();
  ArrayRef<char> bytes = (*file)->getBytes();
  if (bytes.size() < kHeaderSizeBytes)
    return makeError(path + ": is shorter than a safetensors header");
  uint64_t size = llvm::support::endian::read64le(bytes.data());
  bytes = bytes.drop_front(kHeaderSizeBytes);
  if (size > bytes.size() || size > kMaxHeaderBytes)
    return makeError(path + ": header size " + Twine(size) +
                     " is larger than the file or the format's limit");
  Expected<llvm::json::Object> header =
      parseJsonObject(StringRef(bytes.data(), size), path);
  if (!header)
    return header.takeError();
  for (const auto &[key, value] : *header) {
    StringRef name = key;
    if (name == "__metadata__")
      continue;
    const llvm::json::Object *entry = value.getAsObject();
    if (!entry)
      return makeError(path + ": tensor '" + name + "' is not an object");
    Expected<StoredTensor> tensor =
        readTensor(*entry, bytes.drop_front(size), context);
    if (!tensor)
      return makeError(path + ": tensor '" + name +
                       "': " + toString(tensor.takeError()));
    tensor->file = *file;
    if (!checkpoint.try_emplace(name, std::move(*tensor)).second)
      return makeError(path + ": tensor '" + name +
                       "' is in another file of the checkpoint, too");
  }
  return Error::success();
}

/// The files that an index lists, in its order, once each.
static Expected<std::vector<std::string>> readIndex(StringRef path) {
  Expected<llvm::json::Object> index = readJsonObject(path);
  if (!index)
    return index.takeError();
  const llvm::json::Object *map = index->getObject("weight_map");
  if (!map)
    return makeError(path + ": 'weight_map' must be an object");
  std::vector<std::string> files;
  llvm::StringSet<> seen;
  for (const auto &[tensor, value] : *map) {
    std::optional<StringRef> file = value.getAsString();
    // A name with a separator could lead out of the folder.
    if (!file || file->empty() || llvm::sys::path::filename(*file) != *file)
      return makeError(path + ": 'weight_map' entry '" + StringRef(tensor) +
                       "' must be the name of a file in the same folder");
    if (seen.insert(*file).second)
      files.push_back(file->str());
  }
  llvm::sort(files);
  return files;
}

Expected<Checkpoint> huggingface::readCheckpoint(StringRef folder,
                                                 MLIRContext &context) {
  auto inFolder = [&](const Twine &name) {
    SmallString<256> path(folder);
    llvm::sys::path::append(path, name);
    return path;
  };
  std::vector<std::string> files = {"model.safetensors"};
  SmallString<256> index = inFolder("model.safetensors.index.json");
  if (!llvm::sys::fs::exists(inFolder(files[0]))) {
    if (!llvm::sys::fs::exists(index))
      return makeError(folder + ": holds neither model.safetensors nor "
                                "model.safetensors.index.json");
    Expected<std::vector<std::string>> listed = readIndex(index);
    if (!listed)
      return listed.takeError();
    files = std::move(*listed);
  }
  Checkpoint checkpoint;
  for (const std::string &name : files)
    if (Error error = readSafetensors(inFolder(name), context, checkpoint))
      return std::move(error);
  return std::move(checkpoint);
}
