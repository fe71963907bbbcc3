// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/CUDA/Toolkit.h"
#include "lib/Target/CUDA/Codegen.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include <cstdlib>

using namespace lathe;
using namespace lathe::cuda;

std::string Toolkit::getSearched() {
  return "looked in $LATHE_CUDA_TOOLKIT, $CUDA_HOME, "
         "$VIRTUAL_ENV, /usr/local/cuda, and for ptxas in $PATH";
}

/// The toolkits of the Python environment at `root`, as PyPI's packages of CUDA
/// 13 lay them out.
static void addEnvironment(llvm::StringRef root,
                           std::vector<std::string> &folders) {
  std::error_code error;
  llvm::SmallString<128> libraries(root);
  llvm::sys::path::append(libraries, "lib");
  for (llvm::sys::fs::directory_iterator it(libraries, error), end;
       it != end && !error; it.increment(error)) {
    llvm::SmallString<128> toolkit(it->path());
    llvm::sys::path::append(toolkit, "site-packages", "nvidia", "cu13");
    if (llvm::sys::fs::is_directory(toolkit))
      folders.push_back(std::string(toolkit));
  }
}

Toolkit Toolkit::find(llvm::ArrayRef<std::string> given) {
  std::vector<std::string> folders(given.begin(), given.end());
  for (const char *name : {"LATHE_CUDA_TOOLKIT", "CUDA_HOME"})
    if (const char *folder = std::getenv(name))
      folders.push_back(folder);
  if (const char *root = std::getenv("VIRTUAL_ENV"))
    addEnvironment(root, folders);
  folders.push_back("/usr/local/cuda");

  Toolkit toolkit;
  auto look = [](std::string &found, llvm::StringRef folder, auto... parts) {
    llvm::SmallString<128> path(folder);
    llvm::sys::path::append(path, parts...);
    if (found.empty() && llvm::sys::fs::exists(path))
      found = std::string(path);
  };
  for (const std::string &folder : folders) {
    look(toolkit.ptxas, folder, "bin", "ptxas");
    look(toolkit.device, folder, "nvvm", "libdevice", "libdevice.10.bc");
  }
  if (toolkit.ptxas.empty())
    if (auto path = llvm::sys::findProgramByName("ptxas"))
      toolkit.ptxas = *path;
  return toolkit;
}

static std::string readText(llvm::StringRef path) {
  auto file = llvm::MemoryBuffer::getFile(path);
  return file ? (*file)->getBuffer().trim().str() : "";
}

llvm::Expected<llvm::SmallVector<char>>
cuda::assemble(llvm::StringRef ptx, const Level &level, const Toolkit &toolkit,
               const TargetOptions &options) {
  llvm::SmallString<128> input, output, log;
  llvm::scope_exit remove([&] {
    for (llvm::StringRef path : {input.str(), output.str(), log.str()})
      if (!path.empty())
        llvm::sys::fs::remove(path);
  });
  int file;
  std::error_code error =
      llvm::sys::fs::createTemporaryFile("lathe", "ptx", file, input);
  if (error)
    return llvm::createStringError(error, "cuda: no temporary file");
  {
    llvm::raw_fd_ostream stream(file, /*shouldClose=*/true);
    stream << ptx;
    stream.close();
    error = stream.error();
    stream.clear_error();
  }
  if (error)
    return llvm::createStringError(error, "cuda: cannot write '" + input + "'");
  if ((error = llvm::sys::fs::createTemporaryFile("lathe", "cubin", output)) ||
      (error = llvm::sys::fs::createTemporaryFile("lathe", "txt", log)))
    return llvm::createStringError(error, "cuda: no temporary file");
  std::string chip = "-arch=" + level.chip;
  std::string effort =
      "-O" + std::to_string(std::min(options.optimizationLevel, 3u));
  llvm::StringRef arguments[] = {toolkit.ptxas, chip, effort,
                                 input.str(),   "-o", output.str()};
  std::optional<llvm::StringRef> streams[] = {std::nullopt, log.str(),
                                              log.str()};
  std::string problem;
  int code = llvm::sys::ExecuteAndWait(toolkit.ptxas, arguments, std::nullopt,
                                       streams, 0, 0, &problem);
  if (code != 0) {
    if (problem.empty())
      problem = readText(log);
    if (problem.empty())
      problem = "it ends with " + std::to_string(code) + " and says nothing";
    return llvm::createStringError("cuda: " + toolkit.ptxas +
                                   " fails: " + problem);
  }
  auto cubin = llvm::MemoryBuffer::getFile(output);
  if (!cubin)
    return llvm::createStringError(cubin.getError(),
                                   "cuda: ptxas left no cubin");
  return llvm::SmallVector<char>((*cubin)->getBufferStart(),
                                 (*cubin)->getBufferEnd());
}
