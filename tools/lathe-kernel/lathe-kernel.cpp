// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// lathe-kernel: compiles a file of tile kernels to one loadable object. For
// tests and for whoever writes a kernel strategy; `lathe compile` does the
// same in the middle of its work.
//
//   lathe-kernel kernels.mlir --level avx512-vnni -o kernels.so
//
// or runs one of them by the reference interpreter on files of raw elements,
// which it writes back:
//
//   lathe-kernel kernels.mlir --interpret linear --buffer x --buffer y
//     --scalar 3 --grid 2,1,1

#include "dialects/Tile/IR/Tile.h"
#include "lib/Target/Reference/Interpreter.h"
#include "lib/Target/Target.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/ToolOutputFile.h"
#include "llvm/Support/WithColor.h"

namespace {
namespace cl = llvm::cl;
cl::OptionCategory category("lathe-kernel");
cl::opt<std::string> input(cl::Positional, cl::desc("<kernels.mlir>"),
                           cl::init("-"), cl::cat(category));
cl::opt<std::string> output("o", cl::desc("Where the object goes"),
                            cl::value_desc("file"), cl::cat(category));
cl::opt<std::string> kernelName("interpret",
                                cl::desc("Which kernel to interpret"),
                                cl::cat(category));
cl::list<std::string> bufferPaths("buffer", cl::desc("One operand's elements"),
                                  cl::value_desc("file"), cl::cat(category));
cl::list<int64_t> scalars("scalar", cl::desc("One scalar"), cl::cat(category));
cl::list<int64_t> grid("grid", cl::desc("Programs along each dim"),
                       cl::CommaSeparated, cl::cat(category));
cl::opt<std::string> targetName("target", cl::desc("Which target"),
                                cl::init("x86"), cl::cat(category));
cl::opt<std::string> levelName("level",
                               cl::desc("Which level; default: this machine's"),
                               cl::cat(category));
cl::opt<unsigned> optimization("O", cl::desc("0 to 3"), cl::init(3), cl::Prefix,
                               cl::cat(category));
} // namespace

static llvm::Error writeFile(llvm::StringRef path, llvm::ArrayRef<char> data) {
  std::error_code error;
  llvm::ToolOutputFile file(path, error, llvm::sys::fs::OF_None);
  if (error)
    return llvm::createStringError(error, "cannot write '" + path + "'");
  file.os().write(data.data(), data.size());
  file.keep();
  return llvm::Error::success();
}

static llvm::Error interpretKernel(mlir::ModuleOp module) {
  auto kernel = module.lookupSymbol<lathe::tile::KernelOp>(kernelName);
  if (!kernel)
    return llvm::createStringError("no kernel '" + kernelName + "'");
  std::vector<std::vector<char>> bytes;
  for (const std::string &path : bufferPaths) {
    auto file = llvm::MemoryBuffer::getFile(path);
    if (!file)
      return llvm::createStringError("cannot read '" + path + "'");
    bytes.emplace_back((*file)->getBufferStart(), (*file)->getBufferEnd());
  }
  llvm::SmallVector<llvm::MutableArrayRef<char>> buffers(bytes.begin(),
                                                         bytes.end());
  std::array<int64_t, 3> sizes = {1, 1, 1};
  llvm::copy(llvm::ArrayRef<int64_t>(grid).take_front(3), sizes.begin());
  if (failed(lathe::reference::interpret(kernel, buffers, scalars, sizes)))
    return llvm::createStringError("the kernel is not valid");
  for (auto [path, data] : llvm::zip_equal(bufferPaths, bytes))
    if (llvm::Error error = writeFile(path, data))
      return error;
  return llvm::Error::success();
}

static llvm::Error run() {
  // lld, run by the target, sets every cl::opt of the process back.
  std::string path = output;
  lathe::TargetRegistry targets;
  lathe::registerX86Target(targets);
  lathe::registerCUDATarget(targets);
  const lathe::Target *target = targets.lookup(targetName);
  if (!target)
    return llvm::createStringError("no target '" + targetName + "'");
  auto level = levelName.empty() ? target->getNativeLevel()
                                 : target->getLevel(levelName);
  if (!level)
    return level.takeError();

  mlir::DialectRegistry registry;
  target->registerDialects(registry);
  mlir::MLIRContext context(registry);
  auto module = mlir::parseSourceFile<mlir::ModuleOp>(input, &context);
  if (!module)
    return llvm::createStringError("'" + input + "' does not parse");
  if (!kernelName.empty())
    return interpretKernel(*module);
  auto object = target->compile(*module, *level, {optimization});
  if (!object)
    return object.takeError();

  return writeFile(path, object->code);
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv, "Compiles tile kernels\n");
  if (llvm::Error error = run()) {
    llvm::WithColor::error() << llvm::toString(std::move(error)) << "\n";
    return 1;
  }
  return 0;
}
