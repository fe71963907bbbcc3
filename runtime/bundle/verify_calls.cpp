// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How deep entries run each other, and how often. Callees stand after their
// callers, so one pass from the last entry to the first knows both.

#include "runtime/bundle/format.h"
#include "runtime/bundle/verify.h"

namespace lathe::rt {

using namespace bundle;

namespace {
struct CallTree {
  uint32_t depth = 1; ///< entries on the longest chain of calls from here
  uint64_t size = 1;  ///< of the tree of calls, loops twice
};
} // namespace

const flatbuffers::Vector<uint32_t> *bindsOf(const Step &step) {
  if (const BuiltinCall *call = step.body_as_BuiltinCall())
    return call->binds();
  if (const Call *call = step.body_as_Call())
    return call->binds();
  if (const Loop *loop = step.body_as_Loop())
    return loop->binds();
  return nullptr;
}

static void add(CallTree &tree, const CallTree &callee, uint32_t times) {
  if (tree.depth < callee.depth + 1)
    tree.depth = callee.depth + 1;
  tree.size += times * callee.size; // Both are limited: no overflow.
}

Status verifyCalls(const Allocator &allocator, const Variant &variant,
                   WorkBudget &budget) {
  Array<CallTree> trees;
  LATHE_TRY(trees.allocate(allocator, sizeOf(variant.programs())));
  for (uint32_t i = sizeOf(variant.programs()); i-- > 0;) {
    CallTree &tree = trees[i];
    const auto *steps = variant.programs()->Get(i)->steps();
    LATHE_TRY(budget.spend(sizeOf(steps)));
    for (uint32_t s = 0; s < sizeOf(steps); ++s) {
      if (const Call *call = steps->Get(s)->body_as_Call())
        for (uint32_t c = 0; c < sizeOf(call->callees()); ++c)
          add(tree, trees[call->callees()->Get(c)->entry()], 1);
      if (const Loop *loop = steps->Get(s)->body_as_Loop())
        add(tree, trees[loop->body()], 2);
      if (tree.depth > maxCallDepth || tree.size > maxCalls)
        return error(LATHE_CORRUPT,
                     "entry %u runs others %u deep, %llu in all; %u and %u are "
                     "allowed",
                     i, tree.depth, static_cast<unsigned long long>(tree.size),
                     maxCallDepth, maxCalls);
    }
  }
  return ok();
}

} // namespace lathe::rt
