// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Control flow, memory, and what the tile dialect does with whole tiles.

#include "lib/Target/Reference/Interpreter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/SmallString.h"
#include <cstring>

using namespace mlir;
using namespace lathe;
using namespace lathe::reference;

//===----------------------------------------------------------------------===//
// Elements
//===----------------------------------------------------------------------===//

Elements Elements::get(Type element, ArrayRef<int64_t> shape) {
  Elements result{element, SmallVector<int64_t>(shape), {}, {}};
  size_t count = 1;
  for (int64_t size : shape)
    count *= size;
  if (result.isFloat())
    result.floats.resize(count);
  else
    result.integers.resize(count);
  return result;
}

Elements Elements::get(Type type) {
  if (auto tensor = dyn_cast<RankedTensorType>(type))
    return get(tensor.getElementType(), tensor.getShape());
  return get(type, {});
}

void Elements::set(size_t at, const Elements &from, size_t index) {
  if (isFloat())
    floats[at] = from.floats[index];
  else
    integers[at] = from.integers[index];
}

/// The position of element `linear` of a tile of this shape.
static SmallVector<int64_t> delinearize(size_t linear,
                                        ArrayRef<int64_t> shape) {
  SmallVector<int64_t> position(shape.size());
  for (size_t d = shape.size(); d-- > 0; linear /= shape[d])
    position[d] = linear % shape[d];
  return position;
}

