// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention and rotary embedding of opset 23 and later.

#include "lib/Frontend/Onnx/NodeImporter.h"
#include <cmath>

using namespace lathe;
using namespace lathe::onnx;
using namespace mlir;

namespace {
/// One Attention node on its way to `graph.attention`.
class AttentionImporter {
public:
  explicit AttentionImporter(NodeImporter &node) : node(node), b(node.b) {}
  LogicalResult import();

private:
  LogicalResult readHeads();
  Value splitHeads(Value x, int64_t heads);
  void appendPast();
  Value makeMask();
  void hide(Value visible);
  LogicalResult addPositions(Value &mask);
  graph::WindowAttr getWindow() {
    return graph::WindowAttr::get(b.getContext(), left, right);
  }
  Value spellOut(Value mask, int64_t mode, Value &scores);

  NodeImporter &node;
  GraphBuilder &b;
  Value query, key, value;
  bool isFlat = false;           ///< [batch, length, heads * size].
  int64_t left = -1, right = -1; ///< The window that positions allow.
  double scale = 0.0, cap = 0.0;
  bool positionsInMask = false;
};
} // namespace

/// [batch, length, heads * size] to [batch, heads, length, size].
Value AttentionImporter::splitHeads(Value x, int64_t heads) {
  Dims d = b.getDims(x);
  AffineExpr size = graph::divideExactly(d[2], b.size(heads));
  size = size ? size : d[2].floorDiv(heads);
  return b.transpose(b.reshape(x, {d[0], d[1], b.size(heads), size}),
                     {0, 2, 1, 3});
}

LogicalResult AttentionImporter::readHeads() {
  for (unsigned i = 0; i < 3; ++i)
    if (failed(node.checkRank(i, 3, 4)) ||
        b.getRank(node.in(i)) != b.getRank(node.in(0)))
      return node.invalid("query, key and value must all have rank 3 or 4");
  isFlat = b.getRank(node.in(0)) == 3;
  query = node.in(0), key = node.in(1), value = node.in(2);
  int64_t heads = node.getInt("q_num_heads", 0);
  int64_t kvHeads = node.getInt("kv_num_heads", 0);
  if (!isFlat)
    return success();
  if (heads <= 0 || kvHeads <= 0)
    return node.invalid("inputs of rank 3 need positive 'q_num_heads' and "
                        "'kv_num_heads'");
  query = splitHeads(query, heads);
  key = splitHeads(key, kvHeads);
  value = splitHeads(value, kvHeads);
  return success();
}

void AttentionImporter::appendPast() {
  if (!node.hasInput(4) || !node.hasInput(5))
    return;
  key = b.concat({node.in(4), key}, 2);
  value = b.concat({node.in(5), value}, 2);
}

/// The mask input, its last dim padded to the number of keys.
Value AttentionImporter::makeMask() {
  Value mask = node.in(3);
  if (!mask)
    return {};
  int64_t rank = b.getRank(mask);
  auto have = dyn_cast<AffineConstantExpr>(b.getDim(mask, rank - 1));
  auto need = dyn_cast<AffineConstantExpr>(b.getDim(key, 2));
  if (!have || !need || have.getValue() == 1 ||
      have.getValue() >= need.getValue())
    return mask;
  SmallVector<int64_t> low(rank), high(rank);
  high.back() = need.getValue() - have.getValue();
  bool isBool = b.getElementType(mask).isInteger(1);
  Value fill = b.scalarLike(mask, isBool ? 0.0 : -INFINITY);
  return b.create<graph::PadOp>(b.getElementType(mask), mask, fill, low, high,
                                graph::PadMode::constant);
}

/// ONNX counts a query's position from the past's end (from the start without
/// a past), or from the end of the valid keys with `nonpad_kv_seqlen`;
/// `graph.window` aligns at the end of all keys. Where the two may differ the
/// window goes into the mask.
LogicalResult AttentionImporter::addPositions(Value &mask) {
  Type i64 = b.getI64Type();
  AffineExpr queries = b.getDim(query, 2), keys = b.getDim(key, 2);
  bool hasLengths = node.hasInput(6);
  AffineExpr past = node.hasInput(4) ? b.getDim(node.in(4), 2) : b.size(0);
  bool isAligned = !hasLengths && graph::isSameSize(keys, queries + past);
  bool hasWindow = left >= 0 || right >= 0;
  if (!hasLengths && (!hasWindow || isAligned))
    return success();
  Value column = b.iota(keys, 3, 4), visible;
  auto combine = [&](Value condition) {
    visible = visible ? b.binary<graph::AndOp>(visible, condition) : condition;
  };
  Value first = b.sizeValue(past);
  if (hasLengths) {
    Value lengths = b.cast(node.in(6), i64);
    Dims along(4, b.size(1));
    along[0] = b.getDim(lengths, 0);
    lengths = b.reshape(lengths, along);
    combine(b.compare(Compare::lt, column, lengths));
    first = b.sub(lengths, b.sizeValue(queries));
  }
  Value row = b.add(b.iota(queries, 2, 4), first);
  if (right >= 0)
    combine(b.compare(Compare::le, column, b.add(row, b.scalar(i64, right))));
  if (left >= 0)
    combine(b.compare(Compare::ge, column, b.sub(row, b.scalar(i64, left))));
  left = right = -1;
  if (!mask)
    mask = visible;
  else if (b.getElementType(mask).isInteger(1))
    mask = b.binary<graph::AndOp>(mask, visible);
  else
    mask = b.select(visible, mask, b.scalarLike(mask, -INFINITY));
  return success();
}

