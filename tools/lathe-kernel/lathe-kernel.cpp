// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// lathe-kernel: compiles a file of tile kernels to one loadable object. For
// tests and for whoever writes a kernel strategy; `lathe compile` does the
// same in the middle of its work.
//
//   lathe-kernel kernels.mlir --level avx512-vnni -o kernels.so

#include "lib/Target/Target.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/ToolOutputFile.h"
#include "llvm/Support/WithColor.h"

namespace {
namespace cl = llvm::cl;
cl::OptionCategory category("lathe-kernel");
cl::opt<std::string> input(cl::Positional, cl::desc("<kernels.mlir>"),
                           cl::init("-"), cl::cat(category));
cl::opt<std::string> output("o", cl::desc("Where the object goes"),
                            cl::value_desc("file"), cl::Required,
                            cl::cat(category));
cl::opt<std::string> targetName("target", cl::desc("Which target"),
                                cl::init("x86"), cl::cat(category));
cl::opt<std::string> levelName("level",
                               cl::desc("Which level; default: this machine's"),
                               cl::cat(category));
cl::opt<unsigned> optimization("O", cl::desc("0 to 3"), cl::init(3), cl::Prefix,
                               cl::cat(category));
} // namespace

static llvm::Error run() {
  // lld, run by the target, sets every cl::opt of the process back.
  std::string path = output;
  lathe::TargetRegistry targets;
  lathe::registerX86Target(targets);
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
  auto object = target->compile(*module, *level, {optimization});
  if (!object)
    return object.takeError();

  std::error_code error;
  llvm::ToolOutputFile file(path, error, llvm::sys::fs::OF_None);
  if (error)
    return llvm::createStringError(error, "cannot write '%s'", path.c_str());
  file.os().write(object->data(), object->size());
  file.keep();
  return llvm::Error::success();
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
