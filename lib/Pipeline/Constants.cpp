// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Pipeline/Constants.h"
#include "dialects/Graph/IR/Graph.h"
#include "lib/Encodings/Elements.h"
#include "lib/Kernels/Winograd.h"
#include "lib/Pipeline/Calibration.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>

using namespace mlir;
using namespace lathe;

/// Bytes of one stored element; `i1` is a byte.
static unsigned getElementBytes(Type element) {
  return llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
}

/// Puts the parts together: rows of each along the axis, in turn.
static llvm::Error concatenate(graph::ConcatAttr value,
                               SmallVectorImpl<char> &storage) {
  ShapedType type = value.getType();
  ArrayRef<int64_t> shape = type.getShape();
  int64_t width = getElementBytes(type.getElementType());
  int64_t axis = value.getAxis();
  int64_t outer = ShapedType::getNumElements(shape.take_front(axis));
  int64_t inner = ShapedType::getNumElements(shape.drop_front(axis + 1));
  int64_t stride = shape[axis] * inner * width;
  storage.resize_for_overwrite(outer * stride);
  char *to = storage.data();
  SmallVector<char, 0> part;
  for (ElementsAttr attr : value.getParts()) {
    llvm::Expected<ArrayRef<char>> bytes = getDenseBytes(attr, part);
    if (!bytes)
      return bytes.takeError();
    int64_t row = attr.getShapedType().getDimSize(axis) * inner * width;
    for (int64_t i = 0; i < outer; ++i)
      llvm::copy(bytes->slice(i * row, row), to + i * stride);
    to += row;
  }
  return llvm::Error::success();
}

llvm::Expected<ArrayRef<char>>
lathe::getDenseBytes(ElementsAttr value, SmallVectorImpl<char> &storage) {
  ShapedType type = value.getShapedType();
  unsigned width = getElementBytes(type.getElementType());
  size_t size = type.getNumElements() * width;
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(value)) {
    AsmResourceBlob *blob = resource.getRawHandle().getBlob();
    if (!blob || blob->getData().size() != size)
      return llvm::createStringError(
          "constant '%s' has %zu bytes, its type needs %zu",
          resource.getRawHandle().getKey().str().c_str(),
          blob ? blob->getData().size() : size_t(0), size);
    return blob->getData();
  }
  if (auto concat = dyn_cast<graph::ConcatAttr>(value)) {
    if (llvm::Error error = concatenate(concat, storage))
      return std::move(error);
    return ArrayRef<char>(storage);
  }
  auto dense = dyn_cast<DenseElementsAttr>(value);
  if (!dense)
    return llvm::createStringError("constant is neither dense nor a resource");
  // Attributes hold splats once and booleans as bits.
  storage.resize_for_overwrite(size);
  if (type.getElementType().isInteger(1)) {
    for (auto [i, bit] : llvm::enumerate(dense.getValues<bool>()))
      storage[i] = bit;
    return ArrayRef<char>(storage);
  }
  ArrayRef<char> raw = dense.getRawData();
  if (!dense.isSplat())
    return raw;
  for (size_t i = 0; i < size; i += width)
    std::memcpy(storage.data() + i, raw.data(), width);
  return ArrayRef<char>(storage);
}

namespace {
/// One loop of the packed order: how far the stored position counts, how far
/// the logical index of its dim moves.
struct PackLoop {
  int64_t count;
  unsigned dim;
  int64_t step;
};

/// Walks the stored order, keeping the logical index of every dim.
class Packer {
public:
  Packer(ArrayRef<char> dense, ArrayRef<int64_t> logical, unsigned width,
         plan::PackAttr pack, char *stored)
      : dense(dense.data()), logical(logical), width(width), stored(stored),
        index(logical.size(), 0), strides(logical.size(), 1) {
    for (size_t d = logical.size(); d-- > 1;)
      strides[d - 1] = strides[d] * logical[d];
    for (int64_t d : pack.getOuter()) {
      int64_t block = pack.getBlocks()[d];
      loops.push_back(
          {static_cast<int64_t>(llvm::divideCeil(logical[d], block)),
           static_cast<unsigned>(d), block});
    }
    for (int64_t d : pack.getInner())
      loops.push_back({pack.getBlocks()[d], static_cast<unsigned>(d), 1});
    // Loops that do not count cost time only.
    llvm::erase_if(loops, [](const PackLoop &loop) { return loop.count == 1; });
  }

  void run() { runLoop(0, 0); }

private:
  void runLoop(size_t level, int64_t source) {
    if (level == loops.size())
      return emit(source);
    PackLoop &loop = loops[level];
    int64_t start = index[loop.dim];
    int64_t advance = loop.step * strides[loop.dim];
    for (int64_t i = 0; i < loop.count; ++i, source += advance) {
      runLoop(level + 1, source);
      index[loop.dim] += loop.step;
    }
    index[loop.dim] = start;
  }

