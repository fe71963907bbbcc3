// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Matrix products and Einsum.

#include "lib/Frontend/Onnx/NodeImporter.h"
#include "llvm/ADT/Sequence.h"
#include "llvm/ADT/StringExtras.h"

using namespace lathe;
using namespace lathe::onnx;
using namespace mlir;

static LogicalResult importMatMul(NodeImporter &node) {
  if (failed(node.checkRank(0, 1, kAnyCount)) ||
      failed(node.checkRank(1, 1, kAnyCount)))
    return failure();
  return node.set(node.b.matmul(node.in(0), node.in(1)));
}

static LogicalResult importGemm(NodeImporter &node) {
  GraphBuilder &b = node.b;
  if (failed(node.checkRank(0, 2, 2)) || failed(node.checkRank(1, 2, 2)))
    return failure();
  auto transposed = [&](StringRef name, Value value) {
    return node.getInt(name, 0) != 0 ? b.transpose(value, {1, 0}) : value;
  };
  auto scaled = [&](StringRef name, Value value) {
    double factor = node.getFloat(name, 1.0);
    return factor == 1.0 ? value : b.mul(value, b.scalarLike(value, factor));
  };
  node.ignore({"broadcast"});
  Value y = scaled("alpha", b.matmul(transposed("transA", node.in(0)),
                                     transposed("transB", node.in(1))));
  Value c = node.in(2);
  double beta = node.getFloat("beta", 1.0);
  if (c && beta != 0.0)
    y = b.add(y, scaled("beta", c));
  return node.set(y);
}

//===-- Einsum ------------------------------------------------------------===//
//
// An equation is brought to two operands at a time. Each operand becomes
// [batch, kept, summed]: labels of both that stay, labels of one side, labels
// of both that are summed. Labels are characters; the dims of an ellipsis get
// characters from 128 on, from the right.

namespace {
using Labels = std::string;

struct Operand {
  Value value;
  Labels labels; ///< One per dim, no repetition.
};

class EinsumImporter {
public:
  explicit EinsumImporter(NodeImporter &node) : node(node), b(node.b) {}
  LogicalResult import();

private:
  LogicalResult parse(std::string equation);
  LogicalResult parseTerm(StringRef term, int64_t rank, Labels &labels);
  Operand takeDiagonals(Value value, Labels labels);
  /// Sums the labels of `x` that `keep` does not have.
  Operand sumExcept(Operand x, StringRef keep);
  Operand contract(const Operand &x, const Operand &y, StringRef keep);
  /// `x` with its labels in this order and as [sizes...] of `groups`.
  Value arrange(const Operand &x, ArrayRef<Labels> groups);
  AffineExpr sizeOf(char label) { return sizes[label]; }

  NodeImporter &node;
  GraphBuilder &b;
  SmallVector<Operand> operands;
  Labels result;
  llvm::DenseMap<unsigned char, AffineExpr> sizes;
};
} // namespace

static bool has(StringRef labels, char label) { return labels.contains(label); }

LogicalResult EinsumImporter::parseTerm(StringRef term, int64_t rank,
                                        Labels &labels) {
  size_t dots = term.find("...");
  int64_t named = term.size() - (dots == StringRef::npos ? 0 : 3);
  int64_t hidden = dots == StringRef::npos ? 0 : rank - named;
  if (hidden < 0 || hidden > 64 || named + hidden != rank)
    return node.invalid("equation term '" + term + "' does not fit rank " +
                        Twine(rank));
  for (size_t i = 0; i < term.size(); ++i) {
    if (i == dots) {
      for (int64_t dim = 0; dim < hidden; ++dim)
        labels.push_back(char(128 + hidden - 1 - dim));
      i += 2;
    } else if (llvm::isAlpha(term[i])) {
      labels.push_back(term[i]);
    } else {
      return node.invalid("equation term '" + term +
                          "' may hold letters and one ellipsis only");
    }
  }
  return success();
}

LogicalResult EinsumImporter::parse(std::string equation) {
  llvm::erase(equation, ' ');
  auto [left, right] = StringRef(equation).split("->");
  bool isExplicit = StringRef(equation).contains("->");
  SmallVector<StringRef> terms;
  left.split(terms, ',');
  if (terms.size() != node.getNumInputs())
    return node.invalid("equation '" + equation + "' has " +
                        Twine(terms.size()) + " terms for " +
                        Twine(node.getNumInputs()) + " inputs");
  std::map<unsigned char, int> uses;
  size_t hidden = 0;
  for (auto [term, input] : llvm::zip_equal(terms, node.getInputs())) {
    Labels labels;
    if (failed(parseTerm(term, b.getRank(input), labels)))
      return failure();
    for (auto [dim, label] : llvm::enumerate(labels)) {
      ++uses[label];
      AffineExpr size = b.getDim(input, dim);
      AffineExpr &known = sizes[label];
      auto one = known ? dyn_cast<AffineConstantExpr>(known) : nullptr;
      if (!known || (one && one.getValue() == 1))
        known = size;
      hidden = std::max<size_t>(
          hidden, (unsigned char)label >= 128 ? label - char(128) + 1 : 0);
    }
    operands.push_back(takeDiagonals(input, labels));
  }
  if (isExplicit)
    return parseTerm(
        right, hidden + right.size() - (right.contains("...") ? 3 : hidden),
        result);
  for (size_t i = hidden; i-- > 0;)
    result.push_back(char(128 + i));
  for (auto [label, count] : uses)
    if (label < 128 && count == 1)
      result.push_back(label);
  return success();
}

