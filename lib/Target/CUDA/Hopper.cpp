// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The encodings are those of the PTX ISA, "Asynchronous warpgroup level matrix
// instructions" and "Tensor copies".

#include "lib/Target/CUDA/Hopper.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace lathe::cuda;

int64_t SharedMatrix::getOffset(int64_t row, int64_t k) const {
  int64_t along = isKMajor ? k : row, line = isKMajor ? row : k;
  int64_t bytes = along * elementBytes;
  return bytes / kSwizzleBytes * getBoxBytes() + line * kSwizzleBytes +
         bytes % kSwizzleBytes;
}

SmallVector<Value> HopperEmitter::inlinePTX(StringRef text,
                                            StringRef constraints,
                                            ValueRange operands,
                                            ArrayRef<Type> results,
                                            bool hasSideEffects) {
  MLIRContext *context = b.getContext();
  SmallVector<Type, 1> types;
  if (results.size() == 1)
    types.push_back(results.front());
  else if (results.size() > 1)
    types.push_back(LLVM::LLVMStructType::getLiteral(context, results));
  auto op = LLVM::InlineAsmOp::create(
      b, types, operands, text, constraints, hasSideEffects,
      /*is_align_stack=*/false, LLVM::TailCallKind::None,
      LLVM::AsmDialectAttr::get(context, LLVM::AsmDialect::AD_ATT),
      /*operand_attrs=*/ArrayAttr());
  if (results.size() < 2)
    return SmallVector<Value>(op->getResults());
  SmallVector<Value> parts;
  for (int64_t i = 0; i < int64_t(results.size()); ++i)
    parts.push_back(LLVM::ExtractValueOp::create(b, op->getResult(0), i));
  return parts;
}

//===----------------------------------------------------------------------===//
// Scalars
//===----------------------------------------------------------------------===//

Value HopperEmitter::constant(int64_t value, unsigned bits) {
  return arith::ConstantOp::create(
      b, b.getIntegerAttr(b.getIntegerType(bits), value));
}

Value HopperEmitter::getAddress(Value pointer, int64_t bytes) {
  if (bytes == 0)
    return pointer;
  return LLVM::GEPOp::create(
      b, pointer.getType(), b.getI8Type(), pointer,
      ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(bytes)});
}

Value HopperEmitter::getAddress(Value pointer, Value bytes) {
  return LLVM::GEPOp::create(b, pointer.getType(), b.getI8Type(), pointer,
                             ArrayRef<LLVM::GEPArg>{bytes});
}

Value HopperEmitter::getNumber(Value pointer) {
  return LLVM::PtrToIntOp::create(b, b.getI32Type(), pointer);
}

Value HopperEmitter::add(Value x, Value y) {
  return b.createOrFold<arith::AddIOp>(x, y);
}

Value HopperEmitter::mul(Value x, int64_t y) {
  unsigned bits = x.getType().getIntOrFloatBitWidth();
  return b.createOrFold<arith::MulIOp>(x, constant(y, bits));
}

Value HopperEmitter::getWarp(Value thread) {
  Value warp = arith::ShRUIOp::create(b, thread, constant(5));
  return NVVM::ShflOp::create(b, b.getI32Type(), constant(-1), warp,
                              constant(0), constant(31), NVVM::ShflKind::idx,
                              UnitAttr());
}

//===----------------------------------------------------------------------===//
// Control
//===----------------------------------------------------------------------===//

void HopperEmitter::when(Value condition, llvm::function_ref<void()> body,
                         llvm::function_ref<void()> other) {
  auto branch = scf::IfOp::create(b, condition, /*withElseRegion=*/bool(other));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(branch.thenBlock()->getTerminator());
  body();
  if (!other)
    return;
  b.setInsertionPoint(branch.elseBlock()->getTerminator());
  other();
}

Value HopperEmitter::elect() {
  return NVVM::ElectSyncOp::create(b, b.getI1Type(), Value());
}

