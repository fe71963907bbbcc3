// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The five stages, in the order in which data flows, a file each beside this
// one. lathe-opt runs those that are passes by the names given.
//
//   Import    --lathe-import     a model file to `graph`
//   Optimize  --lathe-optimize   `graph` to groups, each one kernel
//   Kernels   --lathe-kernels    groups to `tile` kernels and a `plan`
//   Target    --x86-to-llvm      `tile` kernels to a code object
//   Bundle    (writes a file)    plan, constants and code to a bundle

#ifndef LATHE_LIB_PIPELINE_STAGES_H
#define LATHE_LIB_PIPELINE_STAGES_H

#include "lib/Bundle/Writer.h"
#include "lib/Kernels/Schedules.h"
#include "lib/Pipeline/Compiler.h"
#include "lib/Target/Target.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Pass/PassManager.h"

namespace lathe {

class Calibration;

/// Every dialect that some stage creates ops of, encodings included.
void registerPipelineDialects(mlir::DialectRegistry &registry);

/// `--lathe-import` and so on, for lathe-opt.
void registerStagePipelines();

//===-- 1: Import
//-------------------------------------------------------------//

/// Reads an .onnx file or a Hugging Face folder. What the model needs and we
/// lack goes to `findings`; then the result is an error, too.
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>>
importModel(mlir::MLIRContext &context, llvm::StringRef path,
            std::vector<Finding> &findings);

/// Adds versions of the model for these sizes of named dims (`--specialize`),
/// one for each combination where several dims have some, and a function that
/// chooses one by the sizes of a call; the general version stays for all
/// others. `importAgain` gives the same model anew. An unknown name is an error
/// that lists those there are.
llvm::Error addVersions(
    mlir::ModuleOp module,
    llvm::ArrayRef<std::pair<std::string, int64_t>> sizes,
    llvm::function_ref<llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>>()>
        importAgain);

/// An error that names the dims of inputs that are open and not `known`, or
/// what is known and no dim.
llvm::Error checkRunSizes(mlir::ModuleOp module,
                          llvm::ArrayRef<std::string> known);

/// What follows every importer: shapes and symbols, dead code.
void buildImportPipeline(mlir::OpPassManager &passes);

//===-- 2: Optimize
//-----------------------------------------------------------//

/// What is asked of the model, as in CompileOptions.
struct OptimizeOptions {
  std::string weights;
  std::string precision = "keep";
  std::string attentionPattern;
  bool uncheckedIndices = false;
  /// Whether `precision` is that of convolutions, too: what GPUs gain by and
  /// CPUs lose.
  bool narrowsConvolutions = false;
};

void buildOptimizePipeline(mlir::OpPassManager &passes,
                           const OptimizeOptions &options);

//===-- 3: Kernels
//------------------------------------------------------------//

/// Builds kernels for a device with these capabilities.
void buildKernelsPipeline(
    mlir::OpPassManager &passes, const TargetCapabilities &capabilities,
    const kernels::Schedules &schedules = kernels::Schedules());

//===-- 4: Target
//-------------------------------------------------------------//

/// The targets that are built in, made once per process.
const TargetRegistry &getTargets();

/// The levels that `request` asks for, least demanding first.
llvm::Expected<std::vector<std::pair<const Target *, TargetLevel>>>
resolveTarget(const TargetRequest &request);

/// The bundle's name of an element type; None for what it has no name for.
bundle::DType getDType(mlir::Type type);

/// The plan and code of one level.
struct CompiledVariant {
  const Target *target;
  TargetLevel level;
  mlir::OwningOpRef<mlir::ModuleOp> plan; ///< Kernels have become `code`.
  std::vector<std::unique_ptr<bundle::KernelT>> kernels;
  llvm::SmallVector<char> code;
};

/// Takes the kernels out of `variant.plan`, as bytecode: a target compiles in
/// a context of its own, so that levels compile in parallel.
std::string takeKernels(CompiledVariant &variant);

/// Compiles what `takeKernels` took. Safe to call from several threads.
llvm::Error
compileKernels(llvm::StringRef kernels, CompiledVariant &variant,
               const mlir::DialectRegistry &registry,
               llvm::function_ref<void(mlir::Diagnostic &)> onDiagnostic);

/// How long each of them takes by itself: one after the other, since a machine
/// with all cores busy times nothing.
llvm::Expected<std::vector<CompileReport::Kernel>>
timeKernels(llvm::StringRef kernels, const CompiledVariant &variant,
            const mlir::DialectRegistry &registry);

//===-- 5: Bundle
//-------------------------------------------------------------//

/// Writes everything to `output`, which appears whole or not at all. Weights
/// are rounded by `calibration`, if any.
llvm::Error writeBundle(llvm::StringRef output,
                        llvm::MutableArrayRef<CompiledVariant> variants,
                        llvm::StringRef model, const CompileOptions &options,
                        Calibration *calibration, CompileReport &report);

} // namespace lathe

#endif // LATHE_LIB_PIPELINE_STAGES_H
