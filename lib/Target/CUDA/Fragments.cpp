// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products by tensor cores: mma.sync on fragments (Layouts.h). An operand's
// fragments come from registers where it is computed from the sums of another
// product, whose layout is that of an operand, else by ldmatrix from its home.

#include "lib/Target/CUDA/Emitter.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::cuda;

/// Words of an operand that stay in registers over a loop.
static constexpr int64_t kMostWordsAhead = 32;

/// Words that one ldmatrix reads at most.
static constexpr int64_t kMostMatrices = 4;

/// Rows of a matrix that ldmatrix reads.
static constexpr int64_t kMatrixRows = 8;

std::optional<MatrixKind> lathe::cuda::getMatrixKind(tile::MmaOp op) {
  using Types = NVVM::MMATypes;
  RankedTensorType type = typeOf(op.getA());
  Type element = type.getElementType();
  // What is less deep would mostly be products of zeros.
  constexpr int64_t leastBytes = 16;
  if (type.getDimSize(1) * getMemoryBytes(element) < leastBytes)
    return std::nullopt;
  if (element.isF16())
    return MatrixKind{Types::f16, Types::f16, 2, false};
  if (element.isBF16())
    return MatrixKind{Types::bf16, Types::bf16, 2, false};
  if (element.isInteger(8))
    return MatrixKind{op.getUnsignedA() ? Types::u8 : Types::s8,
                      op.getUnsignedB() ? Types::u8 : Types::s8, 4, true};
  return std::nullopt;
}

LinearLayout Emitter::getSums(tile::MmaOp op) {
  ArrayRef<int64_t> shape = typeOf(op.getResult()).getShape();
  return getMatrixKind(op) ? getFragments(shape, warps, hasRowWork)
                           : getOuterProduct(shape, warps);
}

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

/// An operand of a product: words that are in registers, or a home.
struct Emitter::Operand {
  LinearLayout layout; ///< getOperandFragments.
  unsigned dim;        ///< Of the sums: 0 rows, 1 columns.
  int64_t perWord;
  Registers words = {}; ///< All of them, if any.
  Home home = {};

  unsigned getDepthDim() const { return 1 - dim; }
  int64_t getWords() const {
    return layout.getSize(LinearLayout::Register) / perWord;
  }
  /// Where a word's first element is, but for what the thread adds.
  LinearLayout::Position getPosition(int64_t word) const {
    return layout.applyRegister(word * perWord);
  }
};

/// Whether the tile's elements are where its fragments need them already.
bool Emitter::isInRegisters(Value tile, const LinearLayout &layout) {
  std::optional<LinearLayout> natural = getNatural(tile);
  SmallVector<int64_t> source;
  return natural && !isa_and_nonnull<tile::LoadOp>(tile.getDefiningOp()) &&
         natural->getRegisters(layout, source);
}

/// Elements of 4 bytes as one word; a pair that was rounded is rounded at once.
Value Emitter::packWord(ValueRange scalars) {
  SmallVector<Value> wide;
  for (Value scalar : scalars)
    if (auto rounded = scalar.getDefiningOp<arith::TruncFOp>();
        rounded && rounded.getIn().getType().isF32())
      wide.push_back(rounded.getIn());
  Value vector;
  if (wide.size() == scalars.size()) {
    auto type = VectorType::get({int64_t(wide.size())}, scalars[0].getType());
    vector = arith::TruncFOp::create(b, type, gpu::packVector(b, wide));
  } else {
    vector = gpu::packVector(b, scalars);
  }
  return LLVM::BitcastOp::create(b, b.getI32Type(), vector);
}

Registers Emitter::packWords(Value tile, unsigned kDim,
                             const LinearLayout &layout,
                             const MatrixKind &kind) {
  RankedTensorType type = typeOf(tile);
  Registers values = get(tile, layout.within(type.getShape()));
  // Both operands are zero where only the instruction has products.
  int64_t depth = type.getDimSize(kDim);
  if (depth % kind.getDepth()) {
    Value thread = getThreadPosition(layout, kDim);
    Value zero = arith::ConstantOp::create(
        b, cast<TypedAttr>(b.getZeroAttr(type.getElementType())));
    for (auto [reg, value] : llvm::enumerate(values)) {
      Value at = indexValue({thread, layout.applyRegister(reg)[kDim]});
      Value isInside =
          arith::CmpIOp::create(b, arith::CmpIPredicate::ult, at, index(depth));
      value = arith::SelectOp::create(b, isInside, value, zero);
    }
  }
  Registers words;
  for (size_t i = 0; i < values.size(); i += kind.perWord)
    words.push_back(packWord(ArrayRef(values).slice(i, kind.perWord)));
  return words;
}

