// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From a model file to a bundle: the five stages of docs/Architecture.md in
// order. This is what `lathe compile` and `lathe check` call; embedders reach
// it through include/lathe-c/compiler.h.

#ifndef LATHE_LIB_PIPELINE_COMPILER_H
#define LATHE_LIB_PIPELINE_COMPILER_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <functional>
#include <string>
#include <vector>

namespace lathe {

/// One `--target` of the command line: "x86:cpu=native" is
/// {"x86", {{"cpu", "native"}}}.
struct TargetRequest {
  std::string name;
  std::vector<std::pair<std::string, std::string>> options;
};

/// What is asked of a compilation. Defaults are those of the command line.
struct CompileOptions {
  std::vector<TargetRequest> targets = {{"x86", {}}};
  /// "keep": types as the model says. "bf16", "f16": f32 weights of linear
  /// layers and f32 activations between kernels are kept so.
  std::string precision = "keep";
  /// How linear weights are stored, as in "int4:64": a format, or a file of
  /// layer patterns (dialects/Graph/Transforms/WeightPlan.h); empty: as they
  /// are.
  std::string weights;
  /// A safetensors file with the second moments of layers' inputs, which
  /// encodings round by (lib/Pipeline/Calibration.h); empty: none.
  std::string calibration;
  /// Sparse pattern of self-attention, as in "window:block=64,local=8,sink=1"
  /// (dialects/Graph/Transforms/AttentionPattern.h); empty: as the model says.
  std::string attentionPattern;
  /// Sizes that get versions of their own beside the general one:
  /// `--specialize seq=1,128`. Several dims combine.
  std::vector<std::pair<std::string, int64_t>> specialize;
  /// A table of `lathe tune` to take schedules from; empty: none.
  std::string tuning;
  /// Every schedule of each kernel is built, for `lathe tune` to measure. The
  /// bundle computes the same, from the first one of each.
  bool allSchedules = false;
  /// No convolution is filtered by Winograd's method, which is faster and errs
  /// more: f32 results are those of a sum in some order.
  bool plainSums = false;
  /// Indices that are data are not looked through on the host: those out of
  /// range read the nearest row, or write nothing, instead of being an error.
  bool uncheckedIndices = false;
  /// For `lathe tune`: the dims that it has sizes for. A model with another
  /// open dim is refused before anything is compiled.
  std::optional<std::vector<std::string>> runDims;
  /// Leaves the IR after each numbered stage here; empty: nowhere.
  std::string dumpDirectory;
  /// How many threads compile; 0: one for each core. No effect on the bytes.
  unsigned jobs = 0;
  /// Then compiles each kernel once more, by itself, for the report.
  bool timeKernels = false;
  /// Recorded in the bundle; empty: nothing is.
  std::string producer = "lathe";
};

/// How bad a message is. Remarks say what an optimization did or why not.
enum class Severity { Remark, Warning, Error };

/// A message about the model, as the user should read it: "encoder/MatMul_3:
/// ..." The location is the model's node, not a line of ours.
struct Message {
  Severity severity;
  std::string text;
};

/// Called with progress in [0, 1] and what is going on; and with messages. Both
/// may be empty. Called from one thread at a time.
struct CompileListener {
  std::function<void(double fraction, llvm::StringRef what)> progress;
  std::function<void(const Message &)> message;
};

/// What a finished compilation can tell.
struct CompileReport {
  struct Stage {
    std::string name;
    double seconds;
  };
  std::vector<Stage> stages;
  /// A kernel compiled alone, by one thread, from tiles to what is loaded.
  struct Kernel {
    std::string level, symbol;
    double seconds;
  };
  std::vector<Kernel> kernelTimes; ///< With CompileOptions::timeKernels.
  uint64_t bundleBytes = 0;
  uint64_t constantBytes = 0;
  unsigned kernels = 0; ///< Of all variants together.
  unsigned variants = 0;
};

/// Compiles `model` (an .onnx file or a Hugging Face folder) into `output`,
/// which appears whole or not at all. On failure the error's text is one line
/// that names the place; details went to the listener.
llvm::Expected<CompileReport> compile(llvm::StringRef model,
                                      llvm::StringRef output,
                                      const CompileOptions &options,
                                      const CompileListener &listener);

/// Something a model needs and we lack.
struct Finding {
  std::string place; ///< Node or tensor.
  std::string op;    ///< Domain and name, with the opset.
  std::string what;  ///< What was found and what is allowed.
};

/// What `lathe check` prints.
struct CheckReport {
  std::vector<Finding> findings;
  /// What each call is checked for, beside element types and named dims: sizes
  /// that were taken to be equal, positions that must exist.
  std::vector<std::string> requirements;
  uint64_t weightBytes = 0;
  uint64_t nodes = 0; ///< Of the model, as far as something is left of them.
  /// What a run works in beside weights and inputs, at `sizes`.
  uint64_t workingBytes = 0;
  std::vector<std::pair<std::string, int64_t>> sizes;
};

/// Imports, optimizes and plans, and lists everything that would not compile,
/// all of it at once. `sizes` are dims to estimate the working memory at;
/// without one a batch is 1 and any other dim 128.
llvm::Expected<CheckReport>
check(llvm::StringRef model, const CompileOptions &options,
      const CompileListener &listener,
      llvm::ArrayRef<std::pair<std::string, int64_t>> sizes = {});

/// The names of the targets that are built in.
std::vector<std::string> getTargetNames();

} // namespace lathe

#endif // LATHE_LIB_PIPELINE_COMPILER_H
