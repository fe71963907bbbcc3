// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sparse patterns of attention that can be asked for by name:
//
//   s2:block=64,local=4,stride=16[,offset=0]
//     S2-Attention (systems.md [2]): a query block sees `local` blocks up to
//     its own, and every `stride`-th block; which ones differs from head to
//     head, so that all heads together see everything. Head h of H sees the
//     blocks j with (j + h * max(1, stride / H) + offset) mod stride = 0.
//   window:block=64,local=8[,sink=1]
//     `local` blocks up to its own, and the first `sink` blocks (StreamingLLM,
//     arXiv 2309.17453).
//
// Under a causal attention, both are causal, within the blocks too. Else a
// query block also sees `local - 1` blocks after its own. Query heads that
// share a key head share its pattern.

#ifndef LATHE_DIALECTS_GRAPH_TRANSFORMS_ATTENTIONPATTERN_H
#define LATHE_DIALECTS_GRAPH_TRANSFORMS_ATTENTIONPATTERN_H

#include "dialects/Graph/Transforms/MaskBlocks.h"
#include "llvm/Support/Error.h"

namespace lathe::graph {

struct AttentionPattern {
  enum class Kind { S2, Window };

  Kind kind = Kind::Window;
  int64_t block = 64; ///< Positions of a block.
  int64_t local = 1;
  int64_t stride = 1, offset = 0; ///< S2.
  int64_t sink = 0;               ///< Window.

  /// Reads the form above. An error says what is allowed.
  static llvm::Expected<AttentionPattern> parse(llvm::StringRef text);

  /// Whether query block `row` of head `head` of `heads` sees block `column`.
  bool isListed(int64_t head, int64_t heads, int64_t row, int64_t column,
                bool isCausal) const;
};

} // namespace lathe::graph

#endif // LATHE_DIALECTS_GRAPH_TRANSFORMS_ATTENTIONPATTERN_H
