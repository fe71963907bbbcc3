// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/X86/Codegen.h"
#include "lib/Target/OptimizeLLVM.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include <mutex>

using namespace lathe;
using namespace lathe::x86;

static llvm::Expected<std::unique_ptr<llvm::TargetMachine>>
createMachine(const Level &level) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
  });
  llvm::Triple triple("x86_64-unknown-linux-gnu");
  std::string error;
  const llvm::Target *target =
      llvm::TargetRegistry::lookupTarget(triple, error);
  if (!target)
    return llvm::createStringError("x86: " + error);
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Fast;
  return std::unique_ptr<llvm::TargetMachine>(target->createTargetMachine(
      triple, level.processor, level.attributes, options, llvm::Reloc::PIC_,
      std::nullopt, llvm::CodeGenOptLevel::Aggressive));
}

llvm::Expected<llvm::SmallVector<char>>
x86::emitObject(mlir::ModuleOp module, const Level &level,
                const TargetOptions &options) {
  auto machine = createMachine(level);
  if (!machine)
    return machine.takeError();
  mlir::registerBuiltinDialectTranslation(*module.getContext());
  mlir::registerLLVMDialectTranslation(*module.getContext());
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> unit =
      mlir::translateModuleToLLVMIR(module, context, "kernels");
  if (!unit)
    return llvm::createStringError("x86: no translation to LLVM IR");

  unit->setTargetTriple((*machine)->getTargetTriple());
  unit->setDataLayout((*machine)->createDataLayout());
  std::string width = std::to_string(level.record.capabilities.vectorBits);
  for (llvm::Function &function : *unit) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", level.processor);
    function.addFnAttr("target-features", level.attributes);
    function.addFnAttr("prefer-vector-width", width);
    function.addFnAttr("min-legal-vector-width", width);
    // Loops must not become calls of memset and memcpy.
    function.addFnAttr("no-builtins");
    function.addFnAttr(llvm::Attribute::NoUnwind);
  }
  optimizeLLVM(*unit, **machine, {}, options.optimizationLevel);

  llvm::SmallVector<char, 0> object;
  llvm::raw_svector_ostream stream(object);
  llvm::legacy::PassManager emission;
  if ((*machine)->addPassesToEmitFile(emission, stream, nullptr,
                                      llvm::CodeGenFileType::ObjectFile))
    return llvm::createStringError("x86: the back end emits no object files");
  emission.run(*unit);
  return llvm::SmallVector<char>(object.begin(), object.end());
}
