// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The registry of architectures: a function each, in a file of its own, and a
// line in Architectures.cpp.

#ifndef LATHE_LIB_FRONTEND_HUGGINGFACE_ARCHITECTURES_H
#define LATHE_LIB_FRONTEND_HUGGINGFACE_ARCHITECTURES_H

#include "lib/Frontend/HuggingFace/ModelBuilder.h"

namespace lathe::huggingface {

void buildBert(ModelBuilder &m);
void buildDistilBert(ModelBuilder &m);
void buildViT(ModelBuilder &m);

/// One value of `model_type` in config.json.
struct Architecture {
  llvm::StringLiteral modelType;
  void (*build)(ModelBuilder &m);
};

/// Sorted by name.
llvm::ArrayRef<Architecture> getArchitectures();

} // namespace lathe::huggingface

#endif // LATHE_LIB_FRONTEND_HUGGINGFACE_ARCHITECTURES_H