/// `count` words from `first` on, which is a multiple of it: by as many
/// ldmatrix as that takes. A matrix has 8 rows of 16 bytes, whose addresses 8
/// lanes give; each lane gets a word of a row, or, transposed, the two elements
/// that stand below each other in a column.
Registers Emitter::readMatrices(const Operand &operand, int64_t first,
                                int64_t count) {
  using In = LinearLayout::In;
  const Home &home = operand.home;
  unsigned kDim = operand.getDepthDim();
  bool isTransposed = home.strides[kDim] != 1;
  ArrayRef<LinearLayout::Position> lanes = operand.layout.getBases(In::Lane);
  ArrayRef<LinearLayout::Position> own = operand.layout.getBases(In::Register);
  // The lanes that give a row's address, by what they move along.
  LinearLayout rows(2);
  if (isTransposed)
    rows.addBasis(In::Lane, own[0])
        .addBasis(In::Lane, lanes[0])
        .addBasis(In::Lane, lanes[1]);
  else
    for (unsigned bit = 2; bit < 5; ++bit)
      rows.addBasis(In::Lane, lanes[bit]);
  int64_t each = std::min(count, kMostMatrices);
  unsigned wordBits = llvm::Log2_64(operand.perWord);
  for (int64_t word = 1; word < kMostMatrices; word *= 2)
    if (word < each)
      rows.addBasis(In::Lane, own[wordBits++]);
    else
      rows.addRepeats(In::Lane, 1);
  for (const LinearLayout::Position &basis : operand.layout.getBases(In::Warp))
    rows.addBasis(In::Warp, basis);

  Value thread = getHomeThread(home, rows);
  Type word = b.getI32Type();
  Type type = LLVM::LLVMStructType::getLiteral(b.getContext(),
                                               SmallVector<Type>(each, word));
  auto shape =
      NVVM::LdStMatrixShapeAttr::get(b.getContext(), kMatrixRows, kMatrixRows);
  Registers words;
  for (int64_t i = first; i < first + count; i += each) {
    Value at =
        getHomePointer(home, thread, home.getOffset(operand.getPosition(i)));
    Value read = NVVM::LdMatrixOp::create(b, type, at, each,
                                          isTransposed ? NVVM::MMALayout::col
                                                       : NVVM::MMALayout::row,
                                          shape, NVVM::LdStMatrixEltType::B16);
    for (int64_t j = 0; j < each; ++j)
      words.push_back(LLVM::ExtractValueOp::create(b, read, j));
  }
  return words;
}

Emitter::Operand Emitter::getOperand(tile::MmaOp op, unsigned dim,
                                     const MatrixKind &kind) {
  Value tile = dim == 0 ? op.getA() : op.getB();
  RankedTensorType type = typeOf(tile);
  Operand operand;
  operand.dim = dim;
  operand.perWord = kind.perWord;
  unsigned kDim = operand.getDepthDim();
  operand.layout = getOperandFragments(getSums(op), dim, type.getDimSize(kDim),
                                       kind.perWord);
  for (Scope &scope : scopes)
    for (auto &[value, its, words] : scope.words)
      if (value == tile && its == operand.layout)
        operand.words = words;
  if (!operand.words.empty())
    return operand;
  if (isInRegisters(tile, operand.layout.within(type.getShape())))
    operand.words = packWords(tile, kDim, operand.layout, kind);
  else
    operand.home = getMatrixHome(tile, kDim, kind);
  return operand;
}

