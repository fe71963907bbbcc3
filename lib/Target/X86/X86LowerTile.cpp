// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --x86-lower-tile
//
//   tile.kernel @k(%x: !tile.buffer<f32>, %y: !tile.buffer<f32>, %n: index)
//
// becomes
//
//   func @k(%buffers: !llvm.ptr, %scalars: !llvm.ptr, %grid: !llvm.ptr,
//           %begin: i64, %end: i64)                 // unpacks, calls
//   func private @k.programs(%x: !llvm.ptr {llvm.noalias}, %y: ...,
//           %n: index, %gx: index, %gy: index, %begin: index, %end: index)

#include "lib/Target/X86/Emitter.h"
#include "lib/Target/X86/Levels.h"
#include "lib/Target/X86/MathFunctions.h"
#include "lib/Target/X86/Passes.h"
#include "mlir/Dialect/Math/IR/Math.h"

namespace lathe::x86 {
#define GEN_PASS_DEF_X86LOWERTILEPASS
#include "lib/Target/X86/Passes.h.inc"
} // namespace lathe::x86

using namespace mlir;
using namespace lathe;
using namespace lathe::x86;

/// The internal function, with an empty body.
static func::FuncOp createPrograms(tile::KernelOp kernel, OpBuilder &b) {
  Type pointer = LLVM::LLVMPointerType::get(b.getContext());
  SmallVector<Type> types;
  for (Type type : kernel.getArgumentTypes())
    types.push_back(isa<tile::BufferType>(type) ? pointer : type);
  types.append(4, b.getIndexType()); // grid x and y, begin, end
  auto function = func::FuncOp::create(
      b, kernel.getLoc(), (kernel.getSymName() + ".programs").str(),
      b.getFunctionType(types, {}));
  function->setAttr(
      "llvm.linkage",
      LLVM::LinkageAttr::get(b.getContext(), LLVM::Linkage::Internal));
  for (unsigned i = 0; i < kernel.getNumBuffers(); ++i) {
    function.setArgAttr(i, LLVM::LLVMDialect::getNoAliasAttrName(),
                        b.getUnitAttr());
    if (!kernel.getArgAttr(i, tile::kWrittenAttr))
      function.setArgAttr(i, LLVM::LLVMDialect::getReadonlyAttrName(),
                          b.getUnitAttr());
  }
  function.addEntryBlock();
  return function;
}

/// The exported function: unpacks its arguments and calls `programs`.
static void createEntry(tile::KernelOp kernel, func::FuncOp programs,
                        OpBuilder &builder) {
  ImplicitLocOpBuilder b(kernel.getLoc(), builder);
  Type pointer = LLVM::LLVMPointerType::get(b.getContext());
  Type wide = b.getI64Type();
  auto entry = func::FuncOp::create(
      b, kernel.getSymName(),
      b.getFunctionType({pointer, pointer, pointer, wide, wide}, {}));
  Block *body = entry.addEntryBlock();
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(body);
  auto element = [&](Value array, Type type, int32_t i) -> Value {
    Value place =
        LLVM::GEPOp::create(b, pointer, type, array, ArrayRef<LLVM::GEPArg>{i});
    return LLVM::LoadOp::create(b, type, place);
  };
  auto asIndex = [&](Value value) -> Value {
    return arith::IndexCastOp::create(b, b.getIndexType(), value);
  };
  SmallVector<Value> arguments;
  int32_t buffers = kernel.getNumBuffers();
  int32_t scalars = kernel.getArgumentTypes().size() - buffers;
  for (int32_t i = 0; i < buffers; ++i)
    arguments.push_back(element(body->getArgument(0), pointer, i));
  for (int32_t i = 0; i < scalars; ++i)
    arguments.push_back(asIndex(element(body->getArgument(1), wide, i)));
  for (int32_t i = 0; i < 2; ++i)
    arguments.push_back(asIndex(element(body->getArgument(2), wide, i)));
  arguments.push_back(asIndex(body->getArgument(3)));
  arguments.push_back(asIndex(body->getArgument(4)));
  func::CallOp::create(b, programs, arguments);
  func::ReturnOp::create(b);
}

