// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Lists of the key blocks that query blocks see, from a mask that is known or
// from any other rule.

#ifndef LATHE_DIALECTS_GRAPH_TRANSFORMS_MASKBLOCKS_H
#define LATHE_DIALECTS_GRAPH_TRANSFORMS_MASKBLOCKS_H

#include "dialects/Graph/IR/Graph.h"

namespace lathe::graph {

/// How many positions a mask is about, and how a query's own key is found: it
/// is `query + keys - queries`.
struct MaskShape {
  int64_t heads, queries, keys;
};

/// What a mask comes down to.
struct MaskBlocks {
  /// No block that shows a key is missing. Null if too few blocks are hidden.
  BlockListAttr list;
  /// The list, with its window, says all that the mask does.
  bool isExact;
};

/// Reads a mask with sizes of at least 1: whether query `query` of head `head`
/// sees `key`.
MaskBlocks findMaskBlocks(
    mlir::MLIRContext *context, const MaskShape &shape,
    llvm::function_ref<bool(int64_t head, int64_t query, int64_t key)>
        isVisible);

/// A list of blocks of `block` positions from a rule about blocks; heads with
/// one pattern share it if all do.
BlockListAttr makeBlockList(
    mlir::MLIRContext *context, const MaskShape &shape, int64_t block,
    llvm::function_ref<bool(int64_t head, int64_t row, int64_t column)>
        isListed,
    int64_t left = -1, int64_t right = -1);

} // namespace lathe::graph

#endif // LATHE_DIALECTS_GRAPH_TRANSFORMS_MASKBLOCKS_H
