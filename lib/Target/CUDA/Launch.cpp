// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/CUDA/Launch.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::cuda;

/// "given" or "persistent".
static constexpr StringLiteral kGridAttr = "tile.grid";
/// Present where the kernel waits for those before it.
static constexpr StringLiteral kOverlapsAttr = "tile.overlaps";
/// A dictionary for each map. A launch value is a factor and a scalar, -1 for
/// none.
static constexpr StringLiteral kMapsAttr = "tile.tensor_maps";
static constexpr StringLiteral kPersistent = "persistent", kGiven = "given";
static constexpr unsigned kMapBytes = 128, kMapAlignment = 64;

LLVM::LLVMFuncOp cuda::createFunction(tile::KernelOp kernel, int64_t threads) {
  OpBuilder b(kernel);
  auto pointer = LLVM::LLVMPointerType::get(b.getContext(), 1);
  SmallVector<Type> types;
  for (Type type : kernel.getArgumentTypes())
    types.push_back(isa<tile::BufferType>(type) ? Type(pointer)
                                                : b.getI64Type());
  auto function = LLVM::LLVMFuncOp::create(
      b, kernel.getLoc(), kernel.getSymName(),
      LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()),
                                  types));
  function->setAttr("nvvm.kernel", b.getUnitAttr());
  function->setAttr("nvvm.reqntid",
                    b.getDenseI32ArrayAttr({static_cast<int32_t>(threads)}));
  for (unsigned i = 0; i < kernel.getNumBuffers(); ++i) {
    function.setArgAttr(i, "llvm.noalias", b.getUnitAttr());
    if (!kernel.getArgAttr(i, tile::kWrittenAttr))
      function.setArgAttr(i, "llvm.readonly", b.getUnitAttr());
  }
  return function;
}

SmallVector<Value> cuda::createEntry(ImplicitLocOpBuilder &b,
                                     LLVM::LLVMFuncOp function) {
  Block *entry = function.addEntryBlock(b);
  b.setInsertionPointToStart(entry);
  return llvm::map_to_vector(
      entry->getArguments(), [&](BlockArgument argument) -> Value {
        if (!argument.getType().isInteger(64))
          return argument;
        return arith::IndexCastOp::create(b, b.getIndexType(), argument);
      });
}

/// Adds a parameter at `index`. (The interface's insertArgument does not take
/// functions without results.)
static Value insertArgument(LLVM::LLVMFuncOp function, unsigned index,
                            Type type, ArrayRef<NamedAttribute> attributes) {
  LLVM::LLVMFunctionType old = function.getFunctionType();
  SmallVector<Type> types(old.getParams());
  types.insert(types.begin() + index, type);
  SmallVector<DictionaryAttr> dictionaries;
  function.getAllArgAttrs(dictionaries);
  dictionaries.insert(dictionaries.begin() + index,
                      DictionaryAttr::get(function.getContext(), attributes));
  function.setFunctionType(
      LLVM::LLVMFunctionType::get(old.getReturnType(), types));
  function.setAllArgAttrs(dictionaries);
  return function.front().insertArgument(index, type, function.getLoc());
}

//===----------------------------------------------------------------------===//
// Tensor maps
//===----------------------------------------------------------------------===//

static ArrayRef<Attribute> getMaps(LLVM::LLVMFuncOp function) {
  auto maps = function->getAttrOfType<ArrayAttr>(kMapsAttr);
  return maps ? maps.getValue() : ArrayRef<Attribute>();
}

static Attribute print(Builder &b, ArrayRef<LaunchValue> values) {
  SmallVector<int64_t> numbers;
  for (const LaunchValue &value : values) {
    numbers.push_back(value.factor);
    numbers.push_back(value.scalar ? int64_t(*value.scalar) : -1);
  }
  return b.getDenseI64ArrayAttr(numbers);
}

static SmallVector<LaunchValue> parse(Attribute attribute) {
  ArrayRef<int64_t> numbers = cast<DenseI64ArrayAttr>(attribute).asArrayRef();
  SmallVector<LaunchValue> values;
  for (size_t i = 0; i < numbers.size(); i += 2) {
    values.push_back({numbers[i], std::nullopt});
    if (numbers[i + 1] >= 0)
      values.back().scalar = static_cast<unsigned>(numbers[i + 1]);
  }
  return values;
}