/// A repeated label selects the diagonal: keep where the indices agree, sum.
Operand EinsumImporter::takeDiagonals(Value value, Labels labels) {
  for (size_t i = 0; i < labels.size(); ++i)
    for (size_t j = labels.size(); --j > i;) {
      if (labels[i] != labels[j])
        continue;
      int64_t rank = labels.size();
      Value hit = b.compare(Compare::eq, b.iota(b.getDim(value, i), i, rank),
                            b.iota(b.getDim(value, j), j, rank));
      Value kept = b.select(hit, value, b.scalarLike(value, 0.0));
      value = b.reduce(Reduction::sum, kept, j, false);
      labels.erase(j, 1);
    }
  return {value, labels};
}

Operand EinsumImporter::sumExcept(Operand x, StringRef keep) {
  SmallVector<int64_t> axes;
  Labels rest;
  for (auto [dim, label] : llvm::enumerate(x.labels))
    if (has(keep, label))
      rest.push_back(label);
    else
      axes.push_back(dim);
  if (axes.empty())
    return x;
  return {b.reduce(Reduction::sum, x.value, axes, false), rest};
}

Value EinsumImporter::arrange(const Operand &x, ArrayRef<Labels> groups) {
  SmallVector<int64_t> order;
  Dims dims, full;
  for (const Labels &group : groups) {
    Dims inGroup;
    for (char label : group) {
      order.push_back(x.labels.find(label));
      inGroup.push_back(sizeOf(label));
      full.push_back(sizeOf(label));
    }
    dims.push_back(b.product(inGroup));
  }
  // An ellipsis dim of one stands for any size.
  Value moved = b.broadcast(b.transpose(x.value, order), full);
  return b.reshape(moved, dims);
}

Operand EinsumImporter::contract(const Operand &x, const Operand &y,
                                 StringRef keep) {
  Labels batch, summed, left, right;
  for (char label : x.labels)
    (has(y.labels, label) ? has(keep, label) ? batch : summed : left)
        .push_back(label);
  for (char label : y.labels)
    if (!has(x.labels, label))
      right.push_back(label);
  Value product = b.matmul(arrange(x, {batch, left, summed}),
                           arrange(y, {batch, summed, right}));
  Labels labels = batch + left + right;
  Dims dims;
  for (char label : labels)
    dims.push_back(sizeOf(label));
  return {b.reshape(product, dims), labels};
}

LogicalResult EinsumImporter::import() {
  if (failed(parse(node.getString("equation", ""))))
    return failure();
  for (char label : result)
    if (!sizes.contains(label) || llvm::count(result, label) != 1)
      return node.invalid("the result's labels must each be a label of one "
                          "input at least, and differ");
  // From left to right; a label may be summed once no later operand has it.
  Operand sum = operands.front();
  for (size_t i = 0; i < operands.size(); ++i) {
    Labels keep = result;
    for (const Operand &later : ArrayRef(operands).drop_front(i + 1))
      keep += later.labels;
    if (i == 0) {
      sum = sumExcept(sum, keep);
      continue;
    }
    Labels both = keep + sum.labels;
    sum = contract(sum, sumExcept(operands[i], both), keep);
    sum = sumExcept(sum, keep);
  }
  SmallVector<int64_t> order;
  for (char label : result) {
    size_t dim = sum.labels.find(label);
    if (dim == Labels::npos)
      return node.invalid("equation is not consistent");
    order.push_back(dim);
  }
  return node.set(b.transpose(sum.value, order));
}

static LogicalResult importEinsum(NodeImporter &node) {
  return EinsumImporter(node).import();
}

ArrayRef<OpEntry> lathe::onnx::getContractionOps() {
  static constexpr OpEntry ops[] = {
      {"Einsum", 12, kNewest, 1, kAnyCount, Types::Number, importEinsum},
      {"Gemm", 7, kNewest, 2, 3, Types::Number, importGemm},
      {"MatMul", 1, kNewest, 2, 2, Types::Number, importMatMul},
  };
  return ops;
}
