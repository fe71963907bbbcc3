// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which linear weight is stored how: one format for all of them, or a file.
//
//   keep                        as the model says
//   int8[:GROUP][:float]        #graph.int8, groups of at most 384 unless said:
//                               as few as cover k, of one size
//   int4[:GROUP][:zeros][:float]  #graph.int4, of 128 unless said; with zero
//                               points
//   ternary[:GROUP][:float]     #graph.ternary, one scale unless there are
//                               groups
//   block4x1[:DENSITY][:float]    #graph.block of 4 columns by one k, also 8
//                                 and 16; DENSITY of them are kept, unless said
//                                 all that are not zero
//
// `float` leaves inputs as they are, and products are taken in floats (of f32
// values in blocks); without it inputs are quantized at run time and products
// are integer. A file has a layer pattern and a format a line, `#` begins a
// comment:
//
//   # The last layer is sensitive.
//   */layer.5/*      int8
//   *                int4:64:zeros
//
// Patterns are those of file names (`*`, `?`, `[a-z]`), matched against each
// name of the layer's nodes in the model. The first line that matches decides;
// layers that none matches keep their weights.

#ifndef LATHE_DIALECTS_GRAPH_TRANSFORMS_WEIGHTPLAN_H
#define LATHE_DIALECTS_GRAPH_TRANSFORMS_WEIGHTPLAN_H

#include "dialects/Graph/IR/Graph.h"
#include "llvm/Support/GlobPattern.h"
#include <memory>

namespace lathe::graph {

/// How one weight is stored and multiplied.
struct WeightFormat {
  enum class Kind { Keep, Int8, Int4, Ternary, Block };

  Kind kind = Kind::Keep;
  /// Elements of k that share a scale, here and in inputs, if that is said.
  std::optional<int64_t> group;
  bool hasGroups = true; ///< Else all weights of a layer share one.
  bool hasZeros = false;
  bool quantizesInputs = true;
  int64_t blockSize = 4; ///< Columns of a block.
  double density = 1.0;  ///< The share of blocks that are kept.

  /// Reads one of the forms above. An error says what is allowed.
  static llvm::Expected<WeightFormat> parse(llvm::StringRef text);

  /// `group`, or what stands for it where a column is `k` long.
  int64_t getGroup(int64_t k) const;
  /// The encoding of a weight whose columns, `k` long, lie along `axis`; null
  /// for "keep".
  mlir::Attribute getEncoding(mlir::MLIRContext *context, int64_t axis,
                              int64_t k) const;
  /// The quantizer of its inputs, `k` to a row; null for none.
  mlir::Attribute getQuantizer(mlir::MLIRContext *context, int64_t k) const;

private:
  /// Reads one of the words after the encoding's name; the error says why it
  /// is none.
  llvm::Error parseWord(llvm::StringRef word, llvm::StringRef name);
};

class WeightPlan {
public:
  struct Rule {
    llvm::GlobPattern pattern;
    WeightFormat format;
    std::string text;  ///< The pattern as written.
    unsigned line = 0; ///< 0: not from a file.
  };

  /// Reads a format or, if it is none, the plan in a file of that name. Errors
  /// name the line.
  static llvm::Expected<WeightPlan> read(llvm::StringRef formatOrFile);

  /// Reads the text of a plan; `path` is for errors.
  static llvm::Expected<WeightPlan> parse(llvm::StringRef path,
                                          llvm::StringRef text);

  llvm::ArrayRef<Rule> getRules() const { return rules; }
  llvm::StringRef getPath() const { return path; }

private:
  std::string path;
  /// What the patterns refer to.
  std::shared_ptr<const std::string> text;
  std::vector<Rule> rules;
};

} // namespace lathe::graph

#endif // LATHE_DIALECTS_GRAPH_TRANSFORMS_WEIGHTPLAN_H
