// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Weights that are decoded to f16 or bf16 for a product, two of them at a time
// in one register. Decodes are written in f32 and round once, at the end. Where
// everything before the last multiplication is exact in the narrow type, too,
// that multiplication rounds the same product in the same way:
//
//   truncf(mulf(subf(uitofp(codes), 8.0), scale)) of f32
//     = (codes - 8) * scale of bf16, if codes and scales are bf16 numbers
//
// and small integers become floats without a conversion: the bits of a code,
// or-ed into the mantissa of 2^m whose last bit stands for one, are 2^m plus
// the code (128 + c in bf16, 1024 + c in f16); what is subtracted then is
// joined with 2^m. What has another form is computed in f32, as elsewhere.
//
// The instructions are those of compute capability 9.0.

#include "lib/Target/CUDA/Emitter.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::cuda;

/// What is computed, and where.
struct Emitter::PairContext {
  Type element; ///< f16 or bf16.
  unsigned kDim;
  const LinearLayout &layout;

  int64_t getWords() const {
    return layout.getSize(LinearLayout::Register) / 2;
  }
  /// Bits of the mantissa that are stored.
  unsigned getMantissa() const { return element.isBF16() ? 7 : 10; }
  /// The number whose mantissa's last bit stands for one.
  int64_t getMagic() const { return int64_t(1) << getMantissa(); }
};

//===----------------------------------------------------------------------===//
// Words
//===----------------------------------------------------------------------===//

static Value inlinePTX(ImplicitLocOpBuilder &b, StringRef text,
                       StringRef constraints, ValueRange operands) {
  return LLVM::InlineAsmOp::create(
             b, b.getI32Type(), operands, text, constraints,
             /*has_side_effects=*/false, /*is_align_stack=*/false,
             LLVM::TailCallKind::None,
             LLVM::AsmDialectAttr::get(b.getContext(),
                                       LLVM::AsmDialect::AD_ATT),
             /*operand_attrs=*/ArrayAttr())
      ->getResult(0);
}

static Value getWord(ImplicitLocOpBuilder &b, int64_t bits) {
  return arith::ConstantOp::create(
      b, b.getI32IntegerAttr(static_cast<int32_t>(bits)));
}

/// The bits of `value` as a narrow float, twice; nothing if it is none.
static std::optional<int64_t> getPairBits(Type element, double value) {
  llvm::APFloat number(value);
  bool isLost = false;
  number.convert(cast<FloatType>(element).getFloatSemantics(),
                 llvm::APFloat::rmNearestTiesToEven, &isLost);
  if (isLost)
    return std::nullopt;
  int64_t bits = int64_t(number.bitcastToAPInt().getZExtValue());
  return bits | bits << 16;
}

static Value combinePairs(ImplicitLocOpBuilder &b, StringRef op, Type element,
                          Value x, Value y) {
  std::string text =
      (op + ".rn." + (element.isF16() ? "f16x2" : "bf16x2") + " $0, $1, $2;")
          .str();
  return inlinePTX(b, text, "=r,r,r", {x, y});
}

/// Both halves the same number.
static Value repeat(ImplicitLocOpBuilder &b, Value scalar) {
  Value bits = LLVM::BitcastOp::create(b, b.getI16Type(), scalar);
  Value word = arith::ExtUIOp::create(b, b.getI32Type(), bits);
  Value high = arith::ShLIOp::create(b, word, getWord(b, 16));
  return arith::OrIOp::create(b, word, high);
}

static std::optional<double> getSplat(Value tile) {
  DenseFPElementsAttr value;
  if (!matchPattern(tile, m_Constant(&value)) || !value.isSplat())
    return std::nullopt;
  return value.getSplatValue<APFloat>().convertToDouble();
}

//===----------------------------------------------------------------------===//
// Codes
//===----------------------------------------------------------------------===//

namespace {
/// Some bits of a tile of bytes.
struct Bits {
  Value bytes;
  unsigned from = 0, count = 8;
};
} // namespace

/// What `andi(shrui(bytes, s), 2^n - 1)` and parts of it are.
static Bits getBits(Value tile) {
  Bits bits{tile};
  auto getConstant = [](Value value) -> std::optional<uint64_t> {
    DenseIntElementsAttr number;
    if (!matchPattern(value, m_Constant(&number)) || !number.isSplat())
      return std::nullopt;
    return number.getSplatValue<APInt>().getZExtValue();
  };
  unsigned most = 8;
  if (auto op = bits.bytes.getDefiningOp<arith::AndIOp>())
    if (auto mask = getConstant(op.getRhs()); mask && llvm::isMask_64(*mask)) {
      most = unsigned(llvm::countr_one(*mask));
      bits.bytes = op.getLhs();
    }
  if (auto op = bits.bytes.getDefiningOp<arith::ShRUIOp>())
    if (auto count = getConstant(op.getRhs()); count && *count < 8) {
      bits.from = unsigned(*count);
      bits.bytes = op.getLhs();
    }
  bits.count = std::min(most, 8 - bits.from);
  return bits;
}

