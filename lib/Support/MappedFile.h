// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Read-only files as memory. Weights stay where they lie in the file: whoever
// refers to a range of it holds the file by shared pointer.

#ifndef LATHE_LIB_SUPPORT_MAPPEDFILE_H
#define LATHE_LIB_SUPPORT_MAPPEDFILE_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/MemoryBuffer.h"
#include <memory>
#include <string>

namespace lathe {

/// A file in memory, mapped unless it is smaller than a few pages. The bytes
/// do not move and stay valid as long as the object. A file that another
/// process truncates meanwhile is not defended against.
class MappedFile {
public:
  /// Opens `path`. Fails with "<path>: <reason>" if it is not a readable
  /// regular file.
  static llvm::Expected<std::shared_ptr<const MappedFile>>
  open(llvm::StringRef path);

  llvm::StringRef getPath() const { return path; }
  llvm::ArrayRef<char> getBytes() const {
    return {buffer->getBufferStart(), buffer->getBufferSize()};
  }

private:
  MappedFile(llvm::StringRef path, std::unique_ptr<llvm::MemoryBuffer> buffer)
      : path(path.str()), buffer(std::move(buffer)) {}

  std::string path;
  std::unique_ptr<llvm::MemoryBuffer> buffer;
};

/// An error with this text, for messages that name the place themselves.
llvm::Error makeError(const llvm::Twine &message);

} // namespace lathe

#endif // LATHE_LIB_SUPPORT_MAPPEDFILE_H
