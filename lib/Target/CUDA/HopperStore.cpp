// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/CUDA/HopperStore.h"
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
    emitter.whenFirst(
        [&] { h.waitStores(isInTurn ? group.count - 1 : 0, /*isRead=*/true); });
    emitter.sync();
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