void HopperEmitter::syncWarp() { NVVM::SyncWarpOp::create(b, constant(-1)); }

void HopperEmitter::setRegisters(int64_t count, bool isMore) {
  auto action = isMore ? NVVM::SetMaxRegisterAction::increase
                       : NVVM::SetMaxRegisterAction::decrease;
  NVVM::SetMaxRegisterOp::create(b, static_cast<uint32_t>(count), action);
}

void HopperEmitter::syncNamed(Value barrier, int64_t threads) {
  NVVM::BarrierOp::create(b, Type(), barrier, constant(threads), nullptr,
                          Value());
}

void HopperEmitter::arriveNamed(Value barrier, int64_t threads) {
  NVVM::BarrierArriveOp::create(b, barrier, constant(threads));
}

//===----------------------------------------------------------------------===//
// Barriers in shared memory
//===----------------------------------------------------------------------===//

void HopperEmitter::initBarrier(Value barrier, int64_t arrivals) {
  NVVM::MBarrierInitOp::create(b, barrier, constant(arrivals), Value());
}

void HopperEmitter::fenceBarrierInit() { NVVM::FenceMbarrierInitOp::create(b); }

void HopperEmitter::arrive(Value barrier) {
  inlinePTX("mbarrier.arrive.shared::cta.b64 _, [$0];", "r", barrier, {});
}

void HopperEmitter::arriveRemote(Value barrier, Value block) {
  // An address of 32 bits, for registers are scarce where this is done.
  inlinePTX("{ .reg .b32 remote; mapa.shared::cluster.u32 remote, $0, $1; "
            "mbarrier.arrive.shared::cluster.b64 _, [remote]; }",
            "r,r", {barrier, block}, {});
}

Value HopperEmitter::getRemote(Value pointer, Value block) {
  return inlinePTX("mapa.shared::cluster.u32 $0, $1, $2;", "=r,r,r",
                   {getNumber(pointer), block}, {b.getI32Type()},
                   /*hasSideEffects=*/false)[0];
}

void HopperEmitter::storeAsync(Value place, Value value, Value barrier) {
  inlinePTX("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.f32 "
            "[$0], $1, [$2];",
            "r,f,r", {place, value, barrier}, {});
}

Value HopperEmitter::getClusterRank() {
  return NVVM::ClusterId::create(b, b.getI32Type());
}

void HopperEmitter::syncCluster() {
  NVVM::ClusterArriveOp::create(b, UnitAttr());
  NVVM::ClusterWaitOp::create(b, UnitAttr());
}

void HopperEmitter::arriveExpecting(Value barrier, int64_t bytes) {
  inlinePTX("mbarrier.arrive.expect_tx.shared::cta.b64 _, [$0], $1;", "r,r",
            {barrier, constant(bytes)}, {});
}

void HopperEmitter::waitBarrier(Value barrier, Value parity) {
  // Nanoseconds that the hardware may suspend the thread before it looks again.
  constexpr int64_t patience = 10'000'000;
  NVVM::MBarrierTryWaitParityOp::create(b, barrier, parity, constant(patience));
}

RingPosition HopperEmitter::getNext(RingPosition position, int64_t stages) {
  Value next = add(position.stage, constant(1));
  Value isEnd = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, next,
                                      constant(stages));
  Value other = arith::XOrIOp::create(b, position.parity, constant(1));
  return {arith::SelectOp::create(b, isEnd, constant(0), next),
          arith::SelectOp::create(b, isEnd, other, position.parity)};
}

//===----------------------------------------------------------------------===//
// Copies
//===----------------------------------------------------------------------===//