/// The computation in single ops, for f64 (`graph.attention` keeps scores in
/// f32) and for nodes whose score matrix is an output.
/// Rows without a visible key are zero.
Value AttentionImporter::spellOut(Value mask, int64_t mode, Value &scores) {
  Type type = b.getElementType(query);
  Dims k = b.getDims(key), q = b.getDims(query), v = b.getDims(value);
  auto repeat = [&](Value x, const Dims &d) {
    AffineExpr times = graph::divideExactly(q[1], d[1]);
    if (graph::isSameSize(q[1], d[1]) || !times)
      return x;
    Value wide = b.broadcast(b.reshape(x, {d[0], d[1], b.size(1), d[2], d[3]}),
                             {d[0], d[1], times, d[2], d[3]});
    return b.reshape(wide, {d[0], q[1], d[2], d[3]});
  };
  Value logits = b.matmul(query, b.transpose(repeat(key, k), {0, 1, 3, 2}));
  logits = b.mul(logits, b.scalar(type, scale));
  scores = logits;
  if (cap != 0.0) {
    Value bent = b.unary<graph::TanhOp>(b.div(logits, b.scalar(type, cap)));
    logits = b.mul(bent, b.scalar(type, cap));
  }
  if (mode == 1)
    scores = logits;
  Value low = b.scalar(type, -INFINITY);
  if (left >= 0 || right >= 0) {
    AffineExpr queries = q[2], keys = k[2];
    Value distance =
        b.sub(b.iota(keys, 3, 4),
              b.add(b.iota(queries, 2, 4),
                    b.sub(b.sizeValue(keys), b.sizeValue(queries))));
    Type i64 = b.getI64Type();
    if (right >= 0)
      logits = b.select(b.compare(Compare::le, distance, b.scalar(i64, right)),
                        logits, low);
    if (left >= 0)
      logits = b.select(b.compare(Compare::ge, distance, b.scalar(i64, -left)),
                        logits, low);
  }
  if (mask)
    logits = b.getElementType(mask).isInteger(1)
                 ? b.select(mask, logits, low)
                 : b.add(logits, b.cast(mask, type));
  if (mode == 2)
    scores = logits;
  Value weights = b.create<graph::SoftmaxOp>(
      type, logits, b.getI64IntegerAttr(3), UnitAttr());
  Value top = b.reduce(Reduction::max, logits, 3, true);
  weights =
      b.select(b.compare(Compare::eq, top, low), b.scalar(type, 0.0), weights);
  if (mode == 3)
    scores = weights;
  return b.matmul(weights, repeat(value, v));
}

LogicalResult AttentionImporter::import() {
  node.ignore({"softmax_precision"}); // Statistics are f32 at least.
  if (failed(readHeads()))
    return failure();
  if (node.hasInput(4) != node.hasInput(5))
    return node.invalid("past_key and past_value must be given together");
  appendPast();
  if (!key || !value || !query)
    return failure();
  scale = node.getFloat("scale", 0.0);
  cap = node.getFloat("softcap", 0.0);
  left = node.getInt("left_window_size", -1);
  right = node.getInt("right_window_size", -1);
  if (node.getInt("is_causal", 0) != 0)
    right = right < 0 ? 0 : std::min<int64_t>(right, 0);
  int64_t mode = node.getInt("qk_matmul_output_mode", 0);
  auto headSize = dyn_cast<AffineConstantExpr>(b.getDim(query, 3));
  if (scale == 0.0 && (!headSize || headSize.getValue() <= 0))
    return node.unsupported("the head size must be known at compile time, or "
                            "'scale' given");
  if (scale == 0.0)
    scale = 1.0 / std::sqrt(double(headSize.getValue()));
  Value mask = makeMask(), scores;
  if (failed(addPositions(mask)))
    return failure();
  Value result;
  if (node.usesOutput(3) || b.getElementType(query).isF64()) {
    result = spellOut(mask, mode, scores);
  } else {
    graph::SelectionInterface selection =
        graph::DenseSelectionAttr::get(b.getContext());
    if (left >= 0 || right >= 0)
      selection = getWindow();
    auto score = graph::SoftmaxAttr::get(b.getContext(), scale, cap);
    result = b.create<graph::AttentionOp>(b.getElementType(query), query, key,
                                          value, mask, score, selection);
  }
  if (isFlat && result) {
    Dims d = b.getDims(result);
    result = b.reshape(b.transpose(result, {0, 2, 1, 3}),
                       {d[0], d[2], b.product({d[1], d[3]})});
  }
  SmallVector<Value> results = {result};
  if (node.getNumOutputs() > 1)
    results.append({key, value});
  if (node.usesOutput(3))
    results.push_back(scores);
  return node.set(results);
}

