// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Frontend/HuggingFace/HuggingFaceImport.h"
#include "lib/Frontend/HuggingFace/Architectures.h"
#include "mlir/IR/Verifier.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::huggingface;
using llvm::Error;
using llvm::Expected;

std::vector<std::string> lathe::getHuggingFaceModelTypes() {
  std::vector<std::string> names;
  for (const Architecture &architecture : getArchitectures())
    names.push_back(architecture.modelType.str());
  return names;
}

static Expected<const Architecture *> findArchitecture(Config &config) {
  std::string modelType = config.getString("model_type", "");
  for (const Architecture &architecture : getArchitectures())
    if (architecture.modelType == modelType)
      return &architecture;
  if (Error error = config.takeError())
    return std::move(error);
  return makeError(config.getPath() + ": 'model_type' is '" + modelType +
                   "'; there are " +
                   llvm::join(getHuggingFaceModelTypes(), ", "));
}

Expected<OwningOpRef<ModuleOp>> lathe::importHuggingFace(MLIRContext &context,
                                                         StringRef folder) {
  context.loadDialect<func::FuncDialect, graph::GraphDialect>();
  SmallString<256> path(folder);
  llvm::sys::path::append(path, "config.json");
  Expected<Config> config = Config::read(path);
  if (!config)
    return config.takeError();
  Expected<const Architecture *> architecture = findArchitecture(*config);
  if (!architecture)
    return architecture.takeError();
  Expected<Checkpoint> checkpoint = readCheckpoint(folder, context);
  if (!checkpoint)
    return checkpoint.takeError();

  Location loc = NameLoc::get(
      StringAttr::get(&context, llvm::sys::path::filename(folder)));
  OwningOpRef<ModuleOp> module = ModuleOp::create(loc);
  ModelBuilder builder(*module, *config, *checkpoint);
  (*architecture)->build(builder);
  if (Error error = builder.finish())
    return std::move(error);
  if (failed(verify(*module)))
    return makeError(path + ": the imported model does not verify");
  return std::move(module);
}
