// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tile.kernel @f(%x: !tile.buffer<f32>, %n: index) schedule <..., warps = 4>
//
//   ->  llvm.func @f(%x: !llvm.ptr<1>, %n: i64)
//           attributes {nvvm.kernel, nvvm.reqntid = array<i32: 128>}

#include "lib/Target/CUDA/Emitter.h"
#include "lib/Target/CUDA/HopperAttention.h"
#include "lib/Target/CUDA/HopperFlat.h"
#include "lib/Target/CUDA/HopperProduct.h"
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
                         Attribute(), /*alignment=*/kSwizzleAlignment,
                         /*addrSpace=*/3);
  LLVM::GlobalOp::create(
      b, module.getLoc(), bytes(16), /*isConstant=*/true,
      LLVM::Linkage::Internal, ModuleSymbols::zeros,
      b.getStringAttr(StringRef("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16)),
      /*alignment=*/16, /*addrSpace=*/1);
}

using Position = std::array<Value, 3>;

/// Where a block that has number x of all of a grid is in it.
static Position createUnfolded(ImplicitLocOpBuilder &b, Value x,
                               const Position &grid) {
  Value row = arith::DivUIOp::create(b, x, grid[0]);
  return {Value(arith::RemUIOp::create(b, x, grid[0])),
          Value(arith::RemUIOp::create(b, row, grid[1])),
          Value(arith::DivUIOp::create(b, row, grid[1]))};
}

/// The program's position, as i32. Devices take 65,535 blocks in y and z; where
/// there are more, the launch numbers all of them along x, which the kernel
/// sees by its grid.
static Position createPosition(ImplicitLocOpBuilder &b,
                               LLVM::LLVMFuncOp function, bool isLine) {
  Type i32 = b.getI32Type();
  Value x = NVVM::BlockIdXOp::create(b, i32);
  if (isLine)
    return {x, Value(), Value()};
  Position grid;
  for (auto [size, whole] :
       llvm::zip_equal(grid, getGrid(function, LaunchGrid::Given)))
    size = arith::TruncIOp::create(b, i32, whole);
  auto differs = [&](Value launched, Value wanted) -> Value {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, launched, wanted);
  };
  Value isFolded = arith::OrIOp::create(
      b, differs(NVVM::GridDimYOp::create(b, i32), grid[1]),
      differs(NVVM::GridDimZOp::create(b, i32), grid[2]));
  auto found = scf::IfOp::create(
      b, isFolded,
      [&](OpBuilder &nested, Location loc) {
        ImplicitLocOpBuilder inner(loc, nested);
        scf::YieldOp::create(inner, createUnfolded(inner, x, grid));
      },
      [&](OpBuilder &nested, Location loc) {
        Value y = NVVM::BlockIdYOp::create(nested, loc, i32);
        Value z = NVVM::BlockIdZOp::create(nested, loc, i32);
        scf::YieldOp::create(nested, loc, ValueRange{x, y, z});
      });
  return {found.getResult(0), found.getResult(1), found.getResult(2)};
}

/// The values of the kernel's program ids.
static IRMapping mapPosition(ImplicitLocOpBuilder &b, tile::KernelOp kernel,
                             LLVM::LLVMFuncOp function) {
  SmallVector<tile::ProgramIdOp> ids;
  kernel.walk([&](tile::ProgramIdOp op) { ids.push_back(op); });
  IRMapping mapping;
  if (ids.empty())
    return mapping;
  bool isLine =
      llvm::all_of(ids, [](tile::ProgramIdOp op) { return op.getAxis() == 0; });
  Position position = createPosition(b, function, isLine);
  for (tile::ProgramIdOp op : ids)
    mapping.map(op.getResult(),
                Value(arith::IndexCastUIOp::create(b, b.getIndexType(),
                                                   position[op.getAxis()])));
  return mapping;
}

static LogicalResult lowerKernel(tile::KernelOp kernel, const Level &level) {
  int64_t warps = kernel.getSchedule().getWarps();
  // Skeletons take any number of warpgroups.
  if (warps > 0 && warps % kWarpgroupWarps == 0)
    warps = llvm::bit_floor(static_cast<uint64_t>(warps));
  if (warps < 1 || warps > kMaxWarps || !llvm::isPowerOf2_64(warps))
    return kernel.emitOpError("asks for ")
           << warps << " warps; CUDA allows powers of two up to " << kMaxWarps;
  LLVM::LLVMFuncOp function = createFunction(kernel, warps * kWarpSize);
  ImplicitLocOpBuilder b(kernel.getLoc(), kernel.getContext());
  SmallVector<Value> arguments = createEntry(b, function);
  if (level.overlaps)
    createOverlap(b, function);
  int64_t most = level.getSharedBytes();
  Emitter emitter(kernel, ThreadGroup{warps, {}, {}, {}, most}, b);
  emitter.getMapping() = mapPosition(b, kernel, function);
  emitter.getMapping().map(kernel.getBody().getArguments(), arguments);
  if (failed(emitter.emitProgram()))
    return failure();
  LLVM::ReturnOp::create(b, ValueRange());
  int64_t shared = emitter.getSharedBytes();
  if (shared > most)
    return kernel.emitOpError("keeps ")
           << shared << " bytes of tiles in shared memory; "
           << level.record.name << " allows " << most << " for one program";
  function->setAttr(kSharedBytesAttr, b.getI64IntegerAttr(shared));
  kernel.erase();
  return success();
}

/// By a skeleton of the level if there is one for the kernel's form.
static LogicalResult lowerBest(tile::KernelOp kernel, const Level &level) {
  if (level.record.capabilities.unitRows != kWgmmaRows)
    return lowerKernel(kernel, level);
  std::string reason, ofChain;
  FailureOr<bool> isDone = false;
  if (auto flat = matchFlatProduct(kernel, level, reason))
    isDone = lowerFlatProduct(*flat, level, reason);
  else if (auto product = matchProductLoop(kernel, level, reason))
    isDone = lowerProductLoop(*product, level, reason);
  else if (auto chain = matchAttention(kernel, level, ofChain))
    isDone = lowerAttention(*chain, level, reason);
  else if (kernel.getSchedule().getStrategy() == "attention")
    reason = ofChain;
  if (failed(isDone) || *isDone)
    return success(succeeded(isDone));
  if (!reason.empty())
    kernel.emitRemark("'") << kernel.getSymName()
                           << "' multiplies without warpgroups, slower: "
                           << reason;
  return lowerKernel(kernel, level);
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
      if (failed(lowerBest(kernel, *found)))
        return signalPassFailure();
  }
};
} // namespace