static LogicalResult importAttention(NodeImporter &node) {
  return AttentionImporter(node).import();
}

//===-- Rotary embedding --------------------------------------------------===//

/// Elements `start`, `start + step`, ... of the last dim.
static Value takeLast(GraphBuilder &b, Value x, int64_t start, int64_t count,
                      int64_t step) {
  Dims sizes = b.getDims(x), starts(sizes.size(), b.size(0));
  SmallVector<int64_t> steps(sizes.size(), 1);
  starts.back() = b.size(start);
  sizes.back() = b.size(count);
  steps.back() = step;
  return b.create<graph::SliceOp>(b.getElementType(x), x, b.map(starts),
                                  b.map(sizes), b.getDenseI64ArrayAttr(steps));
}

/// The cache rows of each position as [batch, length, 1, half].
static Value getAngles(NodeImporter &node, unsigned input) {
  GraphBuilder &b = node.b;
  Value cache = node.in(input);
  if (node.hasInput(3))
    cache = b.create<graph::GatherOp>(b.getElementType(cache), cache,
                                      b.cast(node.in(3), b.getI64Type()),
                                      b.getI64IntegerAttr(0));
  return b.unsqueeze(cache, 2);
}

static LogicalResult importRotary(NodeImporter &node) {
  GraphBuilder &b = node.b;
  Value x = node.in(0);
  Dims full = b.getDims(x);
  bool isFlat = full.size() == 3, interleaved = node.getInt("interleaved", 0);
  int64_t heads = node.getInt("num_heads", 0);
  if (failed(node.checkRank(0, 3, 4)))
    return failure();
  if (isFlat && heads <= 0)
    return node.invalid("an input of rank 3 needs a positive 'num_heads'");
  // [batch, length, heads, size]
  x = isFlat ? b.reshape(x, {full[0], full[1], b.size(heads),
                             full[2].floorDiv(heads)})
             : b.transpose(x, {0, 2, 1, 3});
  auto size = dyn_cast<AffineConstantExpr>(b.getDim(x, 3));
  if (!size)
    return node.unsupported("the head size must be known at compile time");
  int64_t rotated = node.getInt("rotary_embedding_dim", 0);
  rotated = rotated == 0 ? size.getValue() : rotated;
  if (rotated < 0 || rotated > size.getValue() || rotated % 2)
    return node.invalid("attribute 'rotary_embedding_dim' is " +
                        Twine(rotated) + "; allowed are even numbers up to " +
                        Twine(size.getValue()));
  int64_t half = rotated / 2, step = interleaved ? 2 : 1;
  Value cosine = getAngles(node, 1), sine = getAngles(node, 2);
  Value first = takeLast(b, x, 0, half, step);
  Value second = takeLast(b, x, interleaved ? 1 : half, half, step);
  Value real = b.sub(b.mul(cosine, first), b.mul(sine, second));
  Value imaginary = b.add(b.mul(sine, first), b.mul(cosine, second));
  if (!real || !imaginary)
    return failure();
  Value turned;
  if (interleaved) {
    Dims d = b.getDims(real);
    turned = b.concat({b.unsqueeze(real, 4), b.unsqueeze(imaginary, 4)}, 4);
    turned = b.reshape(turned, {d[0], d[1], d[2], b.size(rotated)});
  } else {
    turned = b.concat({real, imaginary}, 3);
  }
  if (rotated < size.getValue())
    turned = b.concat(
        {turned, takeLast(b, x, rotated, size.getValue() - rotated, 1)}, 3);
  return node.set(isFlat ? b.reshape(turned, full)
                         : b.transpose(turned, {0, 2, 1, 3}));
}

ArrayRef<OpEntry> lathe::onnx::getAttentionOps() {
  static constexpr OpEntry ops[] = {
      {"Attention", 23, kNewest, 3, 7, Types::Float, importAttention},
      {"RotaryEmbedding", 23, kNewest, 3, 4, Types::Float, importRotary},
  };
  return ops;
}