static size_t linearize(ArrayRef<int64_t> position, ArrayRef<int64_t> shape) {
  size_t linear = 0;
  for (auto [at, size] : llvm::zip_equal(position, shape))
    linear = linear * size + at;
  return linear;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

namespace {
/// A buffer as `tile.view` shows it.
struct View {
  MutableArrayRef<char> bytes;
  Type type;
  int64_t offset = 0;
  SmallVector<int64_t> sizes, strides;
};
} // namespace

static size_t getBytes(Type type) {
  return type.isIndex() ? 8 : llvm::divideCeil(type.getIntOrFloatBitWidth(), 8);
}

static void readElement(const char *from, Elements &to, size_t at) {
  uint64_t bits = 0;
  unsigned bytes = getBytes(to.type);
  memcpy(&bits, from, bytes);
  if (!to.isFloat()) {
    to.integers[at] = wrapTo(to.type, bits);
    return;
  }
  const llvm::fltSemantics &kind = cast<FloatType>(to.type).getFloatSemantics();
  llvm::APFloat number(kind, llvm::APInt(bytes * 8, bits));
  bool loses;
  number.convert(llvm::APFloat::IEEEdouble(),
                 llvm::APFloat::rmNearestTiesToEven, &loses);
  to.floats[at] = number.convertToDouble();
}

static void writeElement(const Elements &from, size_t at, char *to) {
  uint64_t bits;
  if (from.isFloat()) {
    llvm::APFloat number(from.floats[at]);
    bool loses;
    number.convert(cast<FloatType>(from.type).getFloatSemantics(),
                   llvm::APFloat::rmNearestTiesToEven, &loses);
    bits = number.bitcastToAPInt().getZExtValue();
  } else {
    bits = from.integers[at];
  }
  memcpy(to, &bits, getBytes(from.type));
}

//===----------------------------------------------------------------------===//
// Programs
//===----------------------------------------------------------------------===//

namespace {
class Program {
public:
  Program(ArrayRef<MutableArrayRef<char>> buffers, ArrayRef<int64_t> scalars,
          ArrayRef<int64_t> position)
      : buffers(buffers), scalars(scalars), position(position) {}

  LogicalResult run(tile::KernelOp kernel);

private:
  LogicalResult runBlock(Block &block);
  LogicalResult runOp(Operation *op);
  LogicalResult runFor(scf::ForOp op);
  LogicalResult runIf(scf::IfOp op);
  void runConcat(tile::ConcatOp op);
  LogicalResult makeView(tile::ViewOp op);
  LogicalResult load(tile::LoadOp op);
  LogicalResult loadScalar(tile::LoadScalarOp op);
  LogicalResult store(tile::StoreOp op);
  LogicalResult multiply(tile::MmaOp op);
  LogicalResult combine(Operation *op, tile::Combine kind, Value input,
                        int64_t axis, bool scan);
  LogicalResult
  rearrange(Operation *op,
            llvm::function_ref<SmallVector<int64_t>(ArrayRef<int64_t>)> source);

  /// The element of a view at `at`; null outside of the view. An error outside
  /// of the buffer.
  FailureOr<char *> address(Operation *op, const View &view,
                            ArrayRef<int64_t> at);
  /// Where a tile's position is in its view.
  SmallVector<int64_t> locate(ValueRange indices, ArrayRef<int64_t> dims,
                              ArrayRef<int64_t> tilePosition);
  LogicalResult checkPromise(Operation *op, const View &view,
                             ArrayRef<int64_t> dims, ArrayRef<int64_t> inBounds,
                             ArrayRef<int64_t> at);

  int64_t integer(Value value) { return values[value].integers[0]; }
  SmallVector<int64_t> integers(ValueRange range) {
    return llvm::map_to_vector(range, [&](Value v) { return integer(v); });
  }

  ArrayRef<MutableArrayRef<char>> buffers;
  ArrayRef<int64_t> scalars, position;
  DenseMap<Value, Elements> values;
  DenseMap<Value, View> views;
};
} // namespace

LogicalResult Program::run(tile::KernelOp kernel) {
  unsigned numBuffers = kernel.getNumBuffers();
  for (auto [argument, scalar] :
       llvm::zip_equal(kernel.getArguments().drop_front(numBuffers), scalars)) {
    values[argument] = Elements::get(argument.getType());
    values[argument].integers[0] = scalar;
  }
  return runBlock(kernel.getBody().front());
}

LogicalResult Program::runBlock(Block &block) {
  for (Operation &op : block)
    if (failed(runOp(&op)))
      return failure();
  return success();
}

static Elements getConstant(arith::ConstantOp op) {
  Elements result = Elements::get(op.getType());
  auto set = [&](size_t i, Attribute value) {
    if (auto number = dyn_cast<FloatAttr>(value))
      result.floats[i] = number.getValueAsDouble();
    else
      result.integers[i] = wrapTo(
          result.type, cast<IntegerAttr>(value).getValue().getSExtValue());
  };
  if (auto dense = dyn_cast<DenseElementsAttr>(op.getValue()))
    for (auto [i, value] : llvm::enumerate(dense.getValues<Attribute>()))
      set(i, value);
  else
    set(0, op.getValue());
  return result;
}

LogicalResult Program::runOp(Operation *op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case<tile::ReturnOp, scf::YieldOp>([](auto) { return success(); })
      .Case([&](scf::ForOp loop) { return runFor(loop); })
      .Case([&](scf::IfOp branch) { return runIf(branch); })
      .Case([&](tile::ViewOp view) { return makeView(view); })
      .Case([&](tile::LoadOp load) { return this->load(load); })
      .Case([&](tile::LoadScalarOp load) { return loadScalar(load); })
      .Case([&](tile::StoreOp store) { return this->store(store); })
      .Case([&](tile::MmaOp mma) { return multiply(mma); })
      .Case([&](tile::ReduceOp r) {
        return combine(op, r.getKind(), r.getInput(), r.getAxis(), false);
      })
      .Case([&](tile::ScanOp s) {
        return combine(op, s.getKind(), s.getInput(), s.getAxis(), true);
      })
      .Case([&](tile::ProgramIdOp id) {
        Elements &result = values[id] = Elements::get(id.getType());
        result.integers[0] = position[id.getAxis()];
        return success();
      })
      .Case([&](arith::ConstantOp constant) {
        values[constant] = getConstant(constant);
        return success();
      })
      .Case([&](tile::IotaOp iota) {
        Elements result = Elements::get(iota.getType());
        for (size_t i = 0; i < result.size(); ++i)
          result.integers[i] = delinearize(i, result.shape)[iota.getAxis()];
        values[iota] = std::move(result);
        return success();
      })
      .Case([&](tile::SplatOp) {
        return rearrange(op, [](auto) { return SmallVector<int64_t>(); });
      })
      .Case([&](tile::BroadcastOp broadcast) {
        return rearrange(op, [&](ArrayRef<int64_t> at) {
          return llvm::map_to_vector(broadcast.getDims(),
                                     [&](int64_t d) { return at[d]; });
        });
      })
      .Case([&](tile::TransposeOp transpose) {
        return rearrange(op, [&](ArrayRef<int64_t> at) {
          SmallVector<int64_t> source(at.size());
          for (auto [i, d] : llvm::enumerate(transpose.getPermutation()))
            source[d] = at[i];
          return source;
        });
      })
      .Case([&](tile::ConcatOp concat) {
        runConcat(concat);
        return success();
      })
      .Default([&](Operation *) -> LogicalResult {
        auto operands = llvm::map_to_vector(op->getOperands(), [&](Value v) {
          return static_cast<const Elements *>(&values[v]);
        });
        FailureOr<Elements> result = computeElements(op, operands);
        if (succeeded(result))
          values[op->getResult(0)] = std::move(*result);
        return result;
      });
}

void Program::runConcat(tile::ConcatOp op) {
  Elements result = Elements::get(op.getType());
  int64_t start = 0;
  for (Value input : op.getInputs()) {
    const Elements &part = values[input];
    for (size_t i = 0, size = part.size(); i < size; ++i) {
      SmallVector<int64_t> at = delinearize(i, part.shape);
      at[op.getAxis()] += start;
      result.set(linearize(at, result.shape), part, i);
    }
    start += part.shape[op.getAxis()];
  }
  values[op.getResult()] = std::move(result);
}

LogicalResult Program::runFor(scf::ForOp op) {
  auto carry = [&](ValueRange from, ValueRange to) {
    auto moved = llvm::map_to_vector(from, [&](Value v) { return values[v]; });
    for (auto [value, target] : llvm::zip_equal(moved, to))
      values[target] = std::move(value);
  };
  int64_t end = integer(op.getUpperBound()), step = integer(op.getStep());
  if (step <= 0)
    return op.emitError("has step ") << step;
  carry(op.getInitArgs(), op.getRegionIterArgs());
  for (int64_t i = integer(op.getLowerBound()); i < end; i += step) {
    values[op.getInductionVar()] =
        Elements::get(op.getInductionVar().getType());
    values[op.getInductionVar()].integers[0] = i;
    if (failed(runBlock(*op.getBody())))
      return failure();
    carry(op.getBody()->getTerminator()->getOperands(), op.getRegionIterArgs());
  }
  carry(op.getRegionIterArgs(), op.getResults());
  return success();
}

LogicalResult Program::runIf(scf::IfOp op) {
  Region &region =
      integer(op.getCondition()) ? op.getThenRegion() : op.getElseRegion();
  if (region.empty())
    return success();
  if (failed(runBlock(region.front())))
    return failure();
  for (auto [value, result] : llvm::zip_equal(
           region.front().getTerminator()->getOperands(), op.getResults())) {
    Elements copy = values[value];
    values[result] = std::move(copy);
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Views, loads, stores
//===----------------------------------------------------------------------===//

LogicalResult Program::makeView(tile::ViewOp op) {
  auto resolve = [&](ArrayRef<OpFoldResult> mixed) {
    return llvm::map_to_vector(mixed, [&](OpFoldResult part) {
      if (auto value = dyn_cast<Value>(part))
        return integer(value);
      return cast<IntegerAttr>(cast<Attribute>(part)).getInt();
    });
  };
  unsigned argument = cast<BlockArgument>(op.getBuffer()).getArgNumber();
  views[op] = View{buffers[argument], op.getType().getElementType(),
                   op.getOffset() ? integer(op.getOffset()) : 0,
                   resolve(op.getMixedSizes()), resolve(op.getMixedStrides())};
  return success();
}

FailureOr<char *> Program::address(Operation *op, const View &view,
                                   ArrayRef<int64_t> at) {
  int64_t element = view.offset;
  for (auto [i, size, stride] : llvm::zip_equal(at, view.sizes, view.strides)) {
    if (i < 0 || i >= size)
      return nullptr;
    element += i * stride;
  }
  int64_t count = view.bytes.size() / getBytes(view.type);
  if (element < 0 || element >= count)
    return op->emitError("touches element ")
               << element << " of a buffer of " << count,
           failure();
  return view.bytes.data() + element * getBytes(view.type);
}

SmallVector<int64_t> Program::locate(ValueRange indices, ArrayRef<int64_t> dims,
                                     ArrayRef<int64_t> tilePosition) {
  SmallVector<int64_t> at = integers(indices);
  for (auto [dim, offset] : llvm::zip_equal(dims, tilePosition))
    if (dim >= 0)
      at[dim] += offset;
  return at;
}

LogicalResult Program::checkPromise(Operation *op, const View &view,
                                    ArrayRef<int64_t> dims,
                                    ArrayRef<int64_t> inBounds,
                                    ArrayRef<int64_t> at) {
  for (int64_t promised : inBounds) {
    int64_t dim = dims[promised];
    if (dim >= 0 && (at[dim] < 0 || at[dim] >= view.sizes[dim]))
      return op->emitError("promises that tile dim ")
             << promised << " is in bounds, and reaches " << at[dim] << " of "
             << view.sizes[dim];
  }
  return success();
}

LogicalResult Program::load(tile::LoadOp op) {
  const View &view = views[op.getView()];
  Elements result = Elements::get(op.getType());
  double pad = 0;
  int64_t integerPad = 0;
  if (auto value = dyn_cast_or_null<FloatAttr>(op.getPadAttr()))
    pad = value.getValueAsDouble();
  else if (auto value = dyn_cast_or_null<IntegerAttr>(op.getPadAttr()))
    integerPad = wrapTo(result.type, value.getValue().getSExtValue());
  for (size_t i = 0; i < result.size(); ++i) {
    SmallVector<int64_t> inTile = delinearize(i, result.shape);
    if (op.getGather()) {
      int64_t &along = inTile[*op.getGatherDim()];
      along = values[op.getGather()].integers[along];
    }
    SmallVector<int64_t> at = locate(op.getIndices(), op.getDims(), inTile);
    if (failed(checkPromise(op, view, op.getDims(), op.getInBounds(), at)))
      return failure();
    FailureOr<char *> element = address(op, view, at);
    if (failed(element))
      return failure();
    if (*element)
      readElement(*element, result, i);
    else if (result.isFloat())
      result.floats[i] = pad;
    else
      result.integers[i] = integerPad;
  }
  values[op] = std::move(result);
  return success();
}

LogicalResult Program::loadScalar(tile::LoadScalarOp op) {
  FailureOr<char *> element =
      address(op, views[op.getView()], integers(op.getIndices()));
  if (failed(element))
    return failure();
  if (!*element)
    return op.emitError("reads outside of its view");
  Elements result = Elements::get(op.getType());
  readElement(*element, result, 0);
  values[op] = std::move(result);
  return success();
}

LogicalResult Program::store(tile::StoreOp op) {
  const View &view = views[op.getView()];
  const Elements &tile = values[op.getTile()];
  for (size_t i = 0; i < tile.size(); ++i) {
    SmallVector<int64_t> at =
        locate(op.getIndices(), op.getDims(), delinearize(i, tile.shape));
    if (failed(checkPromise(op, view, op.getDims(), op.getInBounds(), at)))
      return failure();
    FailureOr<char *> element = address(op, view, at);
    if (failed(element))
      return failure();
    if (*element)
      writeElement(tile, i, *element);
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Whole tiles
//===----------------------------------------------------------------------===//

LogicalResult Program::rearrange(
    Operation *op,
    llvm::function_ref<SmallVector<int64_t>(ArrayRef<int64_t>)> source) {
  const Elements &input = values[op->getOperand(0)];
  Elements result = Elements::get(op->getResult(0).getType());
  for (size_t i = 0; i < result.size(); ++i)
    result.set(i, input,
               linearize(source(delinearize(i, result.shape)), input.shape));
  values[op->getResult(0)] = std::move(result);
  return success();
}

LogicalResult Program::multiply(tile::MmaOp op) {
  const Elements &a = values[op.getA()], &b = values[op.getB()];
  Elements result = values[op.getAcc()];
  int64_t rows = a.shape[0], depth = a.shape[1], columns = b.shape[1];
  int64_t maskA = op.getUnsignedA() ? 0xFF : -1;
  int64_t maskB = op.getUnsignedB() ? 0xFF : -1;
  for (int64_t i = 0; i < rows * columns; ++i)
    for (int64_t k = 0; k < depth; ++k) {
      size_t x = i / columns * depth + k, y = k * columns + i % columns;
      if (result.isFloat())
        result.floats[i] =
            roundTo(result.type, result.floats[i] + a.floats[x] * b.floats[y]);
      else
        result.integers[i] = wrapTo(
            result.type, result.integers[i] +
                             (a.integers[x] & maskA) * (b.integers[y] & maskB));
    }
  values[op] = std::move(result);
  return success();
}

static void combineInto(tile::Combine kind, Elements &into, size_t at,
                        const Elements &from, size_t index) {
  auto nan = [](double a, double b, double c) {
    return a != a ? a : b != b ? b : c;
  };
  if (into.isFloat()) {
    double a = into.floats[at], b = from.floats[index];
    double c = kind == tile::Combine::Add   ? a + b
               : kind == tile::Combine::Mul ? a * b
               : kind == tile::Combine::Max ? nan(a, b, std::max(a, b))
                                            : nan(a, b, std::min(a, b));
    into.floats[at] = roundTo(into.type, c);
    return;
  }
  int64_t a = into.integers[at], b = from.integers[index];
  int64_t c = kind == tile::Combine::Add   ? int64_t(uint64_t(a) + uint64_t(b))
              : kind == tile::Combine::Mul ? int64_t(uint64_t(a) * uint64_t(b))
              : kind == tile::Combine::Max ? std::max(a, b)
              : kind == tile::Combine::Min ? std::min(a, b)
              : kind == tile::Combine::And ? a & b
                                           : a | b;
  into.integers[at] = wrapTo(into.type, c);
}

LogicalResult Program::combine(Operation *op, tile::Combine kind, Value input,
                               int64_t axis, bool scan) {
  const Elements source = values[input];
  Elements result = Elements::get(op->getResult(0).getType());
  for (size_t i = 0; i < source.size(); ++i) {
    SmallVector<int64_t> at = delinearize(i, source.shape);
    bool first = at[axis] == 0;
    if (scan) {
      result.set(i, source, i);
      if (first)
        continue;
      --at[axis];
      combineInto(kind, result, i, result, linearize(at, source.shape));
      continue;
    }
    at.erase(at.begin() + axis);
    size_t target = linearize(at, result.shape);
    if (first)
      result.set(target, source, i);
    else
      combineInto(kind, result, target, source, i);
  }
  values[op->getResult(0)] = std::move(result);
  return success();
}

LogicalResult lathe::reference::interpret(
    tile::KernelOp kernel, ArrayRef<MutableArrayRef<char>> buffers,
    ArrayRef<int64_t> scalars, std::array<int64_t, 3> grid) {
  if (buffers.size() != kernel.getNumBuffers() ||
      scalars.size() + buffers.size() != kernel.getArguments().size())
    return kernel.emitError("takes ")
           << kernel.getNumBuffers() << " buffers and "
           << kernel.getArguments().size() - kernel.getNumBuffers()
           << " scalars; " << buffers.size() << " and " << scalars.size()
           << " are given";
  for (int64_t z = 0; z < grid[2]; ++z)
    for (int64_t y = 0; y < grid[1]; ++y)
      for (int64_t x = 0; x < grid[0]; ++x) {
        int64_t position[] = {x, y, z};
        if (failed(Program(buffers, scalars, position).run(kernel)))
          return failure();
      }
  return success();
}
