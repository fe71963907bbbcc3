// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/CompileArguments.h"

#include "tools/lathe/Command.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/WithColor.h"

using namespace llvm;

namespace lathe::tool {

static Expected<TargetRequest> parseTarget(StringRef text) {
  SmallVector<StringRef> parts;
  text.split(parts, ':');
  TargetRequest request;
  request.name = parts[0].str();
  if (!is_contained({"x86", "cuda", "rocm", "vulkan"}, parts[0]))
    return usageError("--target: '" + parts[0] +
                      "' is no target: x86, cuda, rocm and vulkan are");
  std::vector<std::string> built = getTargetNames();
  if (!is_contained(built, request.name))
    return failure(
        "--target " + parts[0] +
        ": this build of Lathe does not hold that target; it holds " +
        join(built, ", "));
  for (StringRef option : drop_begin(parts)) {
    auto [name, value] = option.split('=');
    if (name.empty() || value.empty())
      return usageError("--target: '" + option + "' is not OPTION=V");
    request.options.emplace_back(name.str(), value.str());
  }
  return request;
}

Expected<std::vector<TargetRequest>> parseTargets(StringRef text) {
  SmallVector<StringRef> items;
  text.split(items, ',');
  std::vector<TargetRequest> requests;
  for (StringRef item : items) {
    Expected<TargetRequest> request = parseTarget(item);
    if (!request)
      return request.takeError();
    for (const TargetRequest &other : requests)
      if (other.name == request->name)
        return usageError("--target: '" + other.name + "' is given twice");
    requests.push_back(std::move(*request));
  }
  return requests;
}

Expected<std::vector<std::pair<std::string, int64_t>>>
parseSpecializations(ArrayRef<std::string> texts) {
  std::vector<std::pair<std::string, int64_t>> result;
  for (StringRef text : texts) {
    auto [name, values] = text.rsplit('=');
    SmallVector<StringRef> items;
    values.split(items, ',');
    for (StringRef item : items) {
      int64_t value;
      if (name.empty() || item.getAsInteger(10, value) || value < 0)
        return usageError("--specialize: '" + text +
                          "' is not NAME=V[,V...] with sizes V, as in seq=128");
      std::pair<std::string, int64_t> size(name.str(), value);
      if (is_contained(result, size))
        return usageError("--specialize: " + name + "=" + item +
                          " is given twice");
      result.push_back(std::move(size));
    }
  }
  return result;
}

Expected<std::vector<std::pair<std::string, int64_t>>>
parseSizes(StringRef option, ArrayRef<std::string> texts) {
  std::vector<std::pair<std::string, int64_t>> result;
  for (StringRef text : texts) {
    auto [name, value] = text.rsplit('=');
    int64_t size;
    if (name.empty() || value.getAsInteger(10, size) || size < 0)
      return usageError(option + ": '" + text +
                        "' is not NAME=V with a size V, as in seq=128");
    result.emplace_back(name.str(), size);
  }
  return result;
}

CompileListener MessageLog::listener() {
  CompileListener listener;
  listener.progress = [this](double fraction, StringRef what) {
    progress.update(fraction, what);
  };
  listener.message = [this](const Message &message) { take(message); };
  return listener;
}

void MessageLog::take(const Message &message) {
  messages.push_back(message);
  if (!verbose || message.severity != Severity::Remark)
    return;
  progress.clear();
  WithColor::remark(errs()) << escapeControls(message.text, true) << '\n';
}

std::string MessageLog::formatProblems(StringRef known) {
  progress.clear();
  std::string text;
  for (const Message &message : messages) {
    if (message.severity == Severity::Remark || message.text == known)
      continue;
    text += message.severity == Severity::Warning ? "\nwarning: " : "\nerror: ";
    text += message.text;
  }
  return text;
}

Error pipelineError(Error error, MessageLog &log) {
  std::string what;
  bool isUsage = false;
  handleAllErrors(std::move(error), [&](const ErrorInfoBase &info) {
    what += (what.empty() ? "" : "\n") + info.message();
    isUsage |= info.convertToErrorCode() == std::errc::invalid_argument;
  });
  what += log.formatProblems(what);
  return isUsage ? usageError(what) : failure(what);
}

} // namespace lathe::tool