  void emit(int64_t source) {
    bool inside = true;
    for (auto [position, size] : llvm::zip_equal(index, logical))
      inside &= position < size;
    if (inside)
      std::memcpy(stored, dense + source * width, width);
    stored += width;
  }

  const char *dense;
  ArrayRef<int64_t> logical;
  unsigned width;
  char *stored;
  SmallVector<int64_t> index, strides;
  SmallVector<PackLoop> loops;
};
} // namespace

void lathe::packElements(ArrayRef<char> dense, ArrayRef<int64_t> logical,
                         unsigned elementBytes, plan::PackAttr pack,
                         SmallVectorImpl<char> &stored) {
  int64_t count = 1;
  for (int64_t dim : pack.getOuter())
    count *= llvm::alignTo(logical[dim], pack.getBlocks()[dim]);
  stored.assign(count * elementBytes, 0);
  Packer(dense, logical, elementBytes, pack, stored.data()).run();
}

/// Replaces the elements along `dim`, those of a filter, by its samples.
static void sampleFilters(const kernels::Winograd &winograd, unsigned dim,
                          SmallVectorImpl<int64_t> &shape,
                          std::vector<double> &values) {
  int64_t size = shape[dim], samples = winograd.getSamples();
  int64_t inner =
      ShapedType::getNumElements(ArrayRef(shape).drop_front(dim + 1));
  int64_t outer = ShapedType::getNumElements(ArrayRef(shape).take_front(dim));
  std::vector<double> sampled(outer * samples * inner);
  for (int64_t k = 0; k < size; ++k) {
    // What this element adds to each sample.
    SmallVector<double> unit(size, 0.0);
    unit[k] = 1.0;
    SmallVector<double> weights = winograd.transformFilter(unit);
    for (int64_t i = 0; i < outer; ++i)
      for (int64_t s = 0; s < samples; ++s)
        for (int64_t j = 0; j < inner; ++j)
          sampled[(i * samples + s) * inner + j] +=
              weights[s] * values[(i * size + k) * inner + j];
  }
  shape[dim] = samples;
  values = std::move(sampled);
}

/// The samples of f32 filters, computed in f64.
static void sampleFilters(ArrayRef<char> dense, ArrayRef<int64_t> logical,
                          ArrayRef<int64_t> winograd,
                          SmallVectorImpl<char> &samples) {
  std::vector<double> values(dense.size() / sizeof(float));
  for (auto [i, value] : llvm::enumerate(values)) {
    float element;
    std::memcpy(&element, &dense[i * sizeof(float)], sizeof(element));
    value = element;
  }
  SmallVector<int64_t> shape(logical);
  for (int64_t dim : winograd.drop_front())
    sampleFilters(kernels::Winograd(winograd.front()), dim, shape, values);
  samples.resize_for_overwrite(values.size() * sizeof(float));
  for (auto [i, value] : llvm::enumerate(values)) {
    float element = value;
    std::memcpy(&samples[i * sizeof(float)], &element, sizeof(element));
  }
}

/// |decoded - weight| / |weight|.
static double getRelativeError(Type element, ArrayRef<char> before,
                               ArrayRef<char> after) {
  double difference = 0.0, norm = 0.0;
  for (size_t i = 0; i < before.size(); i += getElementBytes(element)) {
    double x = loadElement(element, &before[i]);
    double y = loadElement(element, &after[i]);
    difference += (y - x) * (y - x);
    norm += x * x;
  }
  return norm == 0.0 ? 0.0 : std::sqrt(difference / norm);
}

/// Bits per element that programs read of the value of `op` in its encoding,
/// each of its buffers in each packing counted once, padding included.
static double getStoredBits(plan::ConstantOp op) {
  llvm::SmallSetVector<std::pair<Attribute, Attribute>, 8> seen;
  int64_t bytes = 0;
  auto add = [&](plan::ConstantOp other) {
    if (other.getValue() != op.getValue() ||
        other.getEncodingAttr() != op.getEncodingAttr() ||
        !seen.insert({other.getEncodedBufferAttr(), other.getPackAttr()}))
      return;
    int64_t count = 1;
    for (AffineExpr dim : other.getType().getDims().getResults())
      count *= cast<AffineConstantExpr>(dim).getValue();
    bytes += count * getElementBytes(other.getType().getElementType());
  };
  Block *programs = op->getParentOfType<plan::ProgramOp>()->getBlock();
  for (auto program : programs->getOps<plan::ProgramOp>())
    llvm::for_each(program.getBody().getOps<plan::ConstantOp>(), add);
  int64_t elements = op.getValue().getNumElements();
  return elements
             ? 8.0 * static_cast<double>(bytes) / static_cast<double>(elements)
             : 0.0;
}

