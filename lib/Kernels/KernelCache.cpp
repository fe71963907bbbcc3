// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/Strategy.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;

/// The kernel's text under a name that all kernels share.
static std::string getContent(tile::KernelOp kernel) {
  kernel.setSymName("kernel");
  std::string text;
  llvm::raw_string_ostream stream(text);
  kernel->print(stream, OpPrintingFlags().useLocalScope());
  return text;
}

tile::KernelOp KernelCache::intern(tile::KernelOp kernel, StringRef wanted) {
  auto [entry, isNew] = byContent.try_emplace(getContent(kernel), kernel);
  if (!isNew) {
    kernel.erase();
    return entry->second;
  }
  std::string name = wanted.str();
  // What has a number may be what another kernel is called by itself.
  for (unsigned &count = counts[wanted]; !names.insert(name).second;)
    name = (wanted + "_" + Twine(++count + 1)).str();
  kernel.setSymName(name);
  return kernel;
}