Value cuda::addTensorMap(LLVM::LLVMFuncOp function, const TensorMap &map) {
  Builder b(function.getContext());
  SmallVector<int64_t> box(map.box.begin(), map.box.end());
  SmallVector<Attribute> maps(getMaps(function));
  maps.push_back(b.getDictionaryAttr(
      {b.getNamedAttr("box", b.getDenseI64ArrayAttr(box)),
       b.getNamedAttr("buffer", b.getI64IntegerAttr(map.buffer)),
       b.getNamedAttr("element", TypeAttr::get(map.element)),
       b.getNamedAttr("offset", print(b, map.offset)),
       b.getNamedAttr("sizes", print(b, map.sizes)),
       b.getNamedAttr("strides", print(b, map.strides)),
       b.getNamedAttr("swizzle", b.getI64IntegerAttr(map.swizzle))}));
  function->setAttr(kMapsAttr, b.getArrayAttr(maps));
  auto bytes = LLVM::LLVMArrayType::get(b.getI8Type(), kMapBytes);
  SmallVector<NamedAttribute> attributes = {
      b.getNamedAttr(LLVM::LLVMDialect::getByValAttrName(),
                     TypeAttr::get(bytes)),
      b.getNamedAttr(LLVM::LLVMDialect::getAlignAttrName(),
                     b.getI64IntegerAttr(kMapAlignment)),
      b.getNamedAttr(NVVM::NVVMDialect::getGridConstantAttrName(),
                     b.getUnitAttr())};
  return insertArgument(function, function.getNumArguments(),
                        LLVM::LLVMPointerType::get(b.getContext()), attributes);
}

static TensorMap readMap(Attribute attribute) {
  auto table = cast<DictionaryAttr>(attribute);
  auto number = [&](StringRef name) {
    return static_cast<unsigned>(cast<IntegerAttr>(table.get(name)).getInt());
  };
  TensorMap map;
  map.buffer = number("buffer");
  map.element = cast<TypeAttr>(table.get("element")).getValue();
  map.offset = parse(table.get("offset")).front();
  map.sizes = parse(table.get("sizes"));
  map.strides = parse(table.get("strides"));
  for (int64_t size : cast<DenseI64ArrayAttr>(table.get("box")).asArrayRef())
    map.box.push_back(static_cast<unsigned>(size));
  map.swizzle = number("swizzle");
  return map;
}

//===----------------------------------------------------------------------===//
// Grids
//===----------------------------------------------------------------------===//

std::array<Value, 3> cuda::getGrid(LLVM::LLVMFuncOp function, LaunchGrid kind) {
  assert(kind != LaunchGrid::Plain && "the grid is not given then");
  Builder b(function.getContext());
  auto known = function->getAttrOfType<StringAttr>(kGridAttr);
  // Before the maps.
  unsigned first = function.getNumArguments() - getMaps(function).size();
  if (known)
    first -= 3;
  else
    for (unsigned i = 0; i < 3; ++i)
      insertArgument(function, first + i, b.getI64Type(), {});
  if (!known || kind == LaunchGrid::Persistent)
    function->setAttr(
        kGridAttr,
        b.getStringAttr(kind == LaunchGrid::Persistent ? kPersistent : kGiven));
  Block &entry = function.front();
  return {entry.getArgument(first), entry.getArgument(first + 1),
          entry.getArgument(first + 2)};
}

void cuda::setCluster(LLVM::LLVMFuncOp function, unsigned blocks) {
  Builder b(function.getContext());
  function->setAttr(
      NVVM::NVVMDialect::getClusterDimAttrName(),
      b.getDenseI32ArrayAttr({static_cast<int32_t>(blocks), 1, 1}));
}

void cuda::createOverlap(ImplicitLocOpBuilder &b, LLVM::LLVMFuncOp function) {
  NVVM::GriddepcontrolOp::create(b, NVVM::GridDepActionKind::wait);
  NVVM::GriddepcontrolOp::create(b, NVVM::GridDepActionKind::launch_dependents);
  function->setAttr(kOverlapsAttr, b.getUnitAttr());
}

std::optional<KernelNeeds> cuda::takeNeeds(LLVM::LLVMFuncOp function) {
  auto threads = function->getAttrOfType<DenseI32ArrayAttr>(
      NVVM::NVVMDialect::getReqntidAttrName());
  if (!threads)
    return std::nullopt;
  KernelNeeds needs;
  needs.threads = threads[0];
  auto shared = function->getAttrOfType<IntegerAttr>(kSharedBytesAttr);
  needs.sharedBytes = static_cast<unsigned>(shared.getInt());
  if (auto grid = function->getAttrOfType<StringAttr>(kGridAttr))
    needs.grid = grid.getValue() == kPersistent ? LaunchGrid::Persistent
                                                : LaunchGrid::Given;
  // It stays: the back end tells the assembler.
  if (auto cluster = function->getAttrOfType<DenseI32ArrayAttr>(
          NVVM::NVVMDialect::getClusterDimAttrName()))
    needs.cluster = cluster[0];
  needs.overlaps = function->hasAttr(kOverlapsAttr);
  for (Attribute map : getMaps(function))
    needs.maps.push_back(readMap(map));
  for (StringRef name : {StringRef(kSharedBytesAttr), StringRef(kGridAttr),
                         StringRef(kMapsAttr), StringRef(kOverlapsAttr)})
    function->removeAttr(name);
  return needs;
}
