// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Takes the weights out of an ONNX file before protobuf sees it.
//
// libprotobuf copies every byte field, refuses messages over 2 GiB and needs
// the whole tree in memory. An ONNX file is a small tree around large tensors,
// so a walker of the wire format rewrites it into a *skeleton*: the same
// messages without tensor contents and texts that no one reads. In a skeleton
// the field `raw_data` of each TensorProto holds the list of the places its
// contents had in the file (an array of `TensorPiece`, empty if it had none).
// The walker is also the first guard against hostile files: it checks every
// length, the depth and the number of nodes before protobuf allocates.

#ifndef LATHE_LIB_FRONTEND_ONNX_WIREFORMAT_H
#define LATHE_LIB_FRONTEND_ONNX_WIREFORMAT_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"
#include <string>

namespace lathe::onnx {

/// A range of the file that holds tensor contents.
struct TensorPiece {
  uint64_t field;  ///< The TensorProto field that it was: 9 is raw_data, 4, 5,
                   ///< 7, 10 and 11 the packed typed data.
  uint64_t offset; ///< In bytes from the start of the file.
  uint64_t size;   ///< In bytes.
};

/// What a file may have; more is an error.
struct WireLimits {
  unsigned maxDepth = 24;      ///< Nested graphs.
  uint64_t maxNodes = 1 << 20; ///< Nodes in all graphs and functions.
  uint64_t maxSkeleton = uint64_t(512) << 20; ///< Bytes without tensors.
};

/// Rewrites the ModelProto in `file` into its skeleton. The error says at which
/// byte of the file the format is broken.
llvm::Expected<std::string> makeSkeleton(llvm::ArrayRef<char> file,
                                         const WireLimits &limits = {});

/// Reads the pieces back from the `raw_data` of a skeleton's tensor.
llvm::SmallVector<TensorPiece, 1> getPieces(llvm::StringRef rawData);

/// Decodes one varint at the front of `bytes` and drops it; false if there is
/// none.
bool readVarint(llvm::ArrayRef<char> &bytes, uint64_t &value);

} // namespace lathe::onnx

#endif // LATHE_LIB_FRONTEND_ONNX_WIREFORMAT_H