void ConstantMaterializer::stateError(plan::ConstantOp op,
                                      ArrayRef<char> bytes) {
  auto encoding = cast<graph::EncodingInterface>(encodedWith);
  auto shape = cast<RankedTensorType>(op.getValue().getShapedType());
  auto type =
      RankedTensorType::get(shape.getShape(), shape.getElementType(), encoding);
  SmallVector<ArrayRef<char>> buffers(encoded.begin(), encoded.end());
  SmallVector<char, 0> decoded;
  if (llvm::Error error = encoding.unpack(type, buffers, decoded)) {
    emitWarning(op.getLoc())
        << "weight stored as " << encodedWith
        << " does not unpack: " << llvm::toString(std::move(error));
    return;
  }
  emitRemark(op.getLoc())
      << "weight stored as " << encodedWith
      << llvm::formatv(", {0:f2} bits an element, relative error {1:e2}",
                       getStoredBits(op),
                       getRelativeError(type.getElementType(), bytes, decoded))
             .str();
}

/// Fills `encoded`, by the moments of the layer's inputs where there are any.
llvm::Error ConstantMaterializer::encodeValue(plan::ConstantOp op,
                                              ArrayRef<char> bytes) {
  auto encoding = cast<graph::EncodingInterface>(*op.getEncoding());
  auto shape = cast<RankedTensorType>(op.getValue().getShapedType());
  auto logical =
      RankedTensorType::get(shape.getShape(), shape.getElementType(), encoding);
  ArrayRef<float> moments;
  std::optional<int64_t> columns = encoding.getColumnDim();
  if (calibration && columns && logical.getRank() == 2) {
    auto found =
        calibration->find(op.getLoc(), logical.getDimSize(1 - *columns));
    if (!found)
      return found.takeError();
    moments = *found;
  }
  // Steps of 8 bits are so small that this one rounds to nearest regardless.
  if (!moments.empty() && isa<graph::Int8Attr>(Attribute(encoding))) {
    calibration->ignored.insert(op.getLoc());
    moments = {};
  }
  if (moments.empty())
    return encoding.encode(logical, bytes, {}, encoded);
  Calibration::Buffers &known = calibration->encoded[{op.getValue(), encoding}];
  if (known.empty())
    if (llvm::Error error = encoding.encode(logical, bytes, moments, known))
      return makeError(calibration->getPath() + ": " +
                       llvm::toString(std::move(error)));
  encoded = known;
  return llvm::Error::success();
}

llvm::Error ConstantMaterializer::encode(plan::ConstantOp op) {
  if (encodedValue == op.getValue() && encodedWith == *op.getEncoding())
    return llvm::Error::success();
  auto encoding = dyn_cast<graph::EncodingInterface>(*op.getEncoding());
  if (!encoding)
    return llvm::createStringError("no encoder is registered for this type");
  llvm::Expected<ArrayRef<char>> bytes = getDenseBytes(op.getValue(), dense);
  if (!bytes)
    return bytes.takeError();
  encoded.clear();
  if (llvm::Error error = encodeValue(op, *bytes))
    return error;
  encodedValue = op.getValue();
  encodedWith = encoding;
  if (emitRemarks)
    stateError(op, *bytes);
  return llvm::Error::success();
}

llvm::Expected<ArrayRef<char>>
ConstantMaterializer::materialize(plan::ConstantOp op) {
  ArrayRef<char> bytes;
  auto type = cast<RankedTensorType>(op.getValue().getShapedType());
  if (op.getEncoding()) {
    if (llvm::Error error = encode(op))
      return std::move(error);
    auto encoding = cast<graph::EncodingInterface>(*op.getEncoding());
    auto logical =
        RankedTensorType::get(type.getShape(), type.getElementType(), encoding);
    SmallVector<graph::EncodedBuffer> buffers = encoding.getBuffers(logical);
    const auto *buffer =
        llvm::find_if(buffers, [&](const graph::EncodedBuffer &candidate) {
          return candidate.name == *op.getEncodedBuffer();
        });
    if (buffer == buffers.end())
      return llvm::createStringError("the encoding has no buffer '%s'",
                                     op.getEncodedBuffer()->str().c_str());
    bytes = encoded[buffer - buffers.begin()];
    type = buffer->type;
  } else {
    llvm::Expected<ArrayRef<char>> raw = getDenseBytes(op.getValue(), dense);
    if (!raw)
      return raw.takeError();
    bytes = *raw;
  }
  if (!op.getPack())
    return bytes;
  plan::PackAttr pack = *op.getPack();
  SmallVector<char, 0> samples;
  if (!pack.getWinograd().empty()) {
    sampleFilters(bytes, type.getShape(), pack.getWinograd(), samples);
    bytes = samples;
  }
  packElements(bytes, pack.getSampledShape(type.getShape()),
               getElementBytes(type.getElementType()), pack, packed);
  return ArrayRef<char>(packed);
}