void HopperEmitter::loadBox(Value to, Value map, ValueRange coordinates,
                            Value barrier, Value blocks) {
  if (blocks)
    to = LLVM::AddrSpaceCastOp::create(
        b, LLVM::LLVMPointerType::get(b.getContext(), 7), to);
  auto mode =
      NVVM::TMALoadModeAttr::get(b.getContext(), NVVM::TMALoadMode::TILE);
  NVVM::CpAsyncBulkTensorGlobalToSharedClusterOp::create(
      b, to, map, coordinates, barrier, ValueRange(), blocks, Value(), mode,
      b.getBoolAttr(!blocks), nullptr, Value());
}

void HopperEmitter::storeBox(Value map, Value from, ValueRange coordinates) {
  auto mode =
      NVVM::TMAStoreModeAttr::get(b.getContext(), NVVM::TMAStoreMode::TILE);
  NVVM::CpAsyncBulkTensorSharedCTAToGlobalOp::create(b, map, from, coordinates,
                                                     Value(), mode, Value());
}

void HopperEmitter::commitStores() {
  NVVM::CpAsyncBulkCommitGroupOp::create(b);
}

void HopperEmitter::waitStores(int64_t pending, bool isRead) {
  NVVM::CpAsyncBulkWaitGroupOp::create(b, b.getI32IntegerAttr(pending),
                                       isRead ? b.getUnitAttr() : UnitAttr());
}

void HopperEmitter::prefetchMap(Value map) {
  NVVM::PrefetchOp::create(b, nullptr, nullptr, map, Value(), b.getUnitAttr());
}