/// The loop over programs; returns it with its three program ids.
static scf::ForOp createProgramLoop(ImplicitLocOpBuilder &b, ValueRange grid,
                                    Value begin, Value end,
                                    SmallVectorImpl<Value> &ids) {
  Value zero = arith::ConstantIndexOp::create(b, 0);
  Value one = arith::ConstantIndexOp::create(b, 1);
  Value x = arith::RemUIOp::create(b, begin, grid[0]);
  Value rest = arith::DivUIOp::create(b, begin, grid[0]);
  Value y = arith::RemUIOp::create(b, rest, grid[1]);
  Value z = arith::DivUIOp::create(b, rest, grid[1]);
  auto loop = scf::ForOp::create(b, begin, end, one, ValueRange{x, y, z});
  b.setInsertionPointToStart(loop.getBody());
  llvm::append_range(ids, loop.getRegionIterArgs());

  // The next program's position: a carry instead of divisions.
  auto carryInto = [&](Value id, Value limit, Value carry) {
    Value next = arith::AddIOp::create(b, id, carry);
    Value wraps =
        arith::CmpIOp::create(b, arith::CmpIPredicate::eq, next, limit);
    return std::make_pair(Value(arith::SelectOp::create(b, wraps, zero, next)),
                          Value(arith::SelectOp::create(b, wraps, one, zero)));
  };
  auto [nextX, carryY] = carryInto(ids[0], grid[0], one);
  auto [nextY, carryZ] = carryInto(ids[1], grid[1], carryY);
  Value nextZ = arith::AddIOp::create(b, ids[2], carryZ);
  auto yield = scf::YieldOp::create(b, ValueRange{nextX, nextY, nextZ});
  b.setInsertionPoint(yield);
  return loop;
}

/// Whether all that becomes of a tile is rounded to bf16, whatever happens to
/// its relative error before.
static bool endsNarrow(Value tile) {
  return llvm::all_of(tile.getUsers(), [](Operation *user) {
    if (isa<arith::TruncFOp>(user))
      return getElementTypeOrSelf(user->getResult(0)).isBF16();
    return isa<arith::AddFOp, arith::MulFOp, arith::MaximumFOp,
               arith::MinimumFOp>(user) &&
           endsNarrow(user->getResult(0));
  });
}

static bool isNonNegativeConstant(Value tile) {
  APFloat value(0.0);
  return matchPattern(tile, m_ConstantFloat(&value)) && !value.isNegative();
}

/// Whether a multiply takes the tile, rounded to bf16.
static bool isMultipliedNarrow(Value tile) {
  return llvm::any_of(tile.getUsers(), [](Operation *user) {
    return isa<arith::TruncFOp>(user) &&
           getElementTypeOrSelf(user->getResult(0)).isBF16() &&
           llvm::any_of(user->getUsers(), llvm::IsaPred<tile::MmaOp>);
  });
}

/// Whether all that becomes of a tile is rounded to bf16, and only after steps
/// that leave its relative error as it is: factors, and terms of the same sign.
/// A sum of all may leave the kernel as it is, beside a product of the same
/// elements rounded to bf16: softmax divides that product by it.
static bool endsNarrowByFactors(Value tile, bool isNonNegative) {
  return llvm::all_of(tile.getUses(), [&](OpOperand &use) {
    Operation *user = use.getOwner();
    if (auto sum = dyn_cast<tile::ReduceOp>(user))
      return isNonNegative && sum.getKind() == tile::Combine::Add &&
             isMultipliedNarrow(tile);
    if (isa<arith::TruncFOp>(user))
      return getElementTypeOrSelf(user->getResult(0)).isBF16();
    if (!isa<arith::AddFOp, arith::MulFOp, arith::DivFOp>(user))
      return false;
    bool staysNonNegative =
        isNonNegative &&
        isNonNegativeConstant(user->getOperand(1 - use.getOperandNumber()));
    return (staysNonNegative || !isa<arith::AddFOp>(user)) &&
           endsNarrowByFactors(user->getResult(0), staysNonNegative);
  });
}

