// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The stages in order, with what goes around them: diagnostics, dumps, jobs.

#include "lib/Pipeline/Compiler.h"
#include "dialects/Graph/Transforms/AttentionPattern.h"
#include "dialects/Graph/Transforms/WeightPlan.h"
#include "lib/Pipeline/Calibration.h"
#include "lib/Pipeline/Memory.h"
#include "lib/Pipeline/Stages.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OperationSupport.h"
#include "mlir/IR/Remarks.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/ThreadPool.h"
#include "llvm/Support/Threading.h"
#include "llvm/Support/raw_ostream.h"
#include <chrono>
#include <list>

using namespace mlir;
using namespace lathe;
using llvm::Error;
using llvm::Expected;

namespace {
/// Hands the remarks of passes on as messages.
class RemarkForwarder : public remark::detail::MLIRRemarkStreamerBase {
public:
  using Sink = std::function<void(Location, Severity, StringRef)>;
  explicit RemarkForwarder(Sink sink) : sink(std::move(sink)) {}

  void streamOptimizationRemark(const remark::detail::Remark &found) override {
    std::string text = (found.getCategoryName() + ": ").str();
    text += found.getRemarkName();
    for (const remark::detail::Remark::Arg &part : found.getArgs())
      text += " " + part.val;
    sink(found.getLocation(), Severity::Remark, text);
  }

private:
  Sink sink;
};

/// One compilation: owns the context and keeps the time.
class Compilation {
public:
  Compilation(StringRef model, const CompileOptions &options,
              const CompileListener &listener);

  Expected<CompileReport> compile(StringRef output);
  Expected<CheckReport> check(ArrayRef<std::pair<std::string, int64_t>> sizes);

private:
  Error checkOptions();
  bool runsOnThreads() const;
  Error importAndOptimize(std::vector<Finding> &findings);
  Error readTuningTable();
  Error readCalibration();
  kernels::Schedules getSchedules(const CompiledVariant &variant) const;
  Error planVariant(CompiledVariant &variant,
                    const kernels::Schedules &schedules);
  Expected<CompiledVariant *> getPlanned(const Target *target,
                                         const TargetLevel &level);
  Expected<CompiledVariant *> lowerLevel(CompiledVariant *variant);
  Error planVariants();
  Error compileVariants();
  Error runPasses(ModuleOp module,
                  llvm::function_ref<void(OpPassManager &)> build);
  Error dump(ModuleOp module, const Twine &name);
  void begin(StringRef stage, double fraction);
  void end();
  /// What the user should read for a failure that diagnostics explain.
  Error failure(const Twine &fallback);
  void receive(Diagnostic &diagnostic);
  void report(Location loc, Severity severity, const Twine &text);
  void listenToRemarks();

  std::string model;
  const CompileOptions &options;
  const CompileListener &listener;
  llvm::StdThreadPool threads;
  DialectRegistry registry;
  std::unique_ptr<MLIRContext> context;
  std::mutex mutex; ///< Guards messages: passes run on several threads.
  std::string firstError;
  std::vector<Finding> errors; ///< By diagnostics, in order.
  OwningOpRef<ModuleOp> module;
  std::shared_ptr<const tuning::TuningTable> tuningTable;
  std::unique_ptr<Calibration> calibration;
  std::list<CompiledVariant> planned; ///< Each level once.
  std::vector<CompiledVariant> variants;
  CompileReport result;
  std::chrono::steady_clock::time_point stageStart;
};
} // namespace

Compilation::Compilation(StringRef model, const CompileOptions &options,
                         const CompileListener &listener)
    : model(model.rtrim('/').str()), options(options), listener(listener),
      threads(llvm::hardware_concurrency(options.jobs)) {
  registerPipelineDialects(registry);
  context =
      std::make_unique<MLIRContext>(registry, MLIRContext::Threading::DISABLED);
  context->setThreadPool(threads);
  context->getDiagEngine().registerHandler(
      [this](Diagnostic &diagnostic) { receive(diagnostic); });
  if (listener.message)
    listenToRemarks();
}

/// A location as a user knows it: the node's name.
static std::string describe(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc))
    return name.getName().str();
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      if (std::string text = describe(part); !text.empty())
        return text;
  if (auto line = dyn_cast<FileLineColLoc>(loc))
    return (line.getFilename().getValue() + ":" + Twine(line.getLine())).str();
  std::string text;
  if (!isa<UnknownLoc, FusedLoc>(loc)) {
    llvm::raw_string_ostream stream(text);
    loc.print(stream);
  }
  return text;
}

