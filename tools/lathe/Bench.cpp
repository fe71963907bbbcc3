// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/Commands.h"
#include "tools/lathe/Console.h"
#include "tools/lathe/Profile.h"
#include "tools/lathe/SessionArguments.h"
#include "llvm/ADT/StringExtras.h"
#include <cmath>

using namespace llvm;

namespace lathe::tool {

static cl::SubCommand parser("bench", "Measure how long runs of a bundle take");

static SessionArguments arguments(parser);
static cl::opt<std::string> inputsPath(
    "inputs", cl::value_desc("IN.npz"),
    cl::desc("Arrays named as the model's inputs (default: random ones)"),
    cl::sub(parser), cl::cat(optionCategory));
static cl::list<std::string>
    shape("shape", cl::value_desc("NAME=V[,NAME=V...]"), cl::CommaSeparated,
          cl::desc("Sizes of the named dims, for random inputs"),
          cl::sub(parser), cl::cat(optionCategory));
static cl::opt<unsigned> warmup("warmup", cl::value_desc("N"), cl::init(3),
                                cl::desc("Runs before the clock (default 3)"),
                                cl::sub(parser), cl::cat(optionCategory));
static cl::opt<unsigned>
    iterations("iterations", cl::value_desc("N"),
               cl::desc("Timed runs (default: as many as take about a second, "
                        "at least 10)"),
               cl::sub(parser), cl::cat(optionCategory));
static cl::opt<bool> profiling("profile",
                               cl::desc("Then show what the time goes to"),
                               cl::sub(parser), cl::cat(optionCategory));
static cl::opt<bool> json("json", cl::desc("As JSON"), cl::sub(parser),
                          cl::cat(optionCategory));

namespace {
struct Timing {
  double load = 0, first = 0; ///< Seconds.
  std::vector<double> runs;   ///< Seconds, sorted.
  std::vector<double>
      device; ///< The same by the device's clock, if it has one.
};

struct RunTime {
  double seconds = 0;
  uint64_t deviceNs = 0;
};
} // namespace

/// Linear between the neighbors, as numpy.percentile does it.
static double quantile(ArrayRef<double> sorted, double q) {
  double at = q * (sorted.size() - 1);
  size_t below = size_t(at), above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

static bool hasOwnMemory(const Session &session) {
  return get<lathe_model_info_t>(lathe_model_info, session.model.get())
             .memory != LATHE_MEMORY_HOST;
}

static Expected<RunTime> timeRun(const Session &session, const Inputs &inputs) {
  RunTime time;
  lathe_run_options_t options = LATHE_INIT(lathe_run_options_t);
  options.entry = session.entry;
  options.device_results = 1;
  options.device_ns = &time.deviceNs;
  Stopwatch watch;
  lathe_results_t *results = nullptr;
  if (Error error = toError(lathe_model_run(session.model.get(), &options,
                                            inputs.tensors.size(),
                                            inputs.tensors.data(), &results),
                            arguments.getBundle()))
    return std::move(error);
  time.seconds = watch.seconds();
  lathe_results_destroy(results);
  return time;
}

static Error measure(const Session &session, const Inputs &inputs,
                     Timing &timing) {
  Progress progress(/*verbose=*/false);
  bool hasClock = hasOwnMemory(session);
  Expected<RunTime> first = timeRun(session, inputs);
  if (!first)
    return first.takeError();
  timing.first = first->seconds;
  double latest = first->seconds;
  for (unsigned i = 0; i < warmup; ++i) {
    Expected<RunTime> time = timeRun(session, inputs);
    if (!time)
      return time.takeError();
    latest = time->seconds;
  }
  constexpr double budget = 1;
  unsigned count = iterations;
  if (count == 0)
    count = unsigned(std::clamp(budget / std::max(latest, 1e-6), 10.0, 1e5));
  Stopwatch sinceUpdate;
  double nextUpdate = 0;
  for (unsigned i = 0; i < count; ++i) {
    Expected<RunTime> time = timeRun(session, inputs);
    if (!time)
      return time.takeError();
    timing.runs.push_back(time->seconds);
    if (hasClock)
      timing.device.push_back(double(time->deviceNs) * 1e-9);
    // Drawing costs time and pollutes caches: seldom.
    if (sinceUpdate.seconds() > nextUpdate) {
      progress.update(double(i + 1) / count, "measuring");
      nextUpdate = sinceUpdate.seconds() + 0.2;
    }
  }
  llvm::sort(timing.runs);
  llvm::sort(timing.device);
  return Error::success();
}

static std::string formatInputs(const Session &session, const Inputs &inputs) {
  std::vector<std::string> texts;
  for (auto [i, tensor] : enumerate(inputs.tensors)) {
    auto info = get<lathe_tensor_info_t>(
        lathe_bundle_input, session.bundle.get(), session.entry, i);
    texts.push_back((Twine(info.name) + " " + lathe_dtype_name(tensor.dtype) +
                     "[" + formatShape({tensor.dims, tensor.rank}) + "]")
                        .str());
  }
  return join(texts, ", ");
}

static lathe_variant_info_t variantOf(const Session &session) {
  auto model = get<lathe_model_info_t>(lathe_model_info, session.model.get());
  return get<lathe_variant_info_t>(lathe_bundle_variant, session.bundle.get(),
                                   model.variant);
}

static void printText(const Session &session, const Inputs &inputs,
                      const Timing &timing, const Profile *profile) {
  auto model = get<lathe_model_info_t>(lathe_model_info, session.model.get());
  Table table({"inputs", formatInputs(session, inputs)});
  table.addRow({"device", std::string(model.device) + ", " +
                              variantOf(session).level + ", threads " +
                              std::to_string(model.num_threads)});
  table.addRow({"load", formatSeconds(timing.load)});
  table.addRow({"first run", formatSeconds(timing.first)});
  table.addRow({"median", formatSeconds(quantile(timing.runs, 0.5))});
  table.addRow({"10 % / 90 %", formatSeconds(quantile(timing.runs, 0.1)) +
                                   " / " +
                                   formatSeconds(quantile(timing.runs, 0.9))});
  if (!timing.device.empty())
    table.addRow({"device's clock",
                  formatSeconds(quantile(timing.device, 0.5)) + " (median), " +
                      formatSeconds(timing.device.front()) + " (least)"});
  table.addRow({"iterations", std::to_string(timing.runs.size())});
  table.print(outs());
  if (profile) {
    outs() << '\n';
    printProfile(*profile, outs());
  }
}

static void writeJson(const Session &session, const Inputs &inputs,
                      const Timing &timing, const Profile *profile) {
  auto model = get<lathe_model_info_t>(lathe_model_info, session.model.get());
  json::OStream out(outs(), /*IndentSize=*/2);
  out.object([&] {
    out.attribute("median_ms", quantile(timing.runs, 0.5) * 1e3);
    out.attribute("p10_ms", quantile(timing.runs, 0.1) * 1e3);
    out.attribute("p90_ms", quantile(timing.runs, 0.9) * 1e3);
    if (!timing.device.empty())
      out.attribute("device_median_ms", quantile(timing.device, 0.5) * 1e3);
    out.attribute("min_ms", timing.runs.front() * 1e3);
    out.attribute("max_ms", timing.runs.back() * 1e3);
    out.attribute("iterations", timing.runs.size());
    out.attribute("warmup", warmup.getValue());
    out.attribute("load_ms", timing.load * 1e3);
    out.attribute("first_ms", timing.first * 1e3);
    out.attribute("device", model.device);
    out.attribute("variant", variantOf(session).level);
    out.attribute("threads", model.num_threads);
    out.attribute("entry", session.info.name);
    out.attributeObject("inputs", [&] {
      for (auto [i, tensor] : enumerate(inputs.tensors)) {
        auto info = get<lathe_tensor_info_t>(
            lathe_bundle_input, session.bundle.get(), session.entry, i);
        out.attribute(info.name,
                      json::Array(ArrayRef(tensor.dims, tensor.rank)));
      }
    });
    if (profile)
      writeProfile(*profile, out);
  });
  outs() << '\n';
}

static Error run() {
  if (Error error = requireArguments({{"BUNDLE", arguments.getBundle()}}))
    return error;
  if (!inputsPath.empty() && !shape.empty())
    return usageError("--inputs and --shape exclude each other");
  if (iterations.getNumOccurrences() && iterations == 0)
    return usageError("--iterations must be at least 1");
  Expected<SymbolSizes> sizes =
      parseSymbolSizes(std::vector<std::string>(shape));
  if (!sizes)
    return sizes.takeError();
  Timing timing;
  Stopwatch loading;
  Expected<SessionOptions> where = arguments.getOptions();
  if (!where)
    return where.takeError();
  Expected<Session> session = openSession(*where);
  if (!session)
    return session.takeError();
  timing.load = loading.seconds();
  constexpr uint64_t seed = 0;
  Expected<Inputs> inputs =
      inputsPath.empty()
          ? makeRandomInputs(*session, *sizes, seed, " or --inputs IN.npz")
          : loadInputs(*session, inputsPath);
  if (!inputs)
    return inputs.takeError();
  if (Error error = moveToDevice(*session, *inputs))
    return error;
  if (Error error = measure(*session, *inputs, timing))
    return error;

  std::optional<Profile> profile;
  if (profiling) {
    unsigned runs = std::min<unsigned>(timing.runs.size(), 51);
    Expected<Profile> measured = measureProfile(*session, *inputs, runs);
    if (!measured)
      return measured.takeError();
    profile = std::move(*measured);
  }
  auto *show = json ? writeJson : printText;
  show(*session, *inputs, timing, profile ? &*profile : nullptr);
  return Error::success();
}

const Command benchCommand = {&parser, R"(
Examples:
  lathe bench model.lathe --shape batch=1,seq=128 --threads 1
  lathe bench model.lathe --inputs in.npz --iterations 200
  lathe bench model.lathe --shape batch=8,seq=128 --profile
  lathe bench model.lathe --shape batch=1,seq=16 --json | jq .median_ms

  Random inputs are the same in every process: floats uniform in [-1, 1),
  integers and bools uniform in {0, 1}, which vocabularies and masks permit.
)",
                              run};

} // namespace lathe::tool
