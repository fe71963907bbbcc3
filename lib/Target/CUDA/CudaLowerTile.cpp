// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tile.kernel @f(%x: !tile.buffer<f32>, %n: index) schedule <..., warps = 4>
//
//   ->  llvm.func @f(%x: !llvm.ptr<1>, %n: i64)
//           attributes {nvvm.kernel, nvvm.reqntid = array<i32: 128>}

#include "lib/Target/CUDA/Emitter.h"
#include "lib/Target/CUDA/Launch.h"
#include "lib/Target/CUDA/Levels.h"
#include "lib/Target/CUDA/Passes.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::cuda;

namespace lathe::cuda {
#define GEN_PASS_DEF_CUDALOWERTILEPASS
#include "lib/Target/CUDA/Passes.h.inc"
} // namespace lathe::cuda

/// Memory that all kernels of the module name.
static void createSymbols(ModuleOp module) {
  OpBuilder b = OpBuilder::atBlockBegin(module.getBody());
  auto bytes = [&](unsigned count) {
    return LLVM::LLVMArrayType::get(b.getI8Type(), count);
  };
  LLVM::GlobalOp::create(b, module.getLoc(), bytes(0), /*isConstant=*/false,
                         LLVM::Linkage::External, ModuleSymbols::shared,
                         Attribute(), /*alignment=*/16, /*addrSpace=*/3);
  LLVM::GlobalOp::create(
      b, module.getLoc(), bytes(16), /*isConstant=*/true,
      LLVM::Linkage::Internal, ModuleSymbols::zeros,
      b.getStringAttr(StringRef("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16)),
      /*alignment=*/16, /*addrSpace=*/1);
}

/// The function of a kernel's ABI, with an empty body.
static LLVM::LLVMFuncOp createFunction(tile::KernelOp kernel, int64_t threads) {
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

static Value createBlockIndex(ImplicitLocOpBuilder &b, unsigned axis) {
  Type i32 = b.getI32Type();
  switch (axis) {
  case 0:
    return NVVM::BlockIdXOp::create(b, i32);
  case 1:
    return NVVM::BlockIdYOp::create(b, i32);
  default:
    return NVVM::BlockIdZOp::create(b, i32);
  }
}

static LogicalResult lowerKernel(tile::KernelOp kernel, const Level &level) {
  int64_t warps = kernel.getSchedule().getWarps();
  if (warps < 1 || warps > kMaxWarps || !llvm::isPowerOf2_64(warps))
    return kernel.emitOpError("asks for ")
           << warps << " warps; CUDA allows powers of two up to " << kMaxWarps;
  LLVM::LLVMFuncOp function = createFunction(kernel, warps * kWarpSize);
  ImplicitLocOpBuilder b(kernel.getLoc(), kernel.getContext());
  Block *entry = function.addEntryBlock(b);
  b.setInsertionPointToStart(entry);
  SmallVector<Value> arguments;
  for (Value argument : entry->getArguments())
    arguments.push_back(
        argument.getType().isInteger(64)
            ? Value(arith::IndexCastOp::create(b, b.getIndexType(), argument))
            : argument);
  IRMapping positions;
  kernel.walk([&](tile::ProgramIdOp op) {
    Value block = createBlockIndex(b, op.getAxis());
    positions.map(op.getResult(), Value(arith::IndexCastUIOp::create(
                                      b, b.getIndexType(), block)));
  });
  Emitter emitter(kernel, ThreadGroup{warps, {}, {}, {}}, b);
  emitter.getMapping() = positions;
  emitter.getMapping().map(kernel.getBody().getArguments(), arguments);
  if (failed(emitter.emitProgram()))
    return failure();
  LLVM::ReturnOp::create(b, ValueRange());
  int64_t shared = emitter.getSharedBytes();
  auto most = static_cast<int64_t>(level.record.capabilities.sharedBytes);
  if (shared > most)
    return kernel.emitOpError("keeps ")
           << shared << " bytes of tiles in shared memory; "
           << level.record.name << " allows " << most << " for one program";
  function->setAttr(kSharedBytesAttr, b.getI64IntegerAttr(shared));
  kernel.erase();
  return success();
}

namespace {
struct CudaLowerTilePass
    : lathe::cuda::impl::CudaLowerTilePassBase<CudaLowerTilePass> {
  using CudaLowerTilePassBase::CudaLowerTilePassBase;

  void runOnOperation() override {
    const Level *found = lookupLevel(level);
    if (!found) {
      getOperation().emitError("cuda has no level '") << level << "'";
      return signalPassFailure();
    }
    createSymbols(getOperation());
    for (auto kernel :
         llvm::make_early_inc_range(getOperation().getOps<tile::KernelOp>()))
      if (failed(lowerKernel(kernel, *found)))
        return signalPassFailure();
  }
};
} // namespace
