// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Writes bundle files (docs/BundleFormat.md): constants are streamed to disk
// one at a time, so memory holds the largest of them and never the model.

#ifndef LATHE_LIB_BUNDLE_WRITER_H
#define LATHE_LIB_BUNDLE_WRITER_H

#include "runtime/bundle/schema.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/SHA256.h"
#include <memory>

namespace llvm {
class raw_fd_ostream;
} // namespace llvm

namespace lathe::bundle {

/// The highest version of the format that this writer writes; a manifest gets
/// the lowest that says what it needs.
inline constexpr uint32_t kFormatVersion = 3;

/// Whether the runtime has the host function `callee`.
bool isKnownCallee(llvm::StringRef callee);

/// One bundle being written. The file is built under a temporary name beside
/// its destination and renamed by `finish`; without `finish` nothing remains.
/// Equal calls in equal order give equal bytes.
class Writer {
public:
  /// Errors name the path: a folder that is missing, a full disk, ...
  static llvm::Expected<std::unique_ptr<Writer>> create(llvm::StringRef path);
  ~Writer();

  /// Stores `bytes` in the data segment, 64-byte aligned, and returns the
  /// constant's index in the manifest. Bytes that are already there are not
  /// stored again, whatever their name. All constants come before `finish`.
  llvm::Expected<uint32_t> addConstant(llvm::StringRef name,
                                       llvm::StringRef encoding,
                                       llvm::ArrayRef<char> bytes);

  /// Keeps `bytes` as a code segment and returns its index among segments.
  uint32_t addCode(llvm::SmallVector<char, 0> bytes);

  /// Bytes of all constants so far, as stored.
  uint64_t getConstantBytes() const { return dataSize; }

  /// Completes `manifest` with version, constants and segments, writes code,
  /// manifest and header, and gives the file its name. Returns its size. The
  /// writer is of no use afterwards.
  llvm::Expected<uint64_t> finish(ManifestT &manifest);

private:
  Writer(llvm::StringRef path, llvm::sys::fs::TempFile file);

  llvm::Error writeSegment(ManifestT &manifest, SegmentKind kind,
                           llvm::ArrayRef<char> bytes);
  void write(llvm::ArrayRef<char> bytes);
  void padTo(uint64_t alignment);
  llvm::Error checkStream();

  std::string path;
  llvm::sys::fs::TempFile file;
  std::unique_ptr<llvm::raw_fd_ostream> stream;
  llvm::SHA256 dataHash;
  uint64_t dataSize = 0;
  /// Where constants with this SHA-256 are: index into `constants`.
  llvm::StringMap<uint32_t> constantsByHash;
  std::vector<std::unique_ptr<ConstantT>> constants;
  std::vector<llvm::SmallVector<char, 0>> code;
  bool finished = false;
};

} // namespace lathe::bundle

#endif // LATHE_LIB_BUNDLE_WRITER_H
