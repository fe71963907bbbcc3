// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/Commands.h"
#include "tools/lathe/CompilerProgram.h"
#include "tools/lathe/SessionArguments.h"
#include "tools/lathe/Tuner.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include <cerrno>

using namespace llvm;

namespace lathe::tool {

static cl::SubCommand parser("tune",
                             "Measure schedules and write the best to a table");

static SessionArguments arguments(parser, "MODEL|BUNDLE");
static cl::opt<std::string>
    output("o", cl::value_desc("TABLE"),
           cl::desc("The table; workloads that are in it already are replaced, "
                    "others stay"),
           cl::sub(parser), cl::cat(optionCategory));
static cl::opt<std::string>
    budgetText("budget", cl::init("30s"), cl::value_desc("TIME"),
               cl::desc("How long to measure, as in 30s or 2m (default: 30s)"),
               cl::sub(parser), cl::cat(optionCategory));
static cl::list<std::string>
    shapes("shape", cl::value_desc("NAME=V[,NAME=V...]"),
           cl::desc("Sizes of the named dims; given several times, all of them "
                    "are measured"),
           cl::sub(parser), cl::cat(optionCategory));
static cl::opt<std::string>
    target("target", cl::value_desc("TARGET"),
           cl::desc("MODEL: what to compile for (default: x86:cpu=native, or "
                    "cuda with --device cuda, rocm with --device hip)"),
           cl::sub(parser), cl::cat(optionCategory));
static cl::opt<std::string> weights("weights", cl::value_desc("ENCODING"),
                                    cl::desc("MODEL: as in 'lathe compile'"),
                                    cl::sub(parser), cl::cat(optionCategory));
static cl::opt<std::string> precision("precision", cl::value_desc("TYPE"),
                                      cl::desc("MODEL: as in 'lathe compile'"),
                                      cl::sub(parser), cl::cat(optionCategory));

static Expected<double> parseBudget(StringRef text) {
  std::pair<StringRef, double> units[] = {{"ms", 1e-3}, {"s", 1}, {"m", 60}};
  for (auto [unit, seconds] : units) {
    StringRef number = text;
    double value;
    if (number.consume_back(unit) && !number.getAsDouble(value) && value > 0 &&
        value < 1e6)
      return value * seconds;
  }
  return usageError("--budget: '" + text +
                    "' is no time, as in 500ms, 30s or 2m");
}

/// What `--target` says, or what the device runs.
static std::string getTarget(StringRef device) {
  if (!target.empty())
    return target;
  return device.starts_with("cuda")  ? "cuda"
         : device.starts_with("hip") ? "rocm"
                                     : "x86:cpu=native";
}

/// Compiles a model with all schedules, in a process of its own.
static Error compileAll(StringRef model, StringRef bundle, StringRef device,
                        const SymbolSizes &sizes) {
  std::string program = getCompilerProgram();
  std::vector<std::string> command = {
      "lathe",           "compile",  model.str(),       "-o",     bundle.str(),
      "--all-schedules", "--target", getTarget(device), "--tuned"};
  for (const auto &[name, size] : sizes)
    command.insert(command.end(), {"--tuned-dim", name});
  if (!weights.empty())
    command.insert(command.end(), {"--weights", weights});
  if (!precision.empty())
    command.insert(command.end(), {"--precision", precision});
  std::string message;
  // Its progress and errors are for the user; its summary is not.
  std::optional<StringRef> redirects[] = {std::nullopt, StringRef(),
                                          std::nullopt};
  std::vector<StringRef> views(command.begin(), command.end());
  int code =
      sys::ExecuteAndWait(program, views, std::nullopt, redirects,
                          /*SecondsToWait=*/0, /*MemoryLimit=*/0, &message);
  if (code < 0)
    return failure(describeMissingCompiler(program, errno));
  // It said why.
  return code == 0 ? Error::success() : silentError(code == 2 ? 2 : 1);
}

static Expected<bool> isBundle(StringRef path) {
  if (sys::fs::is_directory(path))
    return false;
  auto file = MemoryBuffer::getFileSlice(path, 5, 0);
  if (!file)
    return failure(path + ": " + file.getError().message());
  return (*file)->getBuffer() == "LATHE";
}

static void printWorkloads(const Tuner &tuner) {
  Table table({"workload", ">share", ">schedules", ">speed-up", "schedule"});
  double tuned = 0, before = 0;
  for (const auto &[name, workload] : tuner.getWorkloads()) {
    const TunedSchedule &best = workload.schedules[workload.best];
    std::string share, speedup = "-";
    raw_string_ostream(share) << format("%.1f %%", workload.share * 100);
    double ratio = workload.best ? best.ratio : 1;
    if (workload.best) {
      speedup.clear();
      raw_string_ostream(speedup) << format("%.2f", 1 / ratio);
    }
    before += workload.share;
    tuned += workload.share * ratio;
    table.addRow({name.str(), share, std::to_string(workload.schedules.size()),
                  speedup, best.schedule.str()});
  }
  table.print(outs());
  outs() << format("\nThe whole model, estimated: %.2f times as fast; ",
                   1 / (1 - before + tuned))
         << tuner.getNumRounds() << " rounds.\n";
}

static Error run() {
  if (Error error = requireArguments(
          {{"MODEL or BUNDLE", arguments.getBundle()}, {"-o", output}}))
    return error;
  Expected<double> budget = parseBudget(budgetText);
  if (!budget)
    return budget.takeError();
  std::vector<SymbolSizes> sizes;
  for (const std::string &shape : shapes) {
    SmallVector<StringRef> items;
    StringRef(shape).split(items, ',');
    Expected<SymbolSizes> parsed =
        parseSymbolSizes(std::vector<std::string>(items.begin(), items.end()));
    if (!parsed)
      return parsed.takeError();
    sizes.push_back(std::move(*parsed));
  }
  if (sizes.empty())
    sizes.emplace_back();
  auto isOther = [&](const SymbolSizes &other) {
    return !equal(make_first_range(sizes.front()), make_first_range(other));
  };
  if (any_of(sizes, isOther))
    return usageError("--shape: all of them must give sizes for the same dims");
  if (Error error = checkOutput(output, {arguments.getBundle()}))
    return error;
  tuning::TuningTable table;
  if (sys::fs::exists(output)) {
    Expected<tuning::TuningTable> old = tuning::TuningTable::read(output);
    if (!old)
      return old.takeError();
    table = std::move(*old);
  }

  Expected<SessionOptions> where = arguments.getOptions();
  if (!where)
    return where.takeError();
  SessionOptions options = std::move(*where);
  Expected<bool> isCompiled = isBundle(options.bundle);
  if (!isCompiled)
    return isCompiled.takeError();
  std::optional<FileRemover> remover;
  if (!*isCompiled) {
    SmallString<128> path;
    if (std::error_code code =
            sys::fs::createTemporaryFile("lathe-tune", "lathe", path))
      return failure("no temporary file: " + code.message());
    remover.emplace(path);
    if (Error error =
            compileAll(options.bundle, path, options.device, sizes.front()))
      return error;
    options.bundle = path.str().str();
  }
  Progress progress(/*verbose=*/false);
  progress.update(0, "measuring");
  Expected<Tuner> tuner = Tuner::create(options, std::move(sizes));
  if (!tuner)
    return tuner.takeError();
  if (!tuner->hasAlternatives() && *isCompiled)
    return failure(options.bundle +
                   ": the bundle holds one schedule of each kernel; compile it "
                   "with --all-schedules");
  if (tuner->hasAlternatives())
    if (Error error = tuner->measure(*budget, progress))
      return error;
  progress.clear();
  tuner->addTo(table);
  if (Error error = table.write(output))
    return error;
  if (tuner->hasAlternatives())
    printWorkloads(*tuner);
  else
    outs() << "nothing to measure: each kernel has one schedule\n";
  outs() << output << ": " << table.size() << " workloads\n";
  return Error::success();
}

const Command tuneCommand = {&parser, R"(
Examples:
  lathe tune model.onnx --shape batch=1,seq=128 -o tuning.json
  lathe compile model.onnx -o model.lathe --tuning tuning.json
  lathe tune model.onnx --shape batch=1,seq=16 --shape batch=8,seq=128 \
      --budget 1m --threads 1 -o tuning.json

  The model is compiled with every schedule that the kernels' strategies list,
  and copies of it that differ in their schedules run by turns. The table is
  text, a line for each workload: commit it, merge it, look at its changes.
  Compiling needs no table and never measures.

  Where there is no compiler, tune a bundle made by 'lathe compile
  --all-schedules'.
)",
                             run};

} // namespace lathe::tool
