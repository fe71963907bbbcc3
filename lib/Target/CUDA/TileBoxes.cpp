// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/CUDA/TileBoxes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::cuda;

/// What the copy engine allows.
static constexpr unsigned kMostDims = 5;
static constexpr int64_t kMostLines = 256;
/// Of addresses and strides, in bytes.
static constexpr int64_t kAlignment = 16;

/// A number of the kernel that the host can compute; a divisor of it.
static std::optional<LaunchValue> getLaunchValue(OpFoldResult value,
                                                 int64_t &divisor) {
  if (auto constant = getConstantIntValue(value)) {
    divisor = *constant ? *constant : kAlignment;
    return LaunchValue{*constant, std::nullopt};
  }
  auto argument = dyn_cast<BlockArgument>(cast<Value>(value));
  if (!argument)
    return std::nullopt;
  auto kernel = dyn_cast<tile::KernelOp>(argument.getOwner()->getParentOp());
  if (!kernel)
    return std::nullopt;
  unsigned number = argument.getArgNumber();
  auto known =
      kernel.getArgAttrOfType<IntegerAttr>(number, tile::kMultipleOfAttr);
  divisor = known ? known.getInt() : 1;
  return LaunchValue{1, number - kernel.getNumBuffers()};
}

namespace {

/// Finds out what a view is to the copy engine.
class Matcher {
public:
  Matcher(tile::ViewOp view, OperandRange indices, ArrayRef<int64_t> dims,
          std::string &reason)
      : view(view), indices(indices), dims(dims), reason(reason) {}

  std::optional<TileBoxes> match(RankedTensorType type, unsigned lineDim,
                                 int64_t lines);
  std::optional<TileBoxes> matchBox(ArrayRef<int64_t> shape, unsigned lineDim,
                                    int64_t swizzle);
  /// The tile dim that lies without gaps; -1 if none does.
  int getLineDim() const;
  bool refuse(StringRef why) {
    reason = why.str();
    return false;
  }

private:
  bool isWholeDim(RankedTensorType type, unsigned lineDim) const;
  bool setBuffer();
  bool setDims(ArrayRef<int64_t> first);
  bool addDim(unsigned dim);
  bool isAligned(int64_t divisor) const {
    return divisor * boxes.getElementBytes() % kAlignment == 0;
  }

  tile::ViewOp view;
  OperandRange indices;
  ArrayRef<int64_t> dims;
  std::string &reason;
  TileBoxes boxes;
};

} // namespace

int Matcher::getLineDim() const {
  tile::ViewOp op = view;
  ArrayRef<int64_t> strides = op.getStaticStrides();
  for (int t : {1, 0})
    if (strides[dims[t]] == 1)
      return t;
  return -1;
}

/// Whether lines begin and end with the tensor's: then copies fill the rest of
/// a box with zeros, and do not store it.
bool Matcher::isWholeDim(RankedTensorType type, unsigned lineDim) const {
  tile::ViewOp op = view;
  unsigned dim = dims[lineDim];
  return op.getStaticSizes()[dim] == type.getDimSize(lineDim) &&
         getConstantIntValue(indices[dim]) == 0;
}

bool Matcher::setBuffer() {
  auto buffer = cast<BlockArgument>(view.getBuffer());
  boxes.map.buffer = buffer.getArgNumber();
  boxes.map.offset = LaunchValue{0, std::nullopt};
  if (!view.getOffset())
    return true;
  int64_t divisor;
  auto offset = getLaunchValue(view.getOffset(), divisor);
  if (!offset || !isAligned(divisor))
    return refuse("a tensor does not start at a multiple of 16 bytes");
  boxes.map.offset = *offset;
  return true;
}

bool Matcher::addDim(unsigned dim) {
  int64_t divisor;
  auto size = getLaunchValue(view.getMixedSizes()[dim], divisor);
  auto stride = getLaunchValue(view.getMixedStrides()[dim], divisor);
  if (!size || !stride)
    return refuse("a size or stride of a tensor is computed by the kernel");
  bool isFastest = boxes.map.sizes.empty();
  if (!isFastest && !isAligned(divisor))
    return refuse("a stride of a tensor is not known to be a multiple of 16 "
                  "bytes");
  boxes.map.sizes.push_back(*size);
  if (!isFastest)
    boxes.map.strides.push_back(*stride);
  boxes.map.box.push_back(1);
  boxes.indices.push_back(indices[dim]);
  return true;
}

/// Dims that move the address: those of `first`, then others.
bool Matcher::setDims(ArrayRef<int64_t> first) {
  SmallVector<unsigned> order(first);
  for (unsigned dim = 0; dim < view.getStaticStrides().size(); ++dim) {
    bool isAtStart = view.getStaticSizes()[dim] == 1 &&
                     getConstantIntValue(indices[dim]) == 0;
    if (view.getStaticStrides()[dim] != 0 && !isAtStart &&
        !llvm::is_contained(order, dim))
      order.push_back(dim);
  }
  if (order.size() > kMostDims)
    return refuse("a tensor has more than five dims");
  return llvm::all_of(order, [&](unsigned dim) { return addDim(dim); });
}

