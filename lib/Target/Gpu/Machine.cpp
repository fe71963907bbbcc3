// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/Gpu/Machine.h"

lathe::gpu::Machine::~Machine() = default;
