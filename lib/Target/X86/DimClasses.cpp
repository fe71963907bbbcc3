// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/X86/DimClasses.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::x86;

/// The rank of a tile, or 0 for what is not a tile.
static unsigned rankOf(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type ? type.getRank() : 0;
}

DimClasses::DimClasses(tile::KernelOp kernel) {
  kernel.walk<WalkOrder::PreOrder>([&](Operation *op) { visit(op); });
  // A class that a tile has twice, as x . x^T does, would lose the blocks off
  // the diagonal.
  for (auto [key, index] : nodes)
    for (unsigned other = key.second + 1, rank = rankOf(key.first);
         other < rank; ++other)
      if (find(index) == find(nodes.lookup({key.first, other})))
        fixed[find(index)] = true;
}

unsigned DimClasses::node(Value tile, unsigned dim) {
  auto [it, isNew] = nodes.try_emplace({tile, dim}, parents.size());
  if (isNew) {
    parents.push_back(parents.size());
    fixed.push_back(false);
    sizes.push_back(cast<RankedTensorType>(tile.getType()).getDimSize(dim));
  }
  return it->second;
}

unsigned DimClasses::find(unsigned node) const {
  while (parents[node] != node)
    node = parents[node] = parents[parents[node]];
  return node;
}

unsigned DimClasses::classOf(Value tile, unsigned dim) const {
  return find(nodes.lookup({tile, dim}));
}

void DimClasses::unite(Value a, unsigned dimA, Value b, unsigned dimB) {
  unsigned rootA = find(node(a, dimA)), rootB = find(node(b, dimB));
  if (rootA == rootB)
    return;
  parents[rootB] = rootA;
  fixed[rootA] |= fixed[rootB];
}

void DimClasses::uniteAll(Value a, Value b) {
  for (unsigned dim = 0, rank = rankOf(a); dim < rank; ++dim)
    unite(a, dim, b, dim);
}

void DimClasses::fix(Value tile, unsigned dim) {
  fixed[find(node(tile, dim))] = true;
}

void DimClasses::fixAll(Value tile) {
  for (unsigned dim = 0, rank = rankOf(tile); dim < rank; ++dim)
    fix(tile, dim);
}

void DimClasses::visit(Operation *op) {
  // Every tile has a node, whatever its op says about it.
  for (Value value : llvm::concat<Value>(op->getOperands(), op->getResults()))
    for (unsigned dim = 0, rank = rankOf(value); dim < rank; ++dim)
      node(value, dim);

  llvm::TypeSwitch<Operation *>(op)
      .Case([&](tile::MmaOp mma) {
        unite(mma.getA(), 0, mma.getAcc(), 0);
        unite(mma.getB(), 1, mma.getAcc(), 1);
        unite(mma.getA(), 1, mma.getB(), 0);
        fix(mma.getA(), 1);
        uniteAll(mma.getAcc(), mma.getResult());
      })
      .Case([&](tile::ReduceOp reduce) {
        int64_t axis = reduce.getAxis();
        fix(reduce.getInput(), axis);
        for (unsigned dim = 0, rank = rankOf(reduce.getResult()); dim < rank;
             ++dim)
          unite(reduce.getInput(), dim + (dim >= axis), reduce.getResult(),
                dim);
      })
      .Case([&](tile::ScanOp scan) {
        fix(scan.getInput(), scan.getAxis());
        uniteAll(scan.getInput(), scan.getResult());
      })
      .Case([&](tile::BroadcastOp broadcast) {
        for (auto [from, to] : llvm::enumerate(broadcast.getDims()))
          unite(broadcast.getInput(), from, broadcast.getResult(), to);
      })
      .Case([&](tile::TransposeOp transpose) {
        for (auto [to, from] : llvm::enumerate(transpose.getPermutation()))
          unite(transpose.getInput(), from, transpose.getResult(), to);
      })
      .Case([&](tile::ConcatOp concat) {
        unsigned axis = concat.getAxis();
        fix(concat.getResult(), axis);
        for (Value input : concat.getInputs()) {
          fix(input, axis);
          for (unsigned dim = 0, rank = rankOf(input); dim < rank; ++dim)
            if (dim != axis)
              unite(input, dim, concat.getResult(), dim);
        }
      })
      .Case([&](tile::LoadOp load) {
        if (load.getGather())
          unite(load.getGather(), 0, load.getResult(), *load.getGatherDim());
      })
      .Case<tile::StoreOp, tile::SplatOp, tile::IotaOp>([](Operation *) {})
      .Case([&](scf::ForOp loop) {
        for (auto [init, arg, yielded, result] :
             llvm::zip_equal(loop.getInitArgs(), loop.getRegionIterArgs(),
                             loop.getYieldedValues(), loop.getResults())) {
          uniteAll(init, arg);
          uniteAll(arg, yielded);
          uniteAll(arg, result);
        }
      })
      .Case([&](scf::IfOp branch) {
        for (auto [i, result] : llvm::enumerate(branch.getResults())) {
          uniteAll(result, branch.thenYield().getOperand(i));
          uniteAll(result, branch.elseYield().getOperand(i));
        }
      })
      .Case<scf::YieldOp, tile::ReturnOp>([](Operation *) {})
      .Default([&](Operation *other) {
        auto constant = dyn_cast<arith::ConstantOp>(other);
        if (constant && isa<SplatElementsAttr>(constant.getValue()))
          return;
        if (OpTrait::hasElementwiseMappableTraits(other) &&
            other->getNumResults() == 1) {
          for (Value operand : other->getOperands())
            if (rankOf(operand))
              uniteAll(other->getResult(0), operand);
          return;
        }
        for (Value value :
             llvm::concat<Value>(other->getOperands(), other->getResults()))
          fixAll(value);
      });
}