/// Bytes that are neighbors along k, in the low bytes of both halves of words.
Registers Emitter::getCodePairs(Value codes, const PairContext &context) {
  Registers words;
  auto it = anchors.find(codes);
  bool isHome = it != anchors.end() && it->second.home &&
                it->second.home->strides[context.kDim] == 1;
  if (!isHome) {
    Registers scalars = get(codes, context.layout);
    for (int64_t i = 0; i < context.getWords(); ++i) {
      Value low = arith::ExtUIOp::create(b, b.getI32Type(), scalars[2 * i]);
      Value high =
          arith::ExtUIOp::create(b, b.getI32Type(), scalars[2 * i + 1]);
      high = arith::ShLIOp::create(b, high, getWord(b, 16));
      words.push_back(arith::OrIOp::create(b, low, high));
    }
    return words;
  }
  const Home home = *it->second.home;
  Value thread = getHomeThread(home, context.layout);
  for (int64_t i = 0; i < context.getWords(); ++i) {
    int64_t offset = home.getOffset(context.layout.applyRegister(2 * i));
    Value from = getHomePointer(home, thread, offset);
    Registers pair = machine.load(b, from, b.getI16Type(), 1, /*alignment=*/2);
    Value word = arith::ExtUIOp::create(b, b.getI32Type(), pair[0]);
    // Bytes 0 and 1 of the word, each before a zero.
    words.push_back(inlinePTX(b, "prmt.b32 $0, $1, 0, 0x4140;", "=r,r", word));
  }
  return words;
}

/// Integers that become floats, minus `bias`: exact where both are small.
std::optional<Registers> Emitter::getWholePairs(Value tile, double bias,
                                                const PairContext &context) {
  int64_t magic = context.getMagic();
  if (auto op = tile.getDefiningOp<arith::SubFOp>()) {
    auto splat = getSplat(op.getRhs());
    if (splat && *splat == std::floor(*splat))
      return getWholePairs(op.getLhs(), bias + *splat, context);
    return std::nullopt;
  }
  Operation *op = tile.getDefiningOp();
  if (!isa_and_nonnull<arith::UIToFPOp, arith::SIToFPOp>(op) ||
      !getElementTypeOrSelf(op->getOperand(0)).isInteger(8))
    return std::nullopt;
  Bits bits = getBits(op->getOperand(0));
  bool isSigned = isa<arith::SIToFPOp>(op) && bits.count == 8;
  if (isSigned)
    bias += 128;
  auto subtracted = getPairBits(context.element, double(magic) + bias);
  if (bits.count > context.getMantissa() || std::abs(bias) > double(magic) ||
      !subtracted)
    return std::nullopt;
  int64_t mask = (int64_t(1) << bits.count) - 1;
  Registers words = getCodePairs(bits.bytes, context);
  for (Value &word : words) {
    if (bits.from)
      word = arith::ShRUIOp::create(b, word, getWord(b, bits.from));
    if (isSigned)
      word = arith::XOrIOp::create(b, word, getWord(b, 0x00800080));
    // word & mask | magic. Of two numbers, ptxas makes two instructions.
    word =
        inlinePTX(b, "lop3.b32 $0, $1, $2, $3, 0xEA;", "=r,r,r,r",
                  {word, getWord(b, mask | mask << 16),
                   getWord(b, *getPairBits(context.element, double(magic)))});
    word =
        combinePairs(b, "sub", context.element, word, getWord(b, *subtracted));
  }
  return words;
}

//===----------------------------------------------------------------------===//
// Floats
//===----------------------------------------------------------------------===//

/// Whether a tile repeats one of a number for each column, and which one.
static Value getRepeated(Value tile, unsigned kDim) {
  auto op = tile.getDefiningOp<tile::BroadcastOp>();
  if (op && !llvm::is_contained(op.getDims(), int64_t(kDim)))
    return op.getInput();
  return {};
}

