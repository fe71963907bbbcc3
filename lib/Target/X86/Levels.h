// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The x86 levels: what code generation knows of each beyond the public record.

#ifndef LATHE_LIB_TARGET_X86_LEVELS_H
#define LATHE_LIB_TARGET_X86_LEVELS_H

#include "lib/Target/Target.h"
#include "lib/Target/X86/Emitter.h"

namespace lathe::x86 {

struct Level {
  TargetLevel record;
  /// LLVM's names of the processor and of what is added to it.
  llvm::StringRef processor, attributes;
};

/// From x86-64-v3 upwards.
llvm::ArrayRef<Level> getLevels();

/// Null when there is none.
const Level *lookupLevel(llvm::StringRef name);

/// What the lowering asks of a level.
VectorUnit getVectorUnit(const Level &level);

} // namespace lathe::x86

#endif // LATHE_LIB_TARGET_X86_LEVELS_H