std::optional<TileBoxes> Matcher::match(RankedTensorType type, unsigned lineDim,
                                        int64_t lines) {
  boxes.shape = {type.getDimSize(0), type.getDimSize(1)};
  boxes.lineDim = lineDim;
  boxes.map.element = type.getElementType();
  int64_t length = boxes.getLineElements();
  if ((boxes.shape[lineDim] % length && !isWholeDim(type, lineDim)) ||
      lines > kMostLines || boxes.getLines() % lines) {
    refuse("a tile is neither whole lines of 128 bytes nor all of a dim");
    return std::nullopt;
  }
  if (!setBuffer() || !setDims({dims[lineDim], dims[1 - lineDim]}))
    return std::nullopt;
  boxes.map.box[0] = length;
  boxes.map.box[1] = lines;
  boxes.map.swizzle = kSwizzleBytes;
  return boxes;
}

std::optional<TileBoxes> Matcher::matchBox(ArrayRef<int64_t> shape,
                                           unsigned lineDim, int64_t swizzle) {
  SmallVector<int64_t> order{dims[lineDim]};
  for (auto [t, dim] : llvm::enumerate(dims))
    if (t != lineDim)
      order.push_back(dim);
  tile::ViewOp op = view;
  if (llvm::any_of(order, [](int64_t dim) { return dim < 0; }) ||
      op.getStaticStrides()[order.front()] != 1 ||
      llvm::any_of(shape, [](int64_t size) { return size > kMostLines; })) {
    refuse("what an operand is computed from lies with gaps");
    return std::nullopt;
  }
  Type element =
      cast<tile::ViewType>(op.getResult().getType()).getElementType();
  if (element.isInteger(1)) // Truth values are bytes.
    element = IntegerType::get(element.getContext(), 8);
  boxes.map.element = element;
  if (!setBuffer() || !setDims(order))
    return std::nullopt;
  boxes.map.box[0] = shape[lineDim];
  if (shape.size() > 1)
    boxes.map.box[1] = shape[1 - lineDim];
  boxes.map.swizzle = swizzle;
  return boxes;
}

/// Whether it is a tile of rank 2 of floats that products take, along two dims
/// of a view.
static bool isPlain(RankedTensorType type, ArrayRef<int64_t> dims) {
  auto element = dyn_cast<FloatType>(type.getElementType());
  return type.getRank() == 2 && element && element.getWidth() <= 16 &&
         dims[0] >= 0 && dims[1] >= 0 && dims[0] != dims[1];
}

std::optional<TileBoxes> cuda::matchLoad(tile::LoadOp load, std::string &reason,
                                         int64_t lines,
                                         std::optional<int64_t> columns) {
  auto view = load.getView().getDefiningOp<tile::ViewOp>();
  Matcher matcher(view, load.getIndices(), load.getDims(), reason);
  auto pad = load.getPadAttr();
  if (!isPlain(load.getType(), load.getDims()) || load.getGather() ||
      (pad && !isa<UnitAttr>(pad))) {
    matcher.refuse("an operand is no plain tile of floats of 16 or 8 bits");
    return std::nullopt;
  }
  auto buffer = cast<BlockArgument>(view.getBuffer());
  auto kernel = cast<tile::KernelOp>(buffer.getOwner()->getParentOp());
  if (kernel.getArgAttr(buffer.getArgNumber(), tile::kWrittenAttr)) {
    matcher.refuse("an operand is written by the kernel");
    return std::nullopt;
  }
  int lineDim = matcher.getLineDim();
  if (lineDim < 0) {
    matcher.refuse("an operand lies with gaps along its rows and along k");
    return std::nullopt;
  }
  RankedTensorType type = load.getType();
  if (columns)
    type = type.clone({type.getDimSize(0), *columns});
  int64_t all = type.getDimSize(1 - lineDim);
  return matcher.match(type, lineDim, lines ? lines : all);
}

std::optional<TensorMap> cuda::matchBox(tile::LoadOp load,
                                        ArrayRef<int64_t> shape,
                                        unsigned lineDim, int64_t swizzle,
                                        SmallVectorImpl<Value> &indices,
                                        std::string &reason) {
  Matcher matcher(load.getView().getDefiningOp<tile::ViewOp>(),
                  load.getIndices(), load.getDims(), reason);
  auto boxes = matcher.matchBox(shape, lineDim, swizzle);
  if (!boxes)
    return std::nullopt;
  indices.assign(boxes->indices);
  return boxes->map;
}

std::optional<TileBoxes> cuda::matchStore(tile::StoreOp store, int64_t lines,
                                          std::string &reason) {
  auto type = cast<RankedTensorType>(store.getTile().getType());
  auto view = store.getView().getDefiningOp<tile::ViewOp>();
  Matcher matcher(view, store.getIndices(), store.getDims(), reason);
  if (!isPlain(type, store.getDims()) || matcher.getLineDim() != 1 ||
      type.getElementType().getIntOrFloatBitWidth() != 16) {
    matcher.refuse("what is stored is no plain tile of 16-bit floats");
    return std::nullopt;
  }
  return matcher.match(type, /*lineDim=*/1, lines);
}
