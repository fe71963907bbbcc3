// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Frontend/HuggingFace/Json.h"
#include "lib/Support/Json.h"
#include "lib/Support/MappedFile.h"

using namespace lathe;
using namespace lathe::huggingface;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

Expected<llvm::json::Object> huggingface::parseJsonObject(StringRef text,
                                                          StringRef path) {
  Expected<llvm::json::Value> value = parseJson(text);
  if (!value)
    return makeError(path + ": " + toString(value.takeError()));
  llvm::json::Object *object = value->getAsObject();
  if (!object)
    return makeError(path + ": must hold a JSON object");
  return std::move(*object);
}

Expected<llvm::json::Object> huggingface::readJsonObject(StringRef path) {
  auto file = MappedFile::open(path);
  if (!file)
    return file.takeError();
  llvm::ArrayRef<char> bytes = (*file)->getBytes();
  return parseJsonObject(StringRef(bytes.data(), bytes.size()), path);
}

Expected<Config> Config::read(StringRef path) {
  Expected<llvm::json::Object> object = readJsonObject(path);
  if (!object)
    return object.takeError();
  return Config(path, std::move(*object));
}

void Config::refuse(StringRef key, const Twine &reason) {
  if (error.empty())
    error = (path + ": '" + key + "' " + reason).str();
}

int64_t Config::getSize(StringRef key) {
  const llvm::json::Value *value = object.get(key);
  std::optional<int64_t> size = value ? value->getAsInteger() : std::nullopt;
  if (size && *size >= 1 && *size <= kMaxSize)
    return *size;
  refuse(key, Twine(value ? "must be" : "is missing; it must be") +
                  " an integer from 1 to " + Twine(kMaxSize));
  return 1;
}

int64_t Config::getSize(StringRef key, int64_t fallback) {
  return object.get(key) ? getSize(key) : fallback;
}

double Config::getFloat(StringRef key, double fallback) {
  const llvm::json::Value *value = object.get(key);
  if (!value)
    return fallback;
  if (std::optional<double> number = value->getAsNumber())
    return *number;
  refuse(key, "must be a number");
  return fallback;
}

bool Config::getBool(StringRef key, bool fallback) {
  const llvm::json::Value *value = object.get(key);
  if (!value)
    return fallback;
  if (std::optional<bool> flag = value->getAsBoolean())
    return *flag;
  refuse(key, "must be true or false");
  return fallback;
}

std::string Config::getString(StringRef key, StringRef fallback) {
  const llvm::json::Value *value = object.get(key);
  if (!value || value->getAsNull())
    return fallback.str();
  if (std::optional<StringRef> text = value->getAsString())
    return text->str();
  refuse(key, "must be a string");
  return fallback.str();
}

Error Config::takeError() {
  if (error.empty())
    return Error::success();
  return makeError(error);
}