/// The op of that node as its file has it; empty if the location has none.
static std::string describeOp(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc)) {
    auto op = dyn_cast<NameLoc>(name.getChildLoc());
    return op ? op.getName().str() : std::string();
  }
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      if (std::string text = describeOp(part); !text.empty())
        return text;
  return std::string();
}

void Compilation::report(Location loc, Severity severity, const Twine &what) {
  std::string place = describe(loc);
  std::string text = (place.empty() ? "" : place + ": ") + what.str();
  std::lock_guard<std::mutex> lock(mutex);
  if (severity == Severity::Error && firstError.empty())
    firstError = text;
  if (severity == Severity::Error)
    errors.push_back({place, describeOp(loc), what.str()});
  if (listener.message)
    listener.message({severity, text});
}

void Compilation::receive(Diagnostic &diagnostic) {
  Severity severity = Severity::Remark;
  if (diagnostic.getSeverity() == DiagnosticSeverity::Error)
    severity = Severity::Error;
  else if (diagnostic.getSeverity() == DiagnosticSeverity::Warning)
    severity = Severity::Warning;
  report(diagnostic.getLocation(), severity, diagnostic.str());
}

void Compilation::listenToRemarks() {
  remark::RemarkCategories everything;
  everything.passed = everything.missed = everything.analysis =
      everything.failed = ".*";
  auto forwarder = std::make_unique<RemarkForwarder>(
      [this](Location loc, Severity severity, StringRef text) {
        report(loc, severity, text);
      });
  // It fails only if the context has an engine already: this one is new.
  (void)remark::enableOptimizationRemarks(
      *context, std::move(forwarder),
      std::make_unique<remark::RemarkEmittingPolicyAll>(), everything);
}

Error Compilation::failure(const Twine &fallback) {
  std::lock_guard<std::mutex> lock(mutex);
  return llvm::createStringError(firstError.empty() ? fallback.str()
                                                    : firstError);
}

void Compilation::begin(StringRef stage, double fraction) {
  result.stages.push_back({stage.str(), 0.0});
  stageStart = std::chrono::steady_clock::now();
  if (listener.progress)
    listener.progress(fraction, stage);
}

void Compilation::end() {
  std::chrono::duration<double> seconds =
      std::chrono::steady_clock::now() - stageStart;
  result.stages.back().seconds = seconds.count();
}

Error Compilation::dump(ModuleOp module, const Twine &name) {
  if (options.dumpDirectory.empty())
    return Error::success();
  if (std::error_code code =
          llvm::sys::fs::create_directories(options.dumpDirectory))
    return llvm::createStringError(code, "cannot make folder '%s': %s",
                                   options.dumpDirectory.c_str(),
                                   code.message().c_str());
  SmallString<128> path(options.dumpDirectory);
  llvm::sys::path::append(path, name + ".mlir");
  std::error_code code;
  llvm::raw_fd_ostream stream(path, code);
  if (!code) {
    OpPrintingFlags flags;
    flags.elideLargeElementsAttrs(16).elideLargeResourceString(64);
    module.print(stream, flags.enableDebugInfo(true, /*prettyForm=*/false));
    stream.close();
    code = stream.error();
    // The destructor would end the process.
    stream.clear_error();
  }
  if (code)
    return llvm::createStringError(code, "cannot write '%s': %s", path.c_str(),
                                   code.message().c_str());
  return Error::success();
}

Error Compilation::runPasses(ModuleOp module,
                             llvm::function_ref<void(OpPassManager &)> build) {
  PassManager passes(context.get());
  build(passes);
  if (failed(passes.run(module)))
    return failure("compilation failed");
  return Error::success();
}

Error Compilation::checkOptions() {
  constexpr StringLiteral precisions[] = {"keep", "bf16", "f16"};
  auto invalid = std::make_error_code(std::errc::invalid_argument);
  if (!llvm::is_contained(precisions, options.precision))
    return llvm::createStringError(
        invalid, "precision '%s' is not known; there are: keep, bf16, f16",
        options.precision.c_str());
  if (!options.weights.empty())
    if (auto plan = graph::WeightPlan::read(options.weights); !plan) {
      // What a file holds is input.
      if (llvm::sys::fs::is_regular_file(options.weights))
        return plan.takeError();
      return llvm::createStringError(invalid, toString(plan.takeError()));
    }
  if (options.attentionPattern.empty())
    return Error::success();
  auto pattern = graph::AttentionPattern::parse(options.attentionPattern);
  if (!pattern)
    return llvm::createStringError(invalid, toString(pattern.takeError()));
  return Error::success();
}

