// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/CUDA/Codegen.h"
#include "lib/Target/OptimizeLLVM.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IRReader/IRReader.h"
#include "llvm/Linker/Linker.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include <mutex>

using namespace lathe;
using namespace lathe::cuda;

static llvm::Expected<std::unique_ptr<llvm::TargetMachine>>
createMachine(const Level &level) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
  });
  llvm::Triple triple("nvptx64-nvidia-cuda");
  std::string error;
  const llvm::Target *target =
      llvm::TargetRegistry::lookupTarget(triple, error);
  if (!target)
    return llvm::createStringError("cuda: " + error);
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Fast;
  return std::unique_ptr<llvm::TargetMachine>(target->createTargetMachine(
      triple, level.chip, level.attributes, options, llvm::Reloc::PIC_,
      std::nullopt, llvm::CodeGenOptLevel::Aggressive));
}

/// Brings in what the module calls of libdevice, as internal functions.
static llvm::Error linkDevice(llvm::Module &module, const Toolkit &toolkit) {
  bool isCalled = llvm::any_of(module, [](const llvm::Function &function) {
    return function.isDeclaration() && function.getName().starts_with("__nv_");
  });
  if (!isCalled)
    return llvm::Error::success();
  if (toolkit.device.empty())
    return llvm::createStringError(
        "cuda: kernels call math functions of libdevice, and libdevice.10.bc "
        "was not found; " +
        Toolkit::getSearched());
  llvm::SMDiagnostic problem;
  std::unique_ptr<llvm::Module> device =
      llvm::parseIRFile(toolkit.device, problem, module.getContext());
  if (!device)
    return llvm::createStringError("cuda: cannot read '" + toolkit.device +
                                   "': " + problem.getMessage());
  device->setTargetTriple(module.getTargetTriple());
  device->setDataLayout(module.getDataLayout());
  if (llvm::Linker::linkModules(module, std::move(device),
                                llvm::Linker::LinkOnlyNeeded))
    return llvm::createStringError("cuda: libdevice does not link");
  for (llvm::Function &function : module)
    if (!function.isDeclaration() && function.getName().starts_with("__nv_"))
      function.setLinkage(llvm::GlobalValue::InternalLinkage);
  return llvm::Error::success();
}

/// What a kernel reads may be written while it waits for the kernels before it:
/// its loads must not go by the cache for what does not change (ld.global.nc),
/// which the back end takes for arguments that are only read.
static void forgetReadOnly(llvm::Module &module) {
  for (llvm::Function &function : module)
    for (llvm::Argument &argument : function.args())
      argument.removeAttr(llvm::Attribute::ReadOnly);
}

llvm::Expected<std::string> cuda::emitPTX(mlir::ModuleOp module,
                                          const Level &level,
                                          const Toolkit &toolkit,
                                          const TargetOptions &options) {
  auto machine = createMachine(level);
  if (!machine)
    return machine.takeError();
  mlir::registerBuiltinDialectTranslation(*module.getContext());
  mlir::registerLLVMDialectTranslation(*module.getContext());
  mlir::registerNVVMDialectTranslation(*module.getContext());
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> unit =
      mlir::translateModuleToLLVMIR(module, context, "kernels");
  if (!unit)
    return llvm::createStringError("cuda: no translation to LLVM IR");
  unit->setTargetTriple((*machine)->getTargetTriple());
  unit->setDataLayout((*machine)->createDataLayout());
  if (llvm::Error error = linkDevice(*unit, toolkit))
    return std::move(error);
  llvm::PipelineTuningOptions tuning;
  tuning.LoopUnrolling = false; // Blocks of registers are written out already.
  // It makes a wide load of whose elements each is used one of each element.
  optimizeLLVM(*unit, **machine, tuning, options.optimizationLevel,
               /*without=*/llvm::StringRef("VectorCombinePass"));
  if (level.overlaps)
    forgetReadOnly(*unit);

  llvm::SmallVector<char, 0> text;
  llvm::raw_svector_ostream stream(text);
  llvm::legacy::PassManager emission;
  if ((*machine)->addPassesToEmitFile(emission, stream, nullptr,
                                      llvm::CodeGenFileType::AssemblyFile))
    return llvm::createStringError("cuda: the back end emits no PTX");
  emission.run(*unit);
  return std::string(text.begin(), text.end());
}
