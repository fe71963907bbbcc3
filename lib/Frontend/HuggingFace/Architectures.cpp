// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Frontend/HuggingFace/Architectures.h"

using namespace lathe::huggingface;

llvm::ArrayRef<Architecture> lathe::huggingface::getArchitectures() {
  static constexpr Architecture architectures[] = {
      {"bert", buildBert},
      {"distilbert", buildDistilBert},
      {"vit", buildViT},
  };
  return architectures;
}
