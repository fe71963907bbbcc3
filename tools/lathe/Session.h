// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The runtime's C API as the tool uses it: owners that destroy, statuses that
// become llvm::Error, and the steps that run and bench have in common.

#ifndef LATHE_TOOLS_LATHE_SESSION_H
#define LATHE_TOOLS_LATHE_SESSION_H

#include "lathe-c/runtime.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <memory>
#include <string>
#include <vector>

namespace lathe::tool {

template <auto destroy> struct Destroyer {
  template <typename T> void operator()(T *object) const { destroy(object); }
};
using BundlePtr =
    std::unique_ptr<lathe_bundle_t, Destroyer<lathe_bundle_destroy>>;
using ModelPtr = std::unique_ptr<lathe_model_t, Destroyer<lathe_model_destroy>>;
using ResultsPtr =
    std::unique_ptr<lathe_results_t, Destroyer<lathe_results_destroy>>;
using BufferPtr =
    std::unique_ptr<lathe_buffer_t, Destroyer<lathe_buffer_destroy>>;
using ProfilePtr =
    std::unique_ptr<lathe_profile_t, Destroyer<lathe_profile_destroy>>;

/// Takes the status. Success for NULL.
llvm::Error toError(lathe_status_t status);
/// The same about the file `path`.
llvm::Error toError(lathe_status_t status, llvm::StringRef path);

/// What a getter with valid indices returns. Getters fail only for a bad index
/// or an unset struct_size, which would be a defect of the tool.
template <typename Info, typename Getter, typename... Args>
Info get(Getter getter, Args... args) {
  Info info = LATHE_INIT(Info);
  if (lathe_status_t status = getter(args..., &info)) {
    lathe_status_destroy(status);
    info = LATHE_INIT(Info);
  }
  return info;
}

/// Opens a bundle; an error names the file.
llvm::Expected<BundlePtr> openBundle(llvm::StringRef path,
                                     lathe_verify_t verify);

/// What `run` and `bench` are told about where and what to run.
struct SessionOptions {
  std::string bundle;
  std::string device; ///< Empty: the best there is.
  std::string entry;  ///< Empty: the only one, or the first.
  std::string level;  ///< Empty: the best that fits.
  unsigned threads = 0;
  bool guard = false; ///< As in lathe_model_options_t.
  /// `level` is the value of LATHE_CPU_LEVEL.
  bool isLevelPreset = false;
  /// Of kernels for the same sizes, which one runs: lathe_model_options_t.
  unsigned alternative = 0;
};

/// A loaded model and the entry to run.
struct Session {
  BundlePtr bundle;
  ModelPtr model;
  size_t entry = 0;
  lathe_entry_info_t info;
};

llvm::Expected<Session> openSession(const SessionOptions &options);

/// "f32[batch, seq, 384]".
std::string formatType(const lathe_tensor_info_t &info);

} // namespace lathe::tool

#endif // LATHE_TOOLS_LATHE_SESSION_H
