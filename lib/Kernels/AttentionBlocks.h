// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Block lists of attention, as tables that a kernel walks. The blocks of the
// list (S2-Attention, systems.md [2]) are not those of the kernel: a program's
// queries may span several query blocks, whose lists are merged, and runs of
// key blocks that all of its queries see are cut into the kernel's own.

#ifndef LATHE_KERNELS_ATTENTIONBLOCKS_H
#define LATHE_KERNELS_ATTENTIONBLOCKS_H

#include "dialects/Graph/IR/Graph.h"

namespace lathe::kernels {

/// What a table is made for.
struct AttentionBlocksRequest {
  graph::BlockListAttr list;
  int64_t lanes;    ///< Queries of one program.
  int64_t keys;     ///< Keys of a whole block: a multiple of `edgeKeys`.
  int64_t edgeKeys; ///< Keys of a block that is masked.
  /// Whole blocks begin at multiples of `keys`, in which V^T is stored.
  bool isAligned;
  /// Number of keys, and of keys less queries; nothing if they are not known.
  std::optional<int64_t> numKeys, shift;
};

struct AttentionBlocks {
  /// i32 [pattern heads * (tiles + 1), 3]: for each tile of `lanes` queries the
  /// range of its whole entries, then the end of its masked ones. The last tile
  /// of each head is empty.
  mlir::DenseElementsAttr rows;
  /// i32 [entries, 2]: the first key, and a bit for each group of `groupLanes`
  /// queries that sees the block. All bits of whole entries are set. Tiles with
  /// equal entries share them.
  mlir::DenseElementsAttr entries;
  int64_t tiles = 0, groupLanes = 0;
  /// Masked entries end inside, too. Whole ones always do.
  bool isInside = true;
  /// Scores that are computed for one of each pattern head.
  int64_t scores = 0;
};

/// The largest size up to `most` that cuts blocks of `block` keys evenly.
int64_t getBlockPart(int64_t block, int64_t most);

/// Whether `lanes` queries have a bit for each of their groups.
bool canGroup(graph::BlockListAttr list, int64_t lanes);

/// `request.lanes` must be such that `canGroup`, and `request.edgeKeys` divide
/// the list's block.
AttentionBlocks makeAttentionBlocks(const AttentionBlocksRequest &request);

} // namespace lathe::kernels

#endif // LATHE_KERNELS_ATTENTIONBLOCKS_H