void HopperEmitter::fenceAsync() {
  MLIRContext *context = b.getContext();
  NVVM::FenceProxyOp::create(
      b, NVVM::ProxyKindAttr::get(context, NVVM::ProxyKind::async_shared),
      NVVM::SharedSpaceAttr::get(context, NVVM::SharedSpace::shared_cta));
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

Value HopperEmitter::getDescriptor(Value address, const SharedMatrix &matrix) {
  // In units of 16 bytes: the address, from one box to the next (ignored along
  // k), from eight lines to the next eight; and swizzling of 128 bytes.
  constexpr int64_t unit = 16, addressBits = 0x3ffff;
  int64_t boxes = matrix.isKMajor ? 1 : matrix.getBoxBytes() / unit;
  int64_t fixed =
      (int64_t(1) << 62) | (kSwizzleAlignment / unit) << 32 | boxes << 16;
  Value low = arith::AndIOp::create(b, address, constant(addressBits));
  low = arith::ShRUIOp::create(b, low, constant(4));
  Value wide = arith::ExtUIOp::create(b, b.getI64Type(), low);
  return arith::OrIOp::create(b, wide, constant(fixed, 64));
}

Value HopperEmitter::advance(Value descriptor, int64_t bytes) {
  return add(descriptor, constant(bytes >> 4, 64));
}

Value HopperEmitter::advance(Value descriptor, Value bytes) {
  Value units = arith::ShRUIOp::create(b, bytes, constant(4));
  return add(descriptor, arith::ExtUIOp::create(b, b.getI64Type(), units));
}

void HopperEmitter::fenceProducts() { NVVM::WgmmaFenceAlignedOp::create(b); }

SmallVector<Value> HopperEmitter::fenceProducts(ValueRange words) {
  std::string constraints;
  for (size_t i = 0; i < words.size(); ++i)
    constraints += i ? ",=r" : "=r";
  for (size_t i = 0; i < words.size(); ++i)
    constraints += "," + std::to_string(i);
  return inlinePTX("wgmma.fence.sync.aligned;", constraints, words,
                   SmallVector<Type>(words.size(), b.getI32Type()));
}

void HopperEmitter::commitProducts() {
  NVVM::WgmmaGroupSyncAlignedOp::create(b);
}

/// "$3,$4,$5".
static std::string listOperands(int64_t first, int64_t count) {
  std::string text;
  for (int64_t i = first; i < first + count; ++i)
    text += (i == first ? "$" : ",$") + std::to_string(i);
  return text;
}

/// "=f,=f,r,0,1": `results` f32, the operands' constraints, and the results
/// again where they are operands as well.
static std::string getConstraints(int64_t results, StringRef operands,
                                  int64_t tied) {
  std::string text;
  auto append = [&](StringRef part) {
    if (!part.empty())
      text += (text.empty() ? "" : ",") + part.str();
  };
  for (int64_t i = 0; i < results; ++i)
    append("=f");
  append(operands);
  for (int64_t i = 0; i < tied; ++i)
    append(std::to_string(i));
  return text;
}

/// Of elements, as instructions have it.
static StringRef getTypeName(Type element) {
  if (isa<Float8E4M3FNType>(element))
    return "e4m3";
  if (isa<Float8E5M2Type>(element))
    return "e5m2";
  return element.isF16() ? "f16" : "bf16";
}

SmallVector<Value> HopperEmitter::multiply(const WgmmaShape &shape,
                                           ValueRange a, Value descriptor,
                                           ValueRange sums) {
  int64_t count = shape.getSums();
  bool isShared = a.size() == 1;
  bool isByte = shape.element.getIntOrFloatBitWidth() == 8;
  std::string type = getTypeName(shape.element).str();
  std::string text = "wgmma.mma_async.sync.aligned.m64n" +
                     std::to_string(shape.columns) + (isByte ? "k32" : "k16") +
                     ".f32." + type + "." + type + " {" +
                     listOperands(0, count) + "}, ";
  text += isShared ? listOperands(count, 1)
                   : "{" + listOperands(count, a.size()) + "}";
  text += ", $" + std::to_string(count + a.size());
  // Whether sums are added to, the operands' signs, whether they are MN-major.
  text += sums.empty() ? ", 0, 1, 1" : ", 1, 1, 1";
  if (isShared && !isByte)
    text += shape.isAKMajor ? ", 0" : ", 1";
  if (!isByte)
    text += shape.isBKMajor ? ", 0" : ", 1";
  text += ";";
  SmallVector<Value> operands(a);
  operands.push_back(descriptor);
  llvm::append_range(operands, sums);
  SmallVector<Type> types(count, b.getF32Type());
  return inlinePTX(
      text, getConstraints(count, isShared ? "l,l" : "r,r,r,r,l", sums.size()),
      operands, types);
}

SmallVector<Value> HopperEmitter::waitProducts(int64_t pending, ValueRange sums,
                                               ValueRange kept) {
  std::string text =
      "wgmma.wait_group.sync.aligned " + std::to_string(pending) + ";";
  std::string inputs;
  for (size_t i = 0; i < kept.size(); ++i)
    inputs += i ? ",r" : "r";
  SmallVector<Value> operands(kept);
  llvm::append_range(operands, sums);
  SmallVector<Type> types(sums.size(), b.getF32Type());
  return inlinePTX(text, getConstraints(sums.size(), inputs, sums.size()),
                   operands, types);
}

//===----------------------------------------------------------------------===//
// Pairs of elements
//===----------------------------------------------------------------------===//

Value HopperEmitter::pack(Value low, Value high, Type element) {
  std::string text = element.isF16() ? "cvt.rn.f16x2.f32 $0, $2, $1;"
                                     : "cvt.rn.bf16x2.f32 $0, $2, $1;";
  return inlinePTX(text, "=r,f,f", {low, high}, {b.getI32Type()},
                   /*hasSideEffects=*/false)[0];
}

void HopperEmitter::storeMatrices(Value pointer, ValueRange words,
                                  bool isTransposed) {
  MLIRContext *context = b.getContext();
  auto layout = isTransposed ? NVVM::MMALayout::col : NVVM::MMALayout::row;
  NVVM::StMatrixOp::create(
      b, pointer, words, NVVM::MMALayoutAttr::get(context, layout),
      NVVM::LdStMatrixShapeAttr::get(context, 8, 8),
      NVVM::LdStMatrixEltTypeAttr::get(context, NVVM::LdStMatrixEltType::B16));
}
