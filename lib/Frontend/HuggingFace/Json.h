// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// JSON objects from untrusted files, with errors that name the file and key.

#ifndef LATHE_LIB_FRONTEND_HUGGINGFACE_JSON_H
#define LATHE_LIB_FRONTEND_HUGGINGFACE_JSON_H

#include "llvm/Support/JSON.h"
#include <string>

namespace lathe::huggingface {

/// Parses `text` of `path`, which must be an object. Nesting is bounded, since
/// the parser recurses.
llvm::Expected<llvm::json::Object> parseJsonObject(llvm::StringRef text,
                                                   llvm::StringRef path);
llvm::Expected<llvm::json::Object> readJsonObject(llvm::StringRef path);

/// A model's `config.json`. The accessors record the first error and return
/// zero from then on, so that a model can read all it needs and check once.
class Config {
public:
  static llvm::Expected<Config> read(llvm::StringRef path);

  llvm::StringRef getPath() const { return path; }

  /// A size between 1 and `kMaxSize`.
  int64_t getSize(llvm::StringRef key);
  /// The same with a default for a missing key.
  int64_t getSize(llvm::StringRef key, int64_t fallback);
  double getFloat(llvm::StringRef key, double fallback);
  bool getBool(llvm::StringRef key, bool fallback);
  std::string getString(llvm::StringRef key, llvm::StringRef fallback);

  /// Refuses the model: `key` has a value that Lathe does not support.
  void refuse(llvm::StringRef key, const llvm::Twine &reason);

  /// The first error, once; success if there was none.
  llvm::Error takeError();
  bool hasError() const { return !error.empty(); }

  static constexpr int64_t kMaxSize = int64_t(1) << 31;

private:
  Config(llvm::StringRef path, llvm::json::Object object)
      : path(path.str()), object(std::move(object)) {}

  std::string path;
  llvm::json::Object object;
  std::string error;
};

} // namespace lathe::huggingface

#endif // LATHE_LIB_FRONTEND_HUGGINGFACE_JSON_H