/// A tile of f32 whose elements are narrow floats; nothing if they may not be.
std::optional<Registers> Emitter::getExactPairs(Value tile,
                                                const PairContext &context) {
  if (Value input = getRepeated(tile, context.kDim)) {
    auto dims = tile.getDefiningOp<tile::BroadcastOp>().getDims();
    LinearLayout layout = context.layout.project(dims);
    Registers scalars;
    if (auto widened = input.getDefiningOp<arith::ExtFOp>();
        widened && getElementTypeOrSelf(widened.getIn()) == context.element) {
      scalars = get(widened.getIn(), layout);
    } else if (auto zeros = input.getDefiningOp<arith::UIToFPOp>();
               zeros && context.getMantissa() >= 7 &&
               getElementTypeOrSelf(zeros.getIn()).isInteger(8)) {
      // Bytes are exact in both types.
      scalars = get(input, layout);
      for (Value &scalar : scalars)
        scalar = arith::TruncFOp::create(b, context.element, scalar);
    } else {
      return std::nullopt;
    }
    DenseMap<Value, Value> known;
    Registers words;
    for (int64_t i = 0; i < context.getWords(); ++i) {
      Value &word = known[scalars[2 * i]];
      if (!word)
        word = repeat(b, scalars[2 * i]);
      words.push_back(word);
    }
    return words;
  }
  if (auto words = getWholePairs(tile, 0, context))
    return words;
  // Differences of bytes: of what has lost more before, some are not exact.
  auto op = tile.getDefiningOp<arith::SubFOp>();
  if (!op || !getRepeated(op.getRhs(), context.kDim) ||
      !op.getLhs().getDefiningOp<arith::UIToFPOp>())
    return std::nullopt;
  Value input = getRepeated(op.getRhs(), context.kDim);
  auto left = getWholePairs(op.getLhs(), 0, context);
  if (!left || !input.getDefiningOp<arith::UIToFPOp>())
    return std::nullopt;
  auto right = getExactPairs(op.getRhs(), context);
  if (!right)
    return std::nullopt;
  for (auto [x, y] : llvm::zip_equal(*left, *right))
    x = combinePairs(b, "sub", context.element, x, y);
  return left;
}

/// Products in f32, rounded once.
Registers Emitter::multiplyPairs(const Registers &left, Value right,
                                 const PairContext &context) {
  Registers factors = get(right, context.layout), words;
  auto type = VectorType::get({2}, context.element);
  for (auto [i, word] : llvm::enumerate(left)) {
    Value pair = LLVM::BitcastOp::create(b, type, word);
    SmallVector<Value> products;
    for (int64_t half = 0; half < 2; ++half) {
      Value wide = arith::ExtFOp::create(b, b.getF32Type(),
                                         gpu::extractLane(b, pair, half));
      products.push_back(arith::MulFOp::create(b, wide, factors[2 * i + half]));
    }
    Value rounded =
        arith::TruncFOp::create(b, type, gpu::packVector(b, products));
    words.push_back(LLVM::BitcastOp::create(b, b.getI32Type(), rounded));
  }
  return words;
}

Registers Emitter::computePairs(Value tile, const PairContext &context) {
  auto rounded = tile.getDefiningOp<arith::TruncFOp>();
  if (rounded && getElementTypeOrSelf(rounded.getIn()).isF32()) {
    if (auto product = rounded.getIn().getDefiningOp<arith::MulFOp>()) {
      auto left = getExactPairs(product.getLhs(), context);
      if (left) {
        auto right = getExactPairs(product.getRhs(), context);
        if (!right)
          return multiplyPairs(*left, product.getRhs(), context);
        for (auto [x, y] : llvm::zip_equal(*left, *right))
          x = combinePairs(b, "mul", context.element, x, y);
        return *left;
      }
    }
    if (auto words = getExactPairs(rounded.getIn(), context))
      return *words;
  }
  Registers scalars = get(tile, context.layout), words;
  for (int64_t i = 0; i < context.getWords(); ++i)
    words.push_back(packWord(ArrayRef(scalars).slice(2 * i, 2)));
  return words;
}

void Emitter::anchorHome(Value tile, const Home &home) {
  anchors[tile] = {LinearLayout(typeOf(tile).getRank()), {}, home};
}

Registers Emitter::getPairs(Value tile, unsigned kDim,
                            const LinearLayout &layout) {
  bool reads = pendingReads, writes = pendingWrites;
  pendingReads = true, pendingWrites = false;
  PairContext context{getElementTypeOrSelf(tile), kDim, layout};
  Registers words = computePairs(tile, context);
  pendingReads = reads, pendingWrites = writes;
  return words;
}
