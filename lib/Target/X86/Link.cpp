// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/X86/Codegen.h"
#include "lld/Common/Driver.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include <mutex>

LLD_HAS_DRIVER(elf)

using namespace lathe;

/// A file that goes away with its owner.
static llvm::Expected<std::unique_ptr<llvm::FileRemover>>
createTemporary(llvm::SmallString<128> &path, llvm::ArrayRef<char> content) {
  int descriptor;
  if (std::error_code error = llvm::sys::fs::createTemporaryFile(
          "lathe-x86", "o", descriptor, path))
    return llvm::createStringError(error, "x86: no temporary file");
  auto remover = std::make_unique<llvm::FileRemover>(path);
  llvm::raw_fd_ostream stream(descriptor, /*shouldClose=*/true);
  stream.write(content.data(), content.size());
  stream.close();
  if (std::error_code error = stream.error()) {
    // The destructor would end the process.
    stream.clear_error();
    return llvm::createStringError(error, "x86: cannot write '%s': %s",
                                   path.c_str(), error.message().c_str());
  }
  return remover;
}

llvm::Expected<llvm::SmallVector<char>>
x86::linkShared(llvm::ArrayRef<char> object) {
  llvm::SmallString<128> input, output;
  auto inputFile = createTemporary(input, object);
  if (!inputFile)
    return inputFile.takeError();
  auto outputFile = createTemporary(output, {});
  if (!outputFile)
    return outputFile.takeError();

  std::string messages;
  llvm::raw_string_ostream stream(messages);
  const char *arguments[] = {"ld.lld",
                             "-shared",
                             "--no-undefined",
                             "--hash-style=gnu",
                             "--build-id=none",
                             "--gc-sections",
                             "--strip-all",
                             "--threads=1",
                             "-z",
                             "noexecstack",
                             "-z",
                             "max-page-size=4096",
                             input.c_str(),
                             "-o",
                             output.c_str()};
  static std::mutex lock;
  {
    std::lock_guard<std::mutex> guard(lock);
    lld::Result result =
        lld::lldMain(arguments, stream, stream, {{lld::Gnu, &lld::elf::link}});
    if (result.retCode)
      return llvm::createStringError("x86: link failed: " + messages);
  }
  auto buffer = llvm::MemoryBuffer::getFile(output);
  if (!buffer)
    return llvm::createStringError(buffer.getError(), "x86: cannot read '%s'",
                                   output.c_str());
  llvm::StringRef bytes = (*buffer)->getBuffer();
  return llvm::SmallVector<char>(bytes.begin(), bytes.end());
}
