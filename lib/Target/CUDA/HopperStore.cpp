// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/CUDA/HopperStore.h"
#include "lib/Target/CUDA/DemandOrder.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::cuda;

static constexpr int64_t kColumns = SharedMatrix::kLineElements;

namespace {

class StoreEmitter {
public:
  StoreEmitter(ImplicitLocOpBuilder &b, const StoreGroup &group,
               const TileBoxes &boxes)
      : b(b), h(b), group(group), boxes(boxes) {}

  Value createPointers();
  Value createPairs();
  void fill(Value pointers, int64_t buffer, ValueRange sums);
  void whenFirst(llvm::function_ref<void()> body) {
    Value isFirst = arith::CmpIOp::create(b, arith::CmpIPredicate::eq,
                                          group.thread, h.constant(0));
    h.when(isFirst, body);
  }
  void sync() { h.syncNamed(group.barrier, kWarpgroupSize); }

private:
  Value bits(Value x, int64_t mask) {
    return arith::AndIOp::create(b, x, h.constant(mask));
  }
  Value xorOf(Value x, Value y) { return arith::XOrIOp::create(b, x, y); }

  ImplicitLocOpBuilder &b;
  HopperEmitter h;
  const StoreGroup &group;
  const TileBoxes &boxes;
};

} // namespace

/// Where the thread's lane of a store of four 8x8 matrices begins, in the first
/// two times eight columns of a box: row `lane % 16` of the warp's rows, and 16
/// bytes that the swizzle exchanges among the row's eight.
Value StoreEmitter::createPointers() {
  Value lane = bits(group.thread, 31);
  Value warp = arith::ShRUIOp::create(b, group.thread, h.constant(5));
  Value row = h.add(h.mul(warp, 16), bits(lane, 15));
  Value half = arith::ShRUIOp::create(b, lane, h.constant(4));
  Value piece = xorOf(bits(lane, 7), half);
  Value line = h.add(h.getNumber(group.buffers), h.mul(row, kSwizzleBytes));
  return xorOf(line, h.mul(piece, 16));
}

/// Where the thread's first pair of sums is in a box: of each row's first eight
/// columns four lanes have two each.
Value StoreEmitter::createPairs() {
  Value lane = bits(group.thread, 31);
  Value warp = arith::ShRUIOp::create(b, group.thread, h.constant(5));
  Value inEight = arith::ShRUIOp::create(b, lane, h.constant(2));
  Value row = h.add(h.mul(warp, 16), inEight);
  Value line = h.add(h.getNumber(group.buffers), h.mul(row, kSwizzleBytes));
  Value pair = h.add(line, h.mul(bits(lane, 3), 4));
  return xorOf(pair, h.mul(inEight, 16));
}

SmallVector<Value> cuda::readBoxes(ImplicitLocOpBuilder &b,
                                   const StoreGroup &group, Type element) {
  HopperEmitter h(b);
  auto pointer = LLVM::LLVMPointerType::get(b.getContext(), 3);
  auto pair = VectorType::get({2}, element);
  Value first = StoreEmitter(b, group, TileBoxes()).createPairs();
  SmallVector<Value> values;
  for (int64_t i = 0; i < group.count; ++i)
    for (int64_t j = 0; j < kColumns / 8; ++j)
      for (int64_t row : {0, 8}) {
        Value at = arith::XOrIOp::create(b, first, h.constant(j * 16));
        at = h.add(at, h.constant(i * kStoreBytes + row * kSwizzleBytes));
        auto load = LLVM::LoadOp::create(
            b, pair, LLVM::IntToPtrOp::create(b, pointer, at));
        load->setAttr(kUnchangedAttr, b.getUnitAttr());
        for (int64_t k : {0, 1})
          values.push_back(
              LLVM::ExtractElementOp::create(b, load, h.constant(k)));
      }
  return values;
}

/// 64 rows and columns, eight columns a matrix of sums.
void StoreEmitter::fill(Value pointers, int64_t buffer, ValueRange sums) {
  Value line = h.add(pointers, h.constant(buffer * kStoreBytes));
  Type element = boxes.map.element;
  for (int64_t j = 0; j < kColumns / 8; j += 2) {
    SmallVector<Value> words;
    for (int64_t i = 4 * j; i < 4 * j + 8; i += 2)
      words.push_back(h.pack(sums[i], sums[i + 1], element));
    Value at = xorOf(line, h.constant(j * 16));
    Value pointer = LLVM::IntToPtrOp::create(
        b, LLVM::LLVMPointerType::get(b.getContext(), 3), at);
    h.storeMatrices(pointer, words);
  }
}

void cuda::emitStore(ImplicitLocOpBuilder &b, const StoreGroup &group,
                     const TileBoxes &boxes, Value map, ArrayRef<Value> start,
                     ValueRange sums, int64_t columns) {
  StoreEmitter emitter(b, group, boxes);
  HopperEmitter h(b);
  Value pointers = emitter.createPointers();
  int64_t perBox = kStoreLines * kColumns / kWarpgroupSize;
  int64_t across = columns / kColumns, count = sums.size() / perBox;
  for (int64_t i = 0; i < count; ++i) {
    int64_t buffer = i % group.count;
    // Only this thread's copies read the buffers. The last tile's last box may
    // lie in any of them.
    bool isInTurn = i > 0 || count % group.count == 0;
    if (!group.isInPlace) {
      emitter.whenFirst([&] {
        h.waitStores(isInTurn ? group.count - 1 : 0, /*isRead=*/true);
      });
      emitter.sync();
    }
    emitter.fill(pointers, buffer, sums.slice(i * perBox, perBox));
    h.fenceAsync();
    emitter.sync();
    emitter.whenFirst([&] {
      SmallVector<Value> at(start);
      at[0] = h.add(at[0], h.constant(i % across * kColumns));
      at[1] = h.add(at[1], h.constant(i / across * kStoreLines));
      h.storeBox(map, h.getAddress(group.buffers, buffer * kStoreBytes), at);
      h.commitStores();
    });
  }
}

void cuda::emitStoresDone(ImplicitLocOpBuilder &b, const StoreGroup &group) {
  HopperEmitter h(b);
  Value isFirst = arith::CmpIOp::create(b, arith::CmpIPredicate::eq,
                                        group.thread, h.constant(0));
  h.when(isFirst, [&] { h.waitStores(0, /*isRead=*/true); });
}
