// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/Tuner.h"

#include "tools/lathe/Command.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace llvm;

namespace lathe::tool {

// A schedule is only exchanged for a gain that is more than noise.
static constexpr double worthwhileRatio = 0.97;
// What is slower than this after some rounds will not win.
static constexpr double hopelessRatio = 1.25;
static constexpr size_t roundsBeforePruning = 5;
static constexpr size_t fewestRounds = 7;

static double median(std::vector<double> values) {
  auto middle = values.begin() + values.size() / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// "AMD EPYC 9B45, 2 threads".
static std::string describeMachine(const Session &session) {
  std::string name = "unknown machine";
  if (auto info = MemoryBuffer::getFileAsStream("/proc/cpuinfo")) {
    StringRef text = (*info)->getBuffer();
    size_t at = text.find("model name");
    if (at != StringRef::npos)
      name = text.substr(at).split('\n').first.split(':').second.trim().str();
  }
  auto model = get<lathe_model_info_t>(lathe_model_info, session.model.get());
  return name + ", " + std::to_string(model.num_threads) +
         (model.num_threads == 1 ? " thread" : " threads");
}

static std::string formatSizes(ArrayRef<SymbolSizes> all) {
  std::vector<std::string> texts;
  for (const SymbolSizes &sizes : all) {
    std::vector<std::string> parts;
    for (const auto &[name, size] : sizes)
      parts.push_back(name + "=" + std::to_string(size));
    if (!parts.empty())
      texts.push_back(join(parts, ","));
  }
  return join(texts, "; ");
}

void Tuner::readKernels() {
  const Session &session = sessions.front();
  auto model = get<lathe_model_info_t>(lathe_model_info, session.model.get());
  auto variant = get<lathe_variant_info_t>(lathe_bundle_variant,
                                           session.bundle.get(), model.variant);
  target = variant.target;
  level = variant.level;
  for (size_t i = 0; i < variant.num_kernels; ++i) {
    auto kernel = get<lathe_kernel_info_t>(
        lathe_bundle_kernel, session.bundle.get(), model.variant, i);
    if (*kernel.workload)
      kernels[kernel.symbol] = {kernel.workload, kernel.schedule};
  }
}

Error Tuner::openAlternatives(const SessionOptions &options) {
  Expected<Session> first = openSession(options);
  if (!first)
    return first.takeError();
  sessions.push_back(std::move(*first));
  readKernels();
  StringMap<StringSet<>> schedules;
  size_t most = 1;
  for (const auto &kernel : kernels) {
    StringSet<> &known = schedules[kernel.second.workload];
    known.insert(kernel.second.schedule);
    most = std::max<size_t>(most, known.size());
  }
  for (size_t i = 1; i < most; ++i) {
    SessionOptions other = options;
    other.alternative = i;
    Expected<Session> session = openSession(other);
    if (!session)
      return session.takeError();
    sessions.push_back(std::move(*session));
  }
  isActive.assign(most, true);
  return Error::success();
}

Expected<Tuner> Tuner::create(const SessionOptions &options,
                              std::vector<SymbolSizes> sizes) {
  Tuner tuner;
  if (Error error = tuner.openAlternatives(options))
    return std::move(error);
  constexpr uint64_t seed = 0;
  for (const SymbolSizes &one : sizes) {
    Expected<Inputs> inputs =
        makeRandomInputs(tuner.sessions.front(), one, seed);
    if (!inputs)
      return inputs.takeError();
    tuner.inputs.push_back(std::move(*inputs));
  }
  tuner.sizes = std::move(sizes);
  lathe_profile_t *profile = nullptr;
  if (Error error = toError(lathe_profile_create(nullptr, &profile)))
    return std::move(error);
  tuner.profile.reset(profile);
  return tuner;
}

/// The indices of a kernel's workload and schedule; new ones are appended, so
/// that copy 0, which runs first, puts the cost model's schedule in front.
std::pair<size_t, size_t> Tuner::find(const Kernel &kernel) {
  auto [found, isNew] = workloads.insert({kernel.workload, TunedWorkload()});
  std::vector<TunedSchedule> &schedules = found->second.schedules;
  auto known = llvm::find_if(schedules, [&](const TunedSchedule &schedule) {
    return schedule.schedule == kernel.schedule;
  });
  size_t index = known - schedules.begin();
  if (known == schedules.end())
    schedules.push_back({kernel.schedule, {}, 1});
  return {found - workloads.begin(), index};
}

/// Runs one copy on all inputs.
Error Tuner::runCopy(size_t alternative, Samples &samples, double &total) {
  const Session &session = sessions[alternative];
  lathe_run_options_t options = LATHE_INIT(lathe_run_options_t);
  options.entry = session.entry;
  options.profile = profile.get();
  std::map<std::pair<size_t, size_t>, double> seconds;
  for (const Inputs &given : inputs) {
    lathe_results_t *results = nullptr;
    if (Error error = toError(lathe_model_run(session.model.get(), &options,
                                              given.tensors.size(),
                                              given.tensors.data(), &results)))
      return error;
    lathe_results_destroy(results);
    auto info = get<lathe_profile_info_t>(lathe_profile_info, profile.get());
    for (size_t i = 0; i < info.num_steps; ++i) {
      auto step =
          get<lathe_profile_step_t>(lathe_profile_step, profile.get(), i);
      total += step.ns * 1e-9;
      auto kernel = kernels.find(step.kernel);
      if (kernel != kernels.end())
        seconds[find(kernel->second)] += step.ns * 1e-9;
    }
  }
  // Lists of different lengths: several copies may run the same kernel.
  for (const auto &[key, value] : seconds) {
    samples[key].first += value;
    ++samples[key].second;
  }
  return Error::success();
}

/// Every copy that is still in the race, once.
Error Tuner::runRound() {
  std::vector<size_t> order;
  for (size_t i = 0; i < sessions.size(); ++i)
    if (isActive[i])
      order.push_back(i);
  std::shuffle(order.begin(), order.end(), random);
  Samples samples;
  totals.push_back(0);
  for (size_t alternative : order) {
    double total = 0;
    if (Error error = runCopy(alternative, samples, total))
      return error;
    if (alternative == 0)
      totals.back() = total;
  }
  for (auto [index, entry] : enumerate(workloads)) {
    TunedWorkload &workload = entry.second;
    auto first = samples.find({index, 0});
    if (first == samples.end() || first->second.first <= 0)
      continue;
    double base = first->second.first / first->second.second;
    workload.seconds.push_back(base);
    for (auto [i, schedule] : enumerate(workload.schedules))
      if (auto at = samples.find({index, i}); at != samples.end())
        schedule.ratios.push_back(at->second.first / at->second.second / base);
  }
  return Error::success();
}

/// Medians, and the best of each workload.
void Tuner::judge() {
  double total = median(totals);
  for (auto &entry : workloads) {
    TunedWorkload &workload = entry.second;
    workload.best = 0;
    if (workload.seconds.empty())
      continue;
    workload.share = total > 0 ? median(workload.seconds) / total : 0;
    double best = worthwhileRatio;
    for (auto [i, schedule] : enumerate(workload.schedules)) {
      schedule.ratio = schedule.ratios.empty() ? 1 : median(schedule.ratios);
      if (i == 0 || schedule.ratio >= best)
        continue;
      best = schedule.ratio;
      workload.best = i;
    }
  }
}

/// Takes copies out in which no workload has a chance.
void Tuner::prune() {
  judge();
  std::vector<bool> isPromising(sessions.size());
  for (const auto &entry : workloads) {
    ArrayRef<TunedSchedule> schedules = entry.second.schedules;
    for (size_t i = 0; i < sessions.size(); ++i)
      if (schedules[i % schedules.size()].ratio < hopelessRatio)
        isPromising[i] = isPromising[i] || i < schedules.size();
  }
  for (size_t i = 1; i < sessions.size(); ++i)
    isActive[i] = isActive[i] && isPromising[i];
}

Error Tuner::measure(double budget, Progress &progress) {
  // In order, to meet the cost model's schedules first; caches fill, too.
  Samples ignored;
  double seconds = 0;
  for (size_t i = 0; i < sessions.size(); ++i)
    if (Error error = runCopy(i, ignored, seconds))
      return error;
  Stopwatch watch;
  while (totals.size() < fewestRounds || watch.seconds() < budget) {
    if (Error error = runRound())
      return error;
    if (totals.size() == roundsBeforePruning)
      prune();
    progress.update(std::min(watch.seconds() / budget, 1.0), "measuring");
  }
  judge();
  return Error::success();
}

void Tuner::addTo(tuning::TuningTable &table) const {
  std::string machine = describeMachine(sessions.front());
  for (const auto &[name, workload] : workloads) {
    tuning::TuningEntry entry;
    entry.target = target;
    entry.level = level;
    entry.workload = name.str();
    entry.schedule = workload.schedules[workload.best].schedule.str();
    entry.insteadOf = workload.schedules.front().schedule.str();
    if (workload.best != 0)
      entry.speedup = 1 / workload.schedules[workload.best].ratio;
    entry.sizes = formatSizes(sizes);
    entry.machine = machine;
    table.insert(std::move(entry));
  }
}

} // namespace lathe::tool
