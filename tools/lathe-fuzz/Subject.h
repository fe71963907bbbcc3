// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What is given damaged files.

#ifndef LATHE_TOOLS_LATHE_FUZZ_SUBJECT_H
#define LATHE_TOOLS_LATHE_FUZZ_SUBJECT_H

#include "tools/lathe-fuzz/Damage.h"
#include <memory>

namespace lathe::fuzz {

/// How one round ended.
struct Outcome {
  bool refused = false;
  std::string message; ///< What the error said.
  std::string problem; ///< What should not have happened; empty: nothing.
};

/// One kind of input. A round is `damage`, which makes and keeps a damaged
/// file, and `run`, which feeds it in and is watched.
class Subject {
public:
  virtual ~Subject() = default;

  /// Reads the undamaged files. Returns how many there are.
  virtual size_t load(const std::string &corpus) = 0;
  /// Where files may be written; it exists.
  virtual void setFolder(const std::string &folder) = 0;

  virtual void damage(Damage &damage) = 0;
  /// The bytes that the limit on memory is relative to.
  virtual size_t getSize() const = 0;
  virtual Outcome run() = 0;
};

std::unique_ptr<Subject> makeBundleSubject();
std::unique_ptr<Subject> makeOnnxSubject();
std::unique_ptr<Subject> makeSafetensorsSubject();
std::unique_ptr<Subject> makeConfigSubject();

} // namespace lathe::fuzz

#endif // LATHE_TOOLS_LATHE_FUZZ_SUBJECT_H
