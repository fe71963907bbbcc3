// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/Commands.h"
#include "tools/lathe/Console.h"
#include "tools/lathe/Session.h"

using namespace llvm;

namespace lathe::tool {

static cl::SubCommand parser("verify",
                             "Check every hash, bound and invariant of a "
                             "bundle");

static cl::opt<std::string> bundlePath(cl::Positional, cl::desc("BUNDLE"),
                                       cl::sub(parser),
                                       cl::cat(optionCategory));

static Error run() {
  if (Error error = requireArguments({{"BUNDLE", bundlePath}}))
    return error;
  Expected<BundlePtr> bundle = openBundle(bundlePath, LATHE_VERIFY_ALL);
  if (!bundle)
    return bundle.takeError();
  auto info = get<lathe_bundle_info_t>(lathe_bundle_info, bundle->get());
  outs() << bundlePath << ": sound; " << info.num_segments << " segments, "
         << info.num_variants << " variants, " << formatBytes(info.file_size)
         << '\n';
  return Error::success();
}

const Command verifyCommand = {&parser, R"(
Examples:
  lathe verify model.lathe

  A damaged file gives exit code 1 and a message that names the place. 'lathe
  run' makes the same checks except for the hashes of weights.
)",
                               run};

} // namespace lathe::tool
