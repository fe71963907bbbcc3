// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The host functions that a bundle may call, by name. The writer's side asks
// here before it promises a bundle that runs; runtime/builtins defines them.

#ifndef LATHE_RUNTIME_BUNDLE_CALLEES_H
#define LATHE_RUNTIME_BUNDLE_CALLEES_H

namespace lathe::bundle {

/// Sorted. A newer runtime may know more.
constexpr const char *callees[] = {
    "check_indices",
    "col2im",
    "compress",
    "cumulative_product",
    "det",
    "grid_sample",
    "gru",
    "lstm",
    "max_pool_with_indices",
    "max_unpool",
    "non_max_suppression",
    "nonzero",
    "resize",
    "rnn",
    "roi_align",
    "top_k",
    "unique",
};

} // namespace lathe::bundle

#endif // LATHE_RUNTIME_BUNDLE_CALLEES_H