/// Whether one of the targets runs programs on threads, as GPUs do.
bool Compilation::runsOnThreads() const {
  return llvm::any_of(options.targets, [](const TargetRequest &request) {
    const Target *target = getTargets().lookup(request.name);
    return target && target->getLevels().front().capabilities.threads > 0;
  });
}

Error Compilation::importAndOptimize(std::vector<Finding> &findings) {
  begin("import", 0.0);
  Expected<OwningOpRef<ModuleOp>> imported =
      importModel(*context, model, findings);
  if (!imported)
    return imported.takeError();
  module = std::move(*imported);
  if (options.runDims)
    if (Error error = checkRunSizes(*module, *options.runDims))
      return error;
  if (Error error = addVersions(*module, options.specialize, [&] {
        return importModel(*context, model, findings);
      }))
    return error;
  if (Error error = runPasses(*module, buildImportPipeline))
    return error;
  if (Error error = dump(*module, "1-import"))
    return error;
  end();

  begin("optimize", 0.2);
  if (Error error = runPasses(*module, [&](OpPassManager &passes) {
        buildOptimizePipeline(passes,
                              {options.weights, options.precision,
                               options.attentionPattern,
                               options.uncheckedIndices, runsOnThreads()});
      }))
    return error;
  if (Error error = dump(*module, "2-optimize"))
    return error;
  end();
  return Error::success();
}

Error Compilation::readTuningTable() {
  if (options.tuning.empty())
    return Error::success();
  Expected<tuning::TuningTable> table =
      tuning::TuningTable::read(options.tuning);
  if (!table)
    return table.takeError();
  tuningTable = std::make_shared<const tuning::TuningTable>(std::move(*table));
  return Error::success();
}

Error Compilation::readCalibration() {
  if (options.calibration.empty())
    return Error::success();
  auto read = Calibration::read(options.calibration, *context);
  if (!read)
    return read.takeError();
  calibration = std::move(*read);
  return Error::success();
}

kernels::Schedules
Compilation::getSchedules(const CompiledVariant &variant) const {
  kernels::Schedules schedules =
      options.allSchedules
          ? kernels::Schedules::getAll()
          : kernels::Schedules::getTuned(tuningTable, variant.target->getName(),
                                         variant.level.name);
  schedules.setPlainSums(options.plainSums);
  return schedules;
}

Error Compilation::planVariant(CompiledVariant &variant,
                               const kernels::Schedules &schedules) {
  variant.plan = module->clone();
  return runPasses(*variant.plan, [&](OpPassManager &passes) {
    buildKernelsPipeline(passes, variant.level.capabilities, schedules);
  });
}

/// Levels are compared, and mostly built, by the cost model's choices.
Expected<CompiledVariant *> Compilation::getPlanned(const Target *target,
                                                    const TargetLevel &level) {
  for (CompiledVariant &variant : planned)
    if (variant.target == target && variant.level.name == level.name)
      return &variant;
  CompiledVariant &variant = planned.emplace_back();
  variant.target = target;
  variant.level = level;
  kernels::Schedules preferred;
  preferred.setPlainSums(options.plainSums);
  if (Error error = planVariant(variant, preferred))
    return std::move(error);
  return &variant;
}

/// The least demanding level with the same kernels and no worse code for them:
/// more would only shut out machines, or repeat code.
Expected<CompiledVariant *> Compilation::lowerLevel(CompiledVariant *variant) {
  auto below =
      variant->target->getLevels().take_until([&](const TargetLevel &level) {
        return level.name == variant->level.name;
      });
  for (const TargetLevel &level : llvm::reverse(below)) {
    Expected<CompiledVariant *> lower = getPlanned(variant->target, level);
    if (!lower)
      return lower.takeError();
    if (!OperationEquivalence::isEquivalentTo(
            *(*lower)->plan, *variant->plan,
            OperationEquivalence::IgnoreLocations) ||
        variant->target->gainsOver(level, variant->level, *variant->plan))
      break;
    variant = *lower;
  }
  return variant;
}

