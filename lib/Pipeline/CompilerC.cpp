// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// include/lathe-c/compiler.h on top of Compiler.h.

#include "lathe-c/compiler.h"

#include "lib/Pipeline/Compiler.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Twine.h"
#include <cstring>

using namespace llvm;

namespace lathe {

static lathe_status_t makeStatus(lathe_code_t code, const Twine &message) {
  return lathe_status_create(code, message.str().c_str());
}

/// An older caller's struct is shorter: what it lacks is zero.
template <typename T> static T readStruct(const T *given) {
  T value = {};
  if (given)
    std::memcpy(&value, given, std::min(given->struct_size, sizeof(T)));
  return value;
}

static lathe_status_t readTarget(const char *text, TargetRequest &request) {
  if (!text)
    return makeStatus(LATHE_INVALID_ARGUMENT, "a target is NULL");
  SmallVector<StringRef> parts;
  StringRef(text).split(parts, ':');
  request.name = parts[0].str();
  std::vector<std::string> built = getTargetNames();
  if (!is_contained(built, request.name))
    return makeStatus(LATHE_UNIMPLEMENTED,
                      Twine("target '") + request.name + "' is not built in");
  for (StringRef option : drop_begin(parts)) {
    auto [name, value] = option.split('=');
    if (name.empty() || value.empty())
      return makeStatus(LATHE_INVALID_ARGUMENT, Twine("target '") + text +
                                                    "': '" + option +
                                                    "' is not OPTION=V");
    request.options.emplace_back(name.str(), value.str());
  }
  return nullptr;
}

static lathe_status_t readOptions(const lathe_compile_options_t &given,
                                  CompileOptions &options) {
  if ((given.num_targets && !given.targets) ||
      (given.num_specializations && !given.specializations))
    return makeStatus(LATHE_INVALID_ARGUMENT,
                      "targets or specializations is NULL, but not its number");
  if (given.num_targets)
    options.targets.clear();
  for (size_t i = 0; i < given.num_targets; ++i) {
    TargetRequest request;
    if (lathe_status_t status = readTarget(given.targets[i], request))
      return status;
    options.targets.push_back(std::move(request));
  }
  if (given.precision)
    options.precision = given.precision;
  if (given.weights)
    options.weights = given.weights;
  if (given.attention_pattern)
    options.attentionPattern = given.attention_pattern;
  if (given.calibration)
    options.calibration = given.calibration;
  if (given.tuning)
    options.tuning = given.tuning;
  options.plainSums = given.plain_sums != 0;
  for (size_t i = 0; i < given.num_specializations; ++i) {
    const lathe_specialization_t &item = given.specializations[i];
    if (!item.symbol || item.size < 0)
      return makeStatus(LATHE_INVALID_ARGUMENT,
                        "a specialization needs a symbol and a size >= 0");
    options.specialize.emplace_back(item.symbol, item.size);
  }
  if (given.dump_directory)
    options.dumpDirectory = given.dump_directory;
  options.jobs = given.num_jobs;
  options.producer = given.producer ? given.producer : "lathe " LATHE_VERSION;
  return nullptr;
}

static CompileListener makeListener(const lathe_compile_options_t &options) {
  CompileListener listener;
  if (options.progress)
    listener.progress = [options](double fraction, StringRef what) {
      options.progress(options.context, fraction, what.str().c_str());
    };
  if (options.message)
    listener.message = [options](const Message &message) {
      lathe_severity_t severity =
          message.severity == Severity::Remark    ? LATHE_REMARK
          : message.severity == Severity::Warning ? LATHE_WARNING
                                                  : LATHE_ERROR;
      options.message(options.context, severity, message.text.c_str());
    };
  return listener;
}

/// Options that cannot be meant; else the model or the machine is the reason.
static lathe_status_t toStatus(Error error) {
  lathe_code_t code = LATHE_FAILED_PRECONDITION;
  std::string text;
  handleAllErrors(std::move(error), [&](const ErrorInfoBase &info) {
    if (info.convertToErrorCode() == std::errc::invalid_argument)
      code = LATHE_INVALID_ARGUMENT;
    text += (text.empty() ? "" : "\n") + info.message();
  });
  return makeStatus(code, text);
}

} // namespace lathe

using namespace lathe;

lathe_status_t lathe_compile(const char *model, const char *output,
                             const lathe_compile_options_t *given) {
  if (!model || !output)
    return makeStatus(LATHE_INVALID_ARGUMENT, "model or output is NULL");
  lathe_compile_options_t raw = readStruct(given);
  CompileOptions options;
  if (lathe_status_t status = readOptions(raw, options))
    return status;
  Expected<CompileReport> report =
      compile(model, output, options, makeListener(raw));
  return report ? nullptr : toStatus(report.takeError());
}

lathe_status_t lathe_check(const char *model,
                           const lathe_compile_options_t *given,
                           void (*finding)(void *context, const char *place,
                                           const char *op, const char *what),
                           void *context, lathe_check_info_t *info) {
  if (!model)
    return makeStatus(LATHE_INVALID_ARGUMENT, "model is NULL");
  lathe_compile_options_t raw = readStruct(given);
  CompileOptions options;
  if (lathe_status_t status = readOptions(raw, options))
    return status;
  Expected<CheckReport> report = check(model, options, makeListener(raw));
  if (!report)
    return toStatus(report.takeError());
  for (const Finding &found : report->findings)
    if (finding)
      finding(context, found.place.c_str(), found.op.c_str(),
              found.what.c_str());
  if (!info)
    return nullptr;
  lathe_check_info_t result = {std::min(info->struct_size, sizeof(*info)),
                               report->findings.size(), report->weightBytes,
                               report->nodes};
  std::memcpy(info, &result, result.struct_size);
  return nullptr;
}

const char *lathe_compiler_target(size_t index) {
  // The strings live as long as the program; they never change.
  static const std::vector<std::string> names = getTargetNames();
  return index < names.size() ? names[index].c_str() : nullptr;
}
