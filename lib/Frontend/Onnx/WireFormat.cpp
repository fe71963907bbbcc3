// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Frontend/Onnx/WireFormat.h"
#include "lib/Support/MappedFile.h"
#include "llvm/ADT/SmallVector.h"

using namespace lathe;
using namespace lathe::onnx;
using llvm::ArrayRef;
using llvm::Error;

bool lathe::onnx::readVarint(ArrayRef<char> &bytes, uint64_t &value) {
  value = 0;
  for (unsigned i = 0; i < 10 && i < bytes.size(); ++i) {
    value |= uint64_t(bytes[i] & 0x7f) << (7 * i);
    if (!(bytes[i] & 0x80)) {
      bytes = bytes.drop_front(i + 1);
      return true;
    }
  }
  return false;
}

llvm::SmallVector<TensorPiece, 1>
lathe::onnx::getPieces(llvm::StringRef rawData) {
  llvm::SmallVector<TensorPiece, 1> pieces(rawData.size() /
                                           sizeof(TensorPiece));
  if (!pieces.empty())
    memcpy(pieces.data(), rawData.data(), pieces.size() * sizeof(TensorPiece));
  return pieces;
}

namespace {
/// The messages on the way to a tensor. `Leaf` is any other message or field.
enum class Kind {
  Leaf,
  Drop,
  Contents,
  Model,
  Function,
  Graph,
  Node,
  Attribute,
  SparseTensor,
  Tensor
};

/// What field `number` of a message of kind `kind` holds.
Kind getFieldKind(Kind kind, uint64_t number) {
  switch (kind) {
  case Kind::Model:
    return number == 7                                   ? Kind::Graph
           : number == 25                                ? Kind::Function
           : number == 6 || number == 14 || number == 20 ? Kind::Drop
                                                         : Kind::Leaf;
  case Kind::Function:
    return number == 7                                   ? Kind::Node
           : number == 11                                ? Kind::Attribute
           : number == 8 || number == 12 || number == 14 ? Kind::Drop
                                                         : Kind::Leaf;
  case Kind::Graph:
    return number == 1    ? Kind::Node
           : number == 5  ? Kind::Tensor
           : number == 15 ? Kind::SparseTensor
           : number == 10 || number == 13 || number == 14 || number == 16
               ? Kind::Drop
               : Kind::Leaf;
  case Kind::Node:
    return number == 5                                  ? Kind::Attribute
           : number == 6 || number == 9 || number == 10 ? Kind::Drop
                                                        : Kind::Leaf;
  case Kind::Attribute:
    return number == 5 || number == 10    ? Kind::Tensor
           : number == 6 || number == 11  ? Kind::Graph
           : number == 22 || number == 23 ? Kind::SparseTensor
           : number == 13                 ? Kind::Drop
                                          : Kind::Leaf;
  case Kind::SparseTensor:
    return number == 1 || number == 2 ? Kind::Tensor : Kind::Leaf;
  case Kind::Tensor:
    return number == 9 || number == 4 || number == 5 || number == 7 ||
                   number == 10 || number == 11
               ? Kind::Contents
           : number == 12 || number == 16 ? Kind::Drop
                                          : Kind::Leaf;
  default:
    return Kind::Leaf;
  }
}

void appendVarint(std::string &out, uint64_t value) {
  for (; value >= 0x80; value >>= 7)
    out.push_back(char(value | 0x80));
  out.push_back(char(value));
}

class Walker {
public:
  Walker(ArrayRef<char> file, const WireLimits &limits)
      : file(file), limits(limits) {}

  /// Appends the skeleton of the message in `bytes` to `out`.
  Error walk(Kind kind, ArrayRef<char> bytes, unsigned depth, std::string &out);

private:
  Error visitBytes(Kind kind, uint64_t tag, ArrayRef<char> content,
                   unsigned depth, llvm::SmallVectorImpl<TensorPiece> &pieces,
                   std::string &out);
  Error fail(const char *at, const llvm::Twine &message) {
    return makeError("byte " + llvm::Twine(at - file.data()) + ": " + message);
  }

  ArrayRef<char> file;
  const WireLimits &limits;
  uint64_t nodes = 0, written = 0;
};
} // namespace

Error Walker::visitBytes(Kind kind, uint64_t tag, ArrayRef<char> content,
                         unsigned depth,
                         llvm::SmallVectorImpl<TensorPiece> &pieces,
                         std::string &out) {
  Kind inner = getFieldKind(kind, tag >> 3);
  if (inner == Kind::Drop)
    return Error::success();
  if (inner == Kind::Contents) {
    pieces.push_back(
        {tag >> 3, uint64_t(content.data() - file.data()), content.size()});
    return Error::success();
  }
  appendVarint(out, tag);
  if (inner == Kind::Leaf) {
    appendVarint(out, content.size());
    out.append(content.data(), content.size());
    written += content.size();
    if (written > limits.maxSkeleton)
      return fail(content.data(), "the graph without its tensors takes over " +
                                      llvm::Twine(limits.maxSkeleton) +
                                      " bytes");
    return Error::success();
  }
  if (inner == Kind::Node && ++nodes > limits.maxNodes)
    return fail(content.data(),
                "more than " + llvm::Twine(limits.maxNodes) + " nodes");
  if (inner == Kind::Graph && ++depth > limits.maxDepth)
    return fail(content.data(), "graphs are nested more than " +
                                    llvm::Twine(limits.maxDepth) + " deep");
  std::string nested;
  if (Error error = walk(inner, content, depth, nested))
    return error;
  appendVarint(out, nested.size());
  out += nested;
  return Error::success();
}

Error Walker::walk(Kind kind, ArrayRef<char> bytes, unsigned depth,
                   std::string &out) {
  llvm::SmallVector<TensorPiece, 1> pieces;
  while (!bytes.empty()) {
    const char *start = bytes.data();
    uint64_t tag, size;
    if (!readVarint(bytes, tag) || tag >> 3 == 0 || tag >> 32 != 0)
      return fail(start, "is not the tag of a protobuf field");
    unsigned wireType = tag & 7;
    if (wireType == 2) {
      if (!readVarint(bytes, size) || size > bytes.size())
        return fail(start, "the field's length exceeds the " +
                               llvm::Twine(bytes.size()) +
                               " bytes left; the file is truncated or damaged");
      if (Error error =
              visitBytes(kind, tag, bytes.take_front(size), depth, pieces, out))
        return error;
      bytes = bytes.drop_front(size);
      continue;
    }
    if (wireType == 0) {
      if (!readVarint(bytes, size))
        return fail(start, "holds an unfinished number");
    } else if (wireType == 1 || wireType == 5) {
      size_t width = wireType == 1 ? 8 : 4;
      if (bytes.size() < width)
        return fail(start, "holds an unfinished number");
      bytes = bytes.drop_front(width);
    } else {
      return fail(start, "has protobuf wire type " + llvm::Twine(wireType) +
                             ", which ONNX does not use");
    }
    out.append(start, bytes.data() - start);
    written += bytes.data() - start;
  }
  if (kind == Kind::Tensor && !pieces.empty()) {
    size_t size = pieces.size() * sizeof(TensorPiece);
    appendVarint(out, (9 << 3) | 2);
    appendVarint(out, size);
    out.append(reinterpret_cast<const char *>(pieces.data()), size);
  }
  return Error::success();
}

llvm::Expected<std::string>
lathe::onnx::makeSkeleton(ArrayRef<char> file, const WireLimits &limits) {
  std::string skeleton;
  if (Error error = Walker(file, limits).walk(Kind::Model, file, 0, skeleton))
    return std::move(error);
  return skeleton;
}