Error Compilation::planVariants() {
  begin("kernels", 0.3);
  llvm::SetVector<CompiledVariant *> chosen;
  for (const TargetRequest &request : options.targets) {
    auto levels = resolveTarget(request);
    if (!levels)
      return levels.takeError();
    for (auto &[target, level] : *levels) {
      Expected<CompiledVariant *> variant = getPlanned(target, level);
      if (variant)
        variant = lowerLevel(*variant);
      if (!variant)
        return variant.takeError();
      chosen.insert(*variant);
    }
  }
  for (CompiledVariant *variant : chosen) {
    if (tuningTable || options.allSchedules)
      if (Error error = planVariant(*variant, getSchedules(*variant)))
        return error;
    if (Error error =
            dump(*variant->plan, ("3-kernels-" + variant->target->getName() +
                                  "-" + variant->level.name)
                                     .str()))
      return error;
    variants.push_back(std::move(*variant));
  }
  planned.clear();
  end();
  return Error::success();
}

Error Compilation::compileVariants() {
  begin("target", 0.4);
  std::vector<std::string> errors(variants.size()), taken(variants.size());
  llvm::ThreadPoolTaskGroup group(threads);
  for (auto [variant, error, kernels] :
       llvm::zip_equal(variants, errors, taken)) {
    kernels = takeKernels(variant);
    group.async([this, &variant = variant, &error = error,
                 &kernels = std::as_const(kernels)] {
      if (Error failure = compileKernels(
              kernels, variant, registry,
              [this](Diagnostic &diagnostic) { receive(diagnostic); }))
        error = toString(std::move(failure));
    });
  }
  group.wait();
  for (const std::string &error : errors)
    if (!error.empty())
      return failure(error);
  end();
  if (!options.timeKernels)
    return Error::success();
  begin("kernel times", 0.6);
  for (const auto &[variant, kernels] : llvm::zip_equal(variants, taken)) {
    auto times = timeKernels(kernels, variant, registry);
    if (!times)
      return times.takeError();
    llvm::append_range(result.kernelTimes, *times);
  }
  end();
  return Error::success();
}

Expected<CompileReport> Compilation::compile(StringRef output) {
  if (llvm::sys::fs::equivalent(output, model))
    return failure(output + ": is the model, too; nothing is written");
  if (Error error = checkOptions())
    return std::move(error);
  if (Error error = readCalibration())
    return std::move(error);
  if (Error error = readTuningTable())
    return std::move(error);
  std::vector<Finding> findings;
  if (Error error = importAndOptimize(findings))
    return std::move(error);
  if (Error error = planVariants())
    return std::move(error);
  if (Error error = compileVariants())
    return std::move(error);
  begin("bundle", 0.9);
  if (Error error = writeBundle(output, variants, model, options,
                                calibration.get(), result))
    return std::move(error);
  end();
  return result;
}

Expected<CheckReport>
Compilation::check(ArrayRef<std::pair<std::string, int64_t>> sizes) {
  CheckReport found;
  if (Error error = checkOptions())
    return std::move(error);
  if (Error error = importAndOptimize(found.findings)) {
    if (found.findings.empty())
      return std::move(error);
    llvm::consumeError(std::move(error));
    return found;
  }
  llvm::StringSet<> nodes;
  module->walk([&](Operation *op) {
    bool isComputed =
        isa<graph::GraphDialect>(op->getDialect()) &&
        !isa<graph::ConstantOp, graph::GroupOp, graph::YieldOp>(op);
    if (isComputed)
      nodes.insert(describe(op->getLoc()));
    if (auto value = op->getAttrOfType<ElementsAttr>("value")) {
      ShapedType type = value.getShapedType();
      found.weightBytes += type.getNumElements() *
                           llvm::divideCeil(type.getElementTypeBitWidth(), 8);
    }
  });
  found.nodes = nodes.size();
  // What no strategy takes shows when the plan is made.
  if (Error error = planVariants()) {
    found.findings = errors;
    if (errors.empty())
      return std::move(error);
    llvm::consumeError(std::move(error));
    return found;
  }
  Expected<MemoryEstimate> memory =
      estimateMemory(*variants.back().plan, sizes);
  if (!memory)
    return memory.takeError();
  found.workingBytes = memory->bytes;
  llvm::SetVector<StringRef> messages;
  variants.back().plan->walk(
      [&](plan::CheckOp op) { messages.insert(op.getMessage()); });
  for (StringRef message : messages)
    found.requirements.push_back(message.str());
  found.sizes = std::move(memory->sizes);
  return found;
}

Expected<CompileReport> lathe::compile(StringRef model, StringRef output,
                                       const CompileOptions &options,
                                       const CompileListener &listener) {
  return Compilation(model, options, listener).compile(output);
}

Expected<CheckReport>
lathe::check(StringRef model, const CompileOptions &options,
             const CompileListener &listener,
             ArrayRef<std::pair<std::string, int64_t>> sizes) {
  return Compilation(model, options, listener).check(sizes);
}
