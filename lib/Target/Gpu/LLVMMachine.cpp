// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/Gpu/LLVMMachine.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;
using namespace lathe::gpu;

static_assert(Machine::kStepBits == LLVM::kGEPConstantBitWidth);

//===----------------------------------------------------------------------===//
// Vectors
//===----------------------------------------------------------------------===//

Value lathe::gpu::extractLane(Machine::Builder &b, Value vector, int64_t lane) {
  Value at = LLVM::ConstantOp::create(b, b.getI32Type(), lane);
  return LLVM::ExtractElementOp::create(b, vector, at);
}

Value lathe::gpu::packVector(Machine::Builder &b, ValueRange scalars) {
  auto type = VectorType::get({static_cast<int64_t>(scalars.size())},
                              scalars.front().getType());
  Value vector = LLVM::PoisonOp::create(b, type);
  for (auto [i, scalar] : llvm::enumerate(scalars)) {
    Value at = LLVM::ConstantOp::create(b, b.getI32Type(), int64_t(i));
    vector = LLVM::InsertElementOp::create(b, vector, scalar, at);
  }
  return vector;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Value LLVMMachine::getShared(Builder &b) const {
  auto pointer = LLVM::LLVMPointerType::get(b.getContext(), 3);
  return LLVM::AddressOfOp::create(b, pointer, ModuleSymbols::shared.str());
}

Value LLVMMachine::orZeros(Builder &b, Value isRead, Value pointer) const {
  Value zeros = LLVM::AddressOfOp::create(b, pointer.getType(),
                                          ModuleSymbols::zeros.str());
  return LLVM::SelectOp::create(b, isRead, pointer, zeros);
}

Value LLVMMachine::advance(Builder &b, Value pointer, Type element,
                           Value elements) const {
  return LLVM::GEPOp::create(b, pointer.getType(), element, pointer,
                             ArrayRef<LLVM::GEPArg>{elements});
}

Value LLVMMachine::advance(Builder &b, Value pointer, Type element,
                           int64_t elements) const {
  return LLVM::GEPOp::create(
      b, pointer.getType(), element, pointer,
      ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(elements)});
}

Value LLVMMachine::getNumber(Builder &b, Value pointer) const {
  return LLVM::PtrToIntOp::create(b, b.getI64Type(), pointer);
}

Registers LLVMMachine::load(Builder &b, Value pointer, Type element,
                            int64_t count, int64_t alignment) const {
  if (count == 1)
    return {LLVM::LoadOp::create(b, element, pointer, unsigned(alignment))};
  auto type = VectorType::get({count}, element);
  Value vector = LLVM::LoadOp::create(b, type, pointer, unsigned(alignment));
  Registers elements;
  for (int64_t i = 0; i < count; ++i)
    elements.push_back(extractLane(b, vector, i));
  return elements;
}

void LLVMMachine::store(Builder &b, Value pointer, ValueRange elements,
                        int64_t alignment) const {
  Value value = elements.size() > 1 ? packVector(b, elements) : elements[0];
  LLVM::StoreOp::create(b, value, pointer, unsigned(alignment));
}
