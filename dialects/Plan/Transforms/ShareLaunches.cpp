// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --plan-share-launches
//
//   plan.launch [@quantize] reads(%x) writes(%c0)
//   plan.launch [@linear] reads(%c0, %w0) writes(%y0)
//   plan.launch [@quantize] reads(%x) writes(%c1)
//   plan.launch [@linear] reads(%c1, %w1) writes(%y1)
// becomes
//   plan.launch [@quantize] reads(%x) writes(%c0)
//   plan.launch [@linear] reads(%c0, %w0) writes(%y0)
//   plan.launch [@linear] reads(%c0, %w1) writes(%y1)

#include "dialects/Plan/Transforms/Passes.h"

namespace lathe::plan {
#define GEN_PASS_DEF_SHARELAUNCHESPASS
#include "dialects/Plan/Transforms/Passes.h.inc"
} // namespace lathe::plan

using namespace mlir;
using namespace lathe::plan;

/// The buffer whose bytes `buffer` names.
static Value getStorage(Value buffer) {
  while (auto alias = buffer.getDefiningOp<AliasOp>())
    buffer = alias.getSource();
  return buffer;
}

namespace {
/// The ops that write each storage.
class Writers {
public:
  explicit Writers(ProgramOp program);

  /// Whether only `op` writes `buffer`, which is an allocation.
  bool isOnly(LaunchOp op, Value buffer) const {
    return buffer.getDefiningOp<AllocOp>() &&
           writers.lookup(buffer) == SmallVector<Operation *, 1>{op};
  }
  /// Whether `buffer` is the same from `op` on for as long as its block runs:
  /// nothing writes it, or one op of the block does, before `op`.
  bool isSteadyFrom(LaunchOp op, Value buffer) const {
    return llvm::all_of(writers.lookup(getStorage(buffer)), [&](Operation *by) {
      return by->getBlock() == op->getBlock() && by->isBeforeInBlock(op);
    });
  }

private:
  llvm::DenseMap<Value, SmallVector<Operation *, 1>> writers;
};
} // namespace

Writers::Writers(ProgramOp program) {
  program.walk([&](Operation *op) {
    auto add = [&](ValueRange buffers) {
      for (Value buffer : buffers)
        writers[getStorage(buffer)].push_back(op);
    };
    if (auto launch = dyn_cast<LaunchOp>(op))
      add(launch.getWrites());
    else if (auto builtin = dyn_cast<BuiltinOp>(op))
      add(builtin.getWrites());
  });
}

/// Whether `a` and `b` compute the same into buffers of the same types.
static bool computeAlike(LaunchOp a, LaunchOp b) {
  return a.getChoices() == b.getChoices() && a.getScalars() == b.getScalars() &&
         llvm::equal(a.getReads(), b.getReads()) &&
         a.getWrites().getTypes() == b.getWrites().getTypes();
}

namespace {
struct ShareLaunchesPass
    : lathe::plan::impl::ShareLaunchesPassBase<ShareLaunchesPass> {
  using Base::Base;

  void runOnOperation() override;
};
} // namespace

/// Whether what `op` computes could be computed anywhere after it.
static bool isShareable(LaunchOp op, const Writers &writers) {
  return llvm::all_of(
             op.getReads(),
             [&](Value buffer) { return writers.isSteadyFrom(op, buffer); }) &&
         llvm::all_of(op.getWrites(),
                      [&](Value buffer) { return writers.isOnly(op, buffer); });
}

static void replace(LaunchOp op, LaunchOp earlier) {
  SmallVector<Value> buffers(op.getWrites());
  op.erase();
  for (auto [buffer, shared] : llvm::zip_equal(buffers, earlier.getWrites())) {
    buffer.replaceAllUsesWith(shared);
    buffer.getDefiningOp()->erase();
  }
}

void ShareLaunchesPass::runOnOperation() {
  Writers writers(getOperation());
  getOperation().walk([&](Block *block) {
    llvm::DenseMap<Attribute, SmallVector<LaunchOp, 1>> known; // By choices.
    for (LaunchOp op : llvm::make_early_inc_range(block->getOps<LaunchOp>())) {
      if (!isShareable(op, writers))
        continue;
      SmallVector<LaunchOp, 1> &earlier = known[op.getChoices()];
      auto *found = llvm::find_if(
          earlier, [&](LaunchOp other) { return computeAlike(other, op); });
      if (found == earlier.end()) {
        earlier.push_back(op);
        continue;
      }
      replace(op, *found);
      ++numShared;
    }
  });
}