/// Fragments of what a loop does not change are read before it where they are
/// few.
void Emitter::readAhead(tile::MmaOp op, unsigned dim, const MatrixKind &kind) {
  Mark mark = getMark();
  Operand operand = getOperand(op, dim, kind);
  if (operand.words.empty()) {
    if (operand.getWords() > kMostWordsAhead)
      return;
    beforeRead();
    int64_t steps = llvm::divideCeil(
        typeOf(dim == 0 ? op.getA() : op.getB()).getDimSize(1 - dim),
        kind.getDepth());
    int64_t each = operand.getWords() / int64_t(llvm::PowerOf2Ceil(steps));
    for (int64_t step = 0; step < steps; ++step)
      llvm::append_range(operand.words,
                         readMatrices(operand, step * each, each));
    release(mark);
  }
  scopes.back().words.emplace_back(dim == 0 ? op.getA() : op.getB(),
                                   operand.layout, operand.words);
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// One instruction: four sums, four words of A, two of B.
static void multiply(ImplicitLocOpBuilder &b, const MatrixKind &kind,
                     MutableArrayRef<Value> sums, ArrayRef<Value> a,
                     ArrayRef<Value> c) {
  auto pair = VectorType::get({2}, b.getF16Type());
  auto cast = [&](ArrayRef<Value> words) {
    SmallVector<Value> result(words);
    if (kind.a == NVVM::MMATypes::f16)
      for (Value &word : result)
        word = LLVM::BitcastOp::create(b, pair, word);
    return result;
  };
  Type type = LLVM::LLVMStructType::getLiteral(
      b.getContext(), SmallVector<Type>(sums.size(), sums[0].getType()));
  std::optional<NVVM::MMAIntOverflow> overflow;
  if (kind.isInteger)
    overflow = NVVM::MMAIntOverflow::wrapped;
  Value result = NVVM::MmaOp::create(
      b, type, cast(a), cast(c), sums,
      ArrayRef<int64_t>{16, 8, kind.getDepth()}, std::nullopt, overflow,
      std::array<NVVM::MMATypes, 2>{kind.a, kind.b},
      std::array<NVVM::MMALayout, 2>{NVVM::MMALayout::row,
                                     NVVM::MMALayout::col});
  for (auto [i, sum] : llvm::enumerate(sums))
    sum = LLVM::ExtractValueOp::create(b, result, i);
}

/// Adds the products to sums in the layout of fragments.
Registers Emitter::multiplyFragments(tile::MmaOp op, const MatrixKind &kind,
                                     Operand &a, Operand &c, Registers sums) {
  constexpr int64_t wordsOfA = 4, wordsOfB = 2, sumsOf = 4;
  RankedTensorType left = typeOf(op.getA()), right = typeOf(op.getB());
  int64_t steps = llvm::divideCeil(left.getDimSize(1), kind.getDepth());
  int64_t allSteps = int64_t(llvm::PowerOf2Ceil(steps));
  int64_t rows = a.getWords() / allSteps / wordsOfA;
  int64_t columns = c.getWords() / allSteps / wordsOfB;
  for (int64_t step = 0; step < steps; ++step) {
    auto wordsOf = [&](Operand &operand, int64_t count) {
      if (operand.words.empty())
        return readMatrices(operand, step * count, count);
      return Registers(ArrayRef(operand.words).slice(step * count, count));
    };
    Registers x = wordsOf(a, rows * wordsOfA);
    Registers y = wordsOf(c, columns * wordsOfB);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        // Blocks beyond the tile.
        if (a.getPosition(i * wordsOfA)[0] >= left.getDimSize(0) ||
            c.getPosition(j * wordsOfB)[1] >= right.getDimSize(1))
          continue;
        multiply(
            b, kind,
            MutableArrayRef(sums).slice((i * columns + j) * sumsOf, sumsOf),
            ArrayRef(x).slice(i * wordsOfA, wordsOfA),
            ArrayRef(y).slice(j * wordsOfB, wordsOfB));
      }
  }
  return sums;
}

LogicalResult Emitter::emitFragments(tile::MmaOp op, const MatrixKind &kind) {
  LinearLayout layout = getSums(op);
  SmallVector<int64_t> source;
  LinearLayout own = layout.withoutRepeatedRegisters(source);
  Registers held = get(op.getAcc(), own), sums;
  for (int64_t from : source)
    sums.push_back(held[from]);
  Mark mark = getMark();
  Operand a = getOperand(op, 0, kind), c = getOperand(op, 1, kind);
  if (a.words.empty() || c.words.empty())
    beforeRead();
  sums = multiplyFragments(op, kind, a, c, sums);
  release(mark);
  for (size_t reg = sums.size(); reg-- > 0;)
    held[source[reg]] = sums[reg];
  anchor(op.getResult(), own, held);
  return success();
}
