// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/Commands.h"
#include "tools/lathe/CompileArguments.h"
#include "tools/lathe/Report.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"

using namespace llvm;

namespace lathe::tool {

static cl::SubCommand parser("compile", "Compile a model into a bundle");

static cl::opt<std::string> model(cl::Positional, cl::desc("MODEL"),
                                  cl::sub(parser), cl::cat(optionCategory));
static cl::opt<std::string> output("o", cl::value_desc("OUT.lathe"),
                                   cl::desc("The bundle; appears whole or not "
                                            "at all"),
                                   cl::sub(parser), cl::cat(optionCategory));
static cl::opt<std::string>
    target("target", cl::init("x86"),
           cl::value_desc("x86[,cuda][:OPTION=V...]"),
           cl::desc("What the bundle runs on (default: x86, every level; "
                    "x86:cpu=native is this machine's only)"),
           cl::sub(parser), cl::cat(optionCategory));
static cl::opt<std::string> precision(
    "precision", cl::init("keep"), cl::value_desc("keep|bf16|f16"),
    cl::desc(
        "Type of f32 activations between kernels and of unencoded f32 "
        "weights (default: keep, as the model says). Larger numbers become "
        "the type's largest; positions and angles stay f32, and so does "
        "what convolutions read, unless a GPU is among the targets"),
    cl::sub(parser), cl::cat(optionCategory));
static cl::opt<std::string>
    weights("weights", cl::value_desc("FORMAT|FILE"),
            cl::desc("How linear weights are stored: int8[:GROUP][:float], "
                     "int4[:GROUP][:zeros][:float], ternary[:GROUP][:float], "
                     "block4x1[:DENSITY][:float], or a file with a layer "
                     "pattern and one of these a line (default: as "
                     "they are)"),
            cl::sub(parser), cl::cat(optionCategory));
static cl::opt<std::string>
    tuning("tuning", cl::value_desc("TABLE"),
           cl::desc("Schedules measured by 'lathe tune' (default: those of the "
                    "cost model)"),
           cl::sub(parser), cl::cat(optionCategory));
static cl::opt<bool> allSchedules(
    "all-schedules",
    cl::desc("Build every schedule of each kernel, for 'lathe tune BUNDLE'"),
    cl::sub(parser), cl::cat(optionCategory));
static cl::opt<bool> plainSums(
    "plain-sums",
    cl::desc("Compute 3x3 convolutions as the sums that they are: slower than "
             "Winograd's filtering, which errs by up to 2e-6 of the largest "
             "output and spreads infinities"),
    cl::sub(parser), cl::cat(optionCategory));
static cl::opt<bool> uncheckedIndices(
    "unchecked-indices",
    cl::desc("Do not look through indices on the host, which on a GPU takes a "
             "wait: those out of range read the nearest row, or write nothing"),
    cl::sub(parser), cl::cat(optionCategory));
static cl::opt<std::string> attentionPattern(
    "attention-pattern", cl::value_desc("PATTERN"),
    cl::desc("Sparse pattern of self-attention: s2:block=N,local=N,stride=N"
             "[,offset=N] or window:block=N,local=N[,sink=N], in blocks. "
             "Lengths must be known: others than --specialize names stay as "
             "the model says (default: all do)"),
    cl::sub(parser), cl::cat(optionCategory));
static cl::opt<std::string> calibration(
    "calibration", cl::value_desc("FILE"),
    cl::desc("Moments of layers' inputs, by which int4 and ternary weights "
             "round and blocks are pruned (tools/calibrate/moments.py writes "
             "them)"),
    cl::sub(parser), cl::cat(optionCategory));
static cl::list<std::string> specialize(
    "specialize", cl::value_desc("NAME=V[,V...]"),
    cl::desc("Add a version for each of these sizes of a named dim; may be "
             "repeated, and several dims combine (every other size still "
             "runs)"),
    cl::sub(parser), cl::cat(optionCategory));
static cl::opt<std::string>
    dumpDirectory("dump-ir", cl::value_desc("DIR"),
                  cl::desc("Leave the IR after each numbered stage there"),
                  cl::sub(parser), cl::cat(optionCategory));
static cl::opt<std::string>
    reportPath("report", cl::value_desc("OUT.html"),
               cl::desc("Write a page on stages, kernels, sizes and remarks"),
               cl::sub(parser), cl::cat(optionCategory));
static cl::opt<unsigned>
    jobs("jobs", cl::value_desc("N"),
         cl::desc("Threads that compile (default: one for each core). The "
                  "bundle does not depend on it"),
         cl::sub(parser), cl::cat(optionCategory));
static cl::opt<bool>
    kernelTimes("kernel-times",
                cl::desc("Then compile each kernel by itself, and print how "
                         "long that takes"),
                cl::sub(parser), cl::cat(optionCategory));
// Between 'lathe tune' and this program: the dims that it has sizes for.
static cl::opt<bool> tuned("tuned", cl::Hidden, cl::sub(parser));
static cl::list<std::string> tunedDims("tuned-dim", cl::Hidden,
                                       cl::sub(parser));
static cl::opt<bool> verbose("v", cl::desc("Print steps, remarks and times"),
                             cl::sub(parser), cl::cat(optionCategory));

static Expected<CompileOptions> readOptions() {
  CompileOptions options;
  Expected<std::vector<TargetRequest>> targets = parseTargets(target);
  if (!targets)
    return targets.takeError();
  options.targets = std::move(*targets);
  if (!is_contained({"keep", "bf16", "f16"}, StringRef(precision)))
    return usageError("--precision: '" + precision +
                      "' is none of keep, bf16, f16");
  options.precision = precision;
  options.weights = weights;
  options.attentionPattern = attentionPattern;
  options.calibration = calibration;
  auto sizes = parseSpecializations(std::vector<std::string>(specialize));
  if (!sizes)
    return sizes.takeError();
  options.specialize = std::move(*sizes);
  if (allSchedules && !tuning.empty())
    return usageError("--all-schedules and --tuning exclude each other");
  options.tuning = tuning;
  options.allSchedules = allSchedules;
  options.plainSums = plainSums;
  options.uncheckedIndices = uncheckedIndices;
  options.timeKernels = kernelTimes;
  options.dumpDirectory = dumpDirectory;
  if (jobs.getNumOccurrences() && jobs == 0)
    return usageError("--jobs: at least 1 is needed, 0 was given");
  options.jobs = jobs;
  if (tuned)
    options.runDims = std::vector<std::string>(tunedDims);
  options.producer = "lathe " LATHE_VERSION;
  return options;
}

static void printStages(const CompileReport &report) {
  Table table({"stage", ">time"});
  for (const CompileReport::Stage &stage : report.stages)
    table.addRow({stage.name, formatSeconds(stage.seconds)});
  table.print(errs());
}

static void printKernels(CompileReport report) {
  llvm::sort(report.kernelTimes, [](const auto &a, const auto &b) {
    return a.seconds > b.seconds;
  });
  Table table({"kernel", "level", ">time"});
  for (const CompileReport::Kernel &kernel : report.kernelTimes)
    table.addRow({kernel.symbol, kernel.level, formatSeconds(kernel.seconds)});
  table.print(outs());
}

static Error run() {
  if (Error error = requireArguments({{"MODEL", model}, {"-o", output}}))
    return error;
  Expected<CompileOptions> options = readOptions();
  if (!options)
    return options.takeError();
  const StringRef plan =
      sys::fs::is_regular_file(weights) ? StringRef(weights) : StringRef();
  if (Error error = checkOutput(output, {model, tuning, calibration, plan}))
    return error;
  if (!reportPath.empty())
    if (Error error =
            checkOutput(reportPath, {model, tuning, calibration, plan, output}))
      return error;
  // The linker in this process resets every cl::opt when it runs.
  const std::string modelPath = model, bundlePath = output;
  const std::string pagePath = reportPath;
  const bool isVerbose = verbose, isTuned = tuned;
  Stopwatch watch;
  MessageLog log(isVerbose);
  Expected<CompileReport> report =
      compile(modelPath, bundlePath, *options, log.listener());
  if (!report) {
    Error error = pipelineError(report.takeError(), log);
    if (!isTuned || !error.isA<UsageError>())
      return error;
    // The option is one of 'lathe tune', whose help is another.
    return silentError(reportUsage(toString(std::move(error))));
  }
  double seconds = watch.seconds();
  std::string warnings = log.formatProblems();
  if (!warnings.empty())
    errs() << escapeControls(StringRef(warnings).drop_front(), true) << '\n';
  if (isVerbose)
    printStages(*report);
  if (!report->kernelTimes.empty())
    printKernels(*report);
  if (!pagePath.empty())
    if (Error error = writeReport(pagePath, modelPath, bundlePath, *report,
                                  log.getMessages()))
      return error;
  outs() << bundlePath << ": " << formatBytes(report->bundleBytes) << ", "
         << formatBytes(report->constantBytes) << " of weights, "
         << formatCount(report->kernels, "kernel") << " in "
         << formatCount(report->variants, "variant") << "; "
         << formatSeconds(seconds) << '\n';
  return Error::success();
}

const Command compileCommand = {&parser, R"(
MODEL is an .onnx file (with its external data beside it) or a Hugging Face
folder (config.json and *.safetensors).

Examples:
  lathe compile model.onnx -o model.lathe
  lathe compile model.onnx -o model.lathe --weights int8 -v
  lathe compile path/to/all-MiniLM-L6-v2 -o minilm.lathe --report minilm.html
  lathe compile model.onnx -o here.lathe --target x86:cpu=native
  lathe compile model.onnx -o model.lathe --target x86,cuda
  lathe compile model.onnx -o fast.lathe --specialize seq=1,128 --dump-ir ir
  lathe compile long.onnx -o long.lathe --specialize seq=4096
      --attention-pattern window:block=64,local=7,sink=1

  One bundle serves every batch size and length: dims that the model names stay
  open, also beside versions for some sizes. 'lathe check' tells beforehand what
  would not compile.
)",
                                run};

} // namespace lathe::tool
