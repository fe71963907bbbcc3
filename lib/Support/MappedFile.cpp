// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Support/MappedFile.h"
#include "llvm/Support/FileSystem.h"

using namespace lathe;

llvm::Error lathe::makeError(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

llvm::Expected<std::shared_ptr<const MappedFile>>
MappedFile::open(llvm::StringRef path) {
  llvm::sys::fs::file_status status;
  if (std::error_code code = llvm::sys::fs::status(path, status))
    return makeError(path + ": " + code.message());
  // A pipe or device could block for ever or never end.
  if (!llvm::sys::fs::is_regular_file(status))
    return makeError(path + ": is not a regular file");
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  if (!buffer)
    return makeError(path + ": " + buffer.getError().message());
  return std::shared_ptr<const MappedFile>(
      new MappedFile(path, std::move(*buffer)));
}
