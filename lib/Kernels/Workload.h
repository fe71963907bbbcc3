// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Names of kernels in tuning tables, which tell apart what runs differently:
// a kernel's own name is for people.

#ifndef LATHE_KERNELS_WORKLOAD_H
#define LATHE_KERNELS_WORKLOAD_H

#include "dialects/Graph/IR/Graph.h"

namespace lathe::kernels {

/// `name`, a kernel's and a class of sizes, with how the floats that the group
/// reads are stored, if not as plain f32, and with a hash of the group's ops
/// where the name leaves some out: "linear_int8_384x1536_add_gelu, rows,
/// int4<group = 128>".
std::string getWorkload(graph::GroupOp group, llvm::StringRef name);

} // namespace lathe::kernels

#endif // LATHE_KERNELS_WORKLOAD_H
