// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/Profile.h"

#include "tools/lathe/Console.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/Format.h"

using namespace llvm;

namespace lathe::tool {

static double median(std::vector<double> values) {
  auto middle = values.begin() + values.size() / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

static ProfileRow makeRow(const lathe_profile_step_t &step) {
  ProfileRow row;
  row.kernel = step.kernel;
  row.label = step.label;
  row.schedule = step.schedule;
  row.flops = step.flops;
  row.bytes = step.bytes;
  row.programs = step.programs;
  row.threads = step.num_threads;
  return row;
}

static std::vector<ProfileRow> aggregate(ArrayRef<ProfileRow> steps) {
  MapVector<StringRef, ProfileRow> byKernel;
  for (const ProfileRow &step : steps) {
    auto [found, isNew] = byKernel.try_emplace(step.kernel, step);
    if (isNew)
      continue;
    ProfileRow &sum = found->second;
    ++sum.calls;
    sum.seconds += step.seconds;
    sum.flops =
        std::min(sum.flops, step.flops) < 0 ? -1 : sum.flops + step.flops;
    sum.bytes += step.bytes;
    sum.programs += step.programs;
    sum.threads = std::max(sum.threads, step.threads);
  }
  std::vector<ProfileRow> kernels;
  for (auto &[kernel, row] : byKernel)
    kernels.push_back(std::move(row));
  llvm::sort(kernels, [](const ProfileRow &a, const ProfileRow &b) {
    return std::tie(b.seconds, a.kernel) < std::tie(a.seconds, b.kernel);
  });
  return kernels;
}

/// What the device that `session` runs on could do at best.
static void findLimits(const Session &session, Profile &profile) {
  auto model = get<lathe_model_info_t>(lathe_model_info, session.model.get());
  for (size_t i = 0, count = lathe_device_count(); i < count; ++i) {
    auto info = get<lathe_device_info_t>(lathe_device_info, i);
    if (info.memory != model.memory || info.device_index != model.device_index)
      continue;
    profile.limitFlops = double(info.matrix_flops);
    profile.limitBytes = double(info.memory_bandwidth);
  }
}

Expected<Profile> measureProfile(const Session &session, const Inputs &inputs,
                                 unsigned runs) {
  lathe_profile_t *raw = nullptr;
  if (Error error = toError(lathe_profile_create(nullptr, &raw)))
    return std::move(error);
  ProfilePtr recorder(raw);
  lathe_run_options_t options = LATHE_INIT(lathe_run_options_t);
  options.entry = session.entry;
  options.profile = raw;
  options.device_results = 1;

  Profile profile;
  std::vector<double> totals, gaps;
  std::vector<std::vector<double>> times;
  for (unsigned run = 0; run < runs; ++run) {
    lathe_results_t *results = nullptr;
    if (Error error = toError(lathe_model_run(session.model.get(), &options,
                                              inputs.tensors.size(),
                                              inputs.tensors.data(), &results)))
      return std::move(error);
    lathe_results_destroy(results);
    auto info = get<lathe_profile_info_t>(lathe_profile_info, raw);
    totals.push_back(info.total_ns * 1e-9);
    profile.arenaBytes = info.arena_bytes;
    // The same shapes take the same steps.
    times.resize(info.num_steps);
    uint64_t lastEnd = 0, gap = 0;
    for (size_t i = 0; i < info.num_steps; ++i) {
      auto step = get<lathe_profile_step_t>(lathe_profile_step, raw, i);
      times[i].push_back(step.ns * 1e-9);
      if (i && step.start_ns > lastEnd)
        gap += step.start_ns - lastEnd;
      lastEnd = step.start_ns + step.ns;
      if (run == 0)
        profile.steps.push_back(makeRow(step));
    }
    gaps.push_back(gap * 1e-9);
  }
  findLimits(session, profile);
  profile.seconds = median(totals);
  profile.gaps = median(gaps);
  for (auto [row, samples] : zip(profile.steps, times))
    row.seconds = median(samples);
  profile.kernels = aggregate(profile.steps);
  return profile;
}

/// How near a kernel comes to the limit that is nearest.
static std::string formatLimit(const ProfileRow &row, const Profile &profile) {
  double best = 0;
  if (profile.limitFlops > 0 && row.flops > 0)
    best = row.flops / profile.limitFlops;
  if (profile.limitBytes > 0)
    best = std::max(best, row.bytes / profile.limitBytes);
  std::string text;
  raw_string_ostream(text) << format(
      "%.0f %%", row.seconds ? best / row.seconds * 100 : 0);
  return text;
}

static std::string formatRate(double amount, double seconds) {
  if (amount < 0 || seconds <= 0)
    return "-";
  return formatFigure(amount / seconds * 1e-9);
}

static std::string formatShare(double part, double whole) {
  std::string text;
  raw_string_ostream(text) << format("%.1f %%", whole ? part / whole * 100 : 0);
  return text;
}

void printProfile(const Profile &profile, raw_ostream &os) {
  double sum = 0;
  for (const ProfileRow &row : profile.steps)
    sum += row.seconds;
  os << "profiled run " << formatSeconds(profile.seconds) << ", of which "
     << formatSeconds(sum) << " in " << profile.steps.size() << " steps and "
     << formatSeconds(profile.gaps) << " between them; working memory "
     << formatBytes(profile.arenaBytes) << "\n\n";

  bool hasLimits = profile.limitFlops > 0 || profile.limitBytes > 0;
  if (hasLimits)
    os << "limits of the device: " << formatFigure(profile.limitFlops * 1e-9)
       << " GFLOP/s on 16-bit floats, "
       << formatFigure(profile.limitBytes * 1e-9) << " GB/s\n\n";
  Table kernels({"kernel", ">calls", ">time", ">share", ">GFLOP/s", ">GB/s",
                 ">of limit", "schedule"});
  for (const ProfileRow &row : profile.kernels)
    kernels.addRow({row.kernel, std::to_string(row.calls),
                    formatSeconds(row.seconds), formatShare(row.seconds, sum),
                    formatRate(row.flops, row.seconds),
                    formatRate(row.bytes, row.seconds),
                    hasLimits ? formatLimit(row, profile) : "-", row.schedule});
  kernels.print(os);

  os << '\n';
  Table steps({">step", ">time", ">share", ">GFLOP/s", ">GB/s", ">programs",
               ">threads", "kernel", "nodes"});
  for (auto [index, row] : enumerate(profile.steps))
    steps.addRow(
        {std::to_string(index), formatSeconds(row.seconds),
         formatShare(row.seconds, sum), formatRate(row.flops, row.seconds),
         formatRate(row.bytes, row.seconds), std::to_string(row.programs),
         std::to_string(row.threads), row.kernel, row.label});
  steps.print(os);
}

static void writeRow(const ProfileRow &row, json::OStream &out) {
  out.attribute("kernel", row.kernel);
  out.attribute("ms", row.seconds * 1e3);
  if (row.flops >= 0)
    out.attribute("flops", int64_t(row.flops));
  out.attribute("bytes", int64_t(row.bytes));
  out.attribute("programs", row.programs);
  out.attribute("threads", row.threads);
  out.attribute("schedule", row.schedule);
}

void writeProfile(const Profile &profile, json::OStream &out) {
  out.attributeObject("profile", [&] {
    out.attribute("total_ms", profile.seconds * 1e3);
    out.attribute("gaps_ms", profile.gaps * 1e3);
    out.attribute("arena_bytes", profile.arenaBytes);
    if (profile.limitFlops > 0)
      out.attribute("limit_flops_per_second", profile.limitFlops);
    if (profile.limitBytes > 0)
      out.attribute("limit_bytes_per_second", profile.limitBytes);
    out.attributeArray("kernels", [&] {
      for (const ProfileRow &row : profile.kernels)
        out.object([&] {
          out.attribute("calls", row.calls);
          writeRow(row, out);
        });
    });
    out.attributeArray("steps", [&] {
      for (const ProfileRow &row : profile.steps)
        out.object([&] {
          out.attribute("label", row.label);
          writeRow(row, out);
        });
    });
  });
}

} // namespace lathe::tool
