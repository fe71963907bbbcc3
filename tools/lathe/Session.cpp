// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/Session.h"

#include "tools/lathe/Command.h"
#include "llvm/ADT/StringExtras.h"

using namespace llvm;

namespace lathe::tool {

Error toError(lathe_status_t status) {
  if (!status)
    return Error::success();
  std::string message = lathe_status_message(status);
  if (lathe_status_code(status) == LATHE_INTERNAL)
    message += " (this is a defect of Lathe)";
  lathe_status_destroy(status);
  return failure(message);
}

Error toError(lathe_status_t status, StringRef path) {
  if (Error error = toError(status))
    return fileError(path, toString(std::move(error)));
  return Error::success();
}

/// What was asked of a bundle and is not there: wrong usage.
static Error toOptionError(lathe_status_t status,
                           const SessionOptions &options) {
  lathe_code_t code = lathe_status_code(status);
  Error error = toError(status, options.bundle);
  if (!error || (code != LATHE_NOT_FOUND && code != LATHE_INVALID_ARGUMENT &&
                 code != LATHE_INCOMPATIBLE))
    return error;
  std::string text = toString(std::move(error));
  bool isLevel = StringRef(text).contains("variant '" + options.level + "'");
  if (options.isLevelPreset && isLevel)
    text += " (the variable LATHE_CPU_LEVEL asks for it)";
  if (code == LATHE_INCOMPATIBLE && !isLevel)
    return failure(text);
  return usageError(text);
}

Expected<BundlePtr> openBundle(StringRef path, lathe_verify_t verify) {
  lathe_bundle_options_t options = LATHE_INIT(lathe_bundle_options_t);
  options.verify = verify;
  lathe_bundle_t *bundle = nullptr;
  if (Error error = toError(
          lathe_bundle_open(path.str().c_str(), &options, &bundle), path))
    return std::move(error);
  return BundlePtr(bundle);
}

static bool hasHostCode(const Session &session) {
  auto info = get<lathe_bundle_info_t>(lathe_bundle_info, session.bundle.get());
  for (size_t i = 0; i < info.num_variants; ++i) {
    auto variant = get<lathe_variant_info_t>(lathe_bundle_variant,
                                             session.bundle.get(), i);
    if (StringRef(variant.target) == "x86")
      return true;
  }
  return false;
}

Expected<Session> openSession(const SessionOptions &options) {
  Expected<BundlePtr> bundle = openBundle(options.bundle, LATHE_VERIFY_CODE);
  if (!bundle)
    return bundle.takeError();
  Session session;
  session.bundle = std::move(*bundle);
  if (!options.entry.empty())
    if (Error error = toOptionError(
            lathe_bundle_find_entry(session.bundle.get(), options.entry.c_str(),
                                    &session.entry),
            options))
      return std::move(error);
  session.info = get<lathe_entry_info_t>(lathe_bundle_entry,
                                         session.bundle.get(), session.entry);
  if (!session.info.name)
    return failure(options.bundle + ": the bundle has no entries");

  // A level of CPUs says nothing about a bundle without code for any.
  bool isForHosts = !options.isLevelPreset || hasHostCode(session);
  lathe_model_options_t model = LATHE_INIT(lathe_model_options_t);
  model.device = options.device.empty() ? nullptr : options.device.c_str();
  model.num_threads = options.threads;
  model.variant =
      options.level.empty() || !isForHosts ? nullptr : options.level.c_str();
  model.guard = options.guard;
  model.alternative = options.alternative;
  lathe_model_t *loaded = nullptr;
  if (Error error = toOptionError(
          lathe_model_create(session.bundle.get(), &model, &loaded), options))
    return std::move(error);
  session.model.reset(loaded);
  return session;
}

std::string formatType(const lathe_tensor_info_t &info) {
  std::string text = lathe_dtype_name(info.dtype);
  text += '[';
  for (uint32_t i = 0; i < info.rank; ++i)
    text += (i ? ", " : "") + std::string(info.dims[i].text);
  return text + ']';
}

} // namespace lathe::tool