/// Allows rough functions where results are stored as bf16: GELU's erf, whose
/// error is absolute, and the powers of attention and of logistic functions,
/// and reciprocals, whose errors are relative.
static void markRough(tile::KernelOp kernel) {
  kernel.walk([](Operation *op) {
    if (auto erf = dyn_cast<math::ErfOp>(op); erf && endsNarrow(erf))
      erf.setFastmath(erf.getFastmath() | arith::FastMathFlags::afn);
    bool isPower = isa<math::Exp2Op>(op);
    bool isReciprocal =
        isa<arith::DivFOp>(op) && matchPattern(op->getOperand(0), m_OneFloat());
    if ((isPower || isReciprocal) &&
        getElementTypeOrSelf(op->getResult(0)).isF32() &&
        endsNarrowByFactors(op->getResult(0), /*isNonNegative=*/isPower))
      op->setAttr(kNarrowAttr, UnitAttr::get(op->getContext()));
  });
}

static LogicalResult lowerKernel(tile::KernelOp kernel,
                                 const VectorUnit &unit) {
  markRough(kernel);
  OpBuilder builder(kernel);
  func::FuncOp programs = createPrograms(kernel, builder);
  createEntry(kernel, programs, builder);

  Block *entry = &programs.getBody().front();
  ImplicitLocOpBuilder b(kernel.getLoc(), builder);
  b.setInsertionPointToStart(entry);
  auto end = func::ReturnOp::create(b);
  b.setInsertionPoint(end);

  unsigned arguments = kernel.getArgumentTypes().size();
  ValueRange own = ValueRange(entry->getArguments()).take_front(arguments);
  ValueRange launch = ValueRange(entry->getArguments()).drop_front(arguments);
  SmallVector<Value> ids;
  createProgramLoop(b, launch.take_front(2), launch[2], launch[3], ids);

  DimClasses classes(kernel);
  Bounds bounds(kernel, classes);
  TileLoops tileLoops;
  if (unit.tiles)
    tileLoops = TileLoops(kernel, bounds);
  Emitter emitter(kernel, unit, classes, bounds, tileLoops, b, entry);
  emitter.getMapping().map(kernel.getBody().getArguments(), own);
  emitter.setSweep({ids[0], launch[0]});
  kernel.walk([&](tile::ProgramIdOp op) {
    emitter.getMapping().map(op.getResult(), ids[op.getAxis()]);
  });
  if (failed(emitter.emitProgram()))
    return failure();
  if (emitter.getScratchBytes() > unit.scratchBytes)
    return kernel.emitOpError("keeps ")
           << emitter.getScratchBytes() << " bytes of tiles in scratch; x86 "
           << "allows " << unit.scratchBytes << " for one program";
  kernel.erase();
  return success();
}

namespace {
struct X86LowerTilePass
    : lathe::x86::impl::X86LowerTilePassBase<X86LowerTilePass> {
  using X86LowerTilePassBase::X86LowerTilePassBase;

  void runOnOperation() override {
    const Level *found = lookupLevel(level);
    if (!found) {
      getOperation().emitError("x86 has no level '") << level << "'";
      return signalPassFailure();
    }
    VectorUnit unit = getVectorUnit(*found);
    for (auto kernel :
         llvm::make_early_inc_range(getOperation().getOps<tile::KernelOp>()))
      if (failed(lowerKernel(kernel, unit)))
        return signalPassFailure();
  }
};
} // namespace
