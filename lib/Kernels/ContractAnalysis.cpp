// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/ContractAnalysis.h"

#include "dialects/Graph/IR/Polynomial.h"
#include "dialects/Graph/IR/Views.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;
using graph::Access;
using graph::Dims;
using graph::ViewStep;

Dims Contraction::getSpace(AffineExpr rows, AffineExpr columns) const {
  Dims space = batch;
  space.push_back(rows);
  space.push_back(columns);
  return space;
}

AffineExpr Contraction::getFlops() const {
  AffineExpr rows = graph::getProduct(root->getContext(), batch) * m;
  return graph::canonicalizeSize(rows * n * k * (2 * branches.size()));
}

SmallVector<graph::EncodedBuffer>
ContractBranch::getBuffers(graph::GroupOp group) const {
  Value outside = group.getInputs()[*packedOperand];
  return encoding.getBuffers(
      graph::getDenseType(cast<RankedTensorType>(outside.getType())));
}

int64_t ContractBranch::getParts(graph::GroupOp group) const {
  int64_t parts = 1;
  if (encoding)
    for (const graph::EncodedBuffer &buffer : getBuffers(group))
      parts = std::max(parts, buffer.parts);
  return parts;
}

graph::BlockAttr ContractBranch::getBlocks() const {
  return dyn_cast_or_null<graph::BlockAttr>(Attribute(encoding));
}

//===----------------------------------------------------------------------===//
// Strided access
//===----------------------------------------------------------------------===//

bool lathe::kernels::isStrided(Value value, const Access &access,
                               graph::DimsOf dimsOf, std::string &reason) {
  auto isLeaf = [](Value leaf) { return isa<BlockArgument>(leaf); };
  auto refuse = [&](Operation *op, StringRef why) {
    reason = why.str();
    if (op)
      reason = ("'" + op->getName().getStringRef() + "': " + why).str();
  };
  return succeeded(graph::walkLeaves(
      value, access, dimsOf, isLeaf, [](const graph::Leaf &) {}, refuse));
}

std::optional<SmallVector<Access, 1>>
lathe::kernels::getEpilogueAccesses(graph::GroupOp group, Value root,
                                    const Access &rootAccess,
                                    graph::DimsOf dimsOf, std::string &reason) {
  SmallVector<Access, 1> accesses;
  auto isLeaf = [&](Value leaf) {
    return leaf == root || isa<BlockArgument>(leaf);
  };
  auto refuse = [&](Operation *op, StringRef why) {
    reason = why.str();
    if (op)
      reason = ("'" + op->getName().getStringRef() + "': " + why).str();
  };
  Operation *yield = group.getBody().front().getTerminator();
  for (Value value : yield->getOperands()) {
    auto access = graph::getAccessFrom(root, rootAccess, value, dimsOf);
    auto contiguous =
        graph::StridedView::getContiguous(group.getContext(), dimsOf(value));
    if (!access || !graph::applyAccess(contiguous, *access)) {
      reason = "a result of the group is not written once per element of the "
               "root's result, at strided addresses";
      return std::nullopt;
    }
    if (failed(graph::walkLeaves(
            value, *access, dimsOf, isLeaf, [](const graph::Leaf &) {},
            refuse)))
      return std::nullopt;
    accesses.push_back(std::move(*access));
  }
  return accesses;
}

bool lathe::kernels::hasScatteredColumns(const ContractBranch &branch,
                                         graph::DimsOf dimsOf) {
  if (branch.packedOperand)
    return false;
  bool isScattered = false;
  auto visit = [&](const graph::Leaf &leaf) {
    auto stride = getConstantSize(leaf.view.strides.back());
    isScattered |= !stride || (*stride != 0 && *stride != 1);
  };
  auto walked = graph::walkLeaves(
      branch.weight, branch.access, dimsOf,
      [](Value leaf) { return isa<BlockArgument>(leaf); }, visit,
      [](Operation *, StringRef) {});
  return succeeded(walked) && isScattered;
}

//===----------------------------------------------------------------------===//
// Branches
//===----------------------------------------------------------------------===//

/// How operands of this element type are multiplied.
static ContractKind getKind(Type element) {
  bool fits = element.isF32() || element.isF16() || element.isBF16() ||
              isa<Float8E4M3FNType, Float8E5M2Type>(element);
  return fits ? ContractKind::Mma : ContractKind::MultiplyAdd;
}

/// Finds out whether the weight is a constant that can be packed.
static void findPacking(graph::GroupOp group, ContractBranch &branch,
                        graph::DimsOf dimsOf) {
  Access views;
  auto argument =
      dyn_cast<BlockArgument>(graph::traceViews(branch.weight, views, dimsOf));
  if (!argument || dimsOf(argument).size() < 2)
    return;
  Value outside = group.getInputs()[argument.getArgNumber()];
  if (!outside.getDefiningOp<graph::ConstantOp>())
    return;
  if (views.size() > 1)
    return;
  if (views.size() == 1) {
    if (views[0].kind != ViewStep::Kind::Transpose ||
        views[0].numbers != SmallVector<int64_t>{1, 0})
      return;
    branch.isTransposed = true;
  }
  branch.packedOperand = argument.getArgNumber();
}

/// Checks the encoding of a packed or plain weight.
static bool findEncoding(graph::GroupOp group, ContractBranch &branch,
                         std::string &reason) {
  auto getEncoding = [](Value value) {
    return cast<RankedTensorType>(value.getType()).getEncoding();
  };
  if (branch.packedOperand) {
    Attribute encoding = getEncoding(group.getInputs()[*branch.packedOperand]);
    branch.encoding = dyn_cast_or_null<graph::EncodingInterface>(encoding);
    if (encoding && !branch.encoding) {
      reason = "the weight's encoding is not known";
      return false;
    }
  } else if (getEncoding(branch.weight)) {
    reason = "an encoded weight must be a constant matrix, read as it is";
    return false;
  }
  if (!branch.encoding)
    return true;
  int64_t rank = cast<RankedTensorType>(branch.weight.getType()).getRank();
  int64_t columns = branch.isTransposed ? rank - 2 : rank - 1;
  if (branch.encoding.getColumnDim().value_or(columns) != columns) {
    reason = "the encoding's axis must be that of the contraction's columns";
    return false;
  }
  return true;
}

/// Checks that the branch's weight can be multiplied with codes of the input.
static bool setQuantizer(Contraction &c, ContractBranch &branch, Attribute attr,
                         std::string &reason) {
  auto quantizer = dyn_cast<graph::DynamicInt8Attr>(attr);
  std::optional<graph::IntegerForm> form;
  if (branch.encoding)
    form = branch.encoding.getIntegerForm();
  // A scale for all k serves any groups of inputs; sums for all k only one.
  auto depth = getConstantSize(c.k);
  bool fits = quantizer && form &&
              form->isUnsigned == quantizer.getSymmetric() &&
              (form->group == quantizer.getGroup() ||
               (form->group == 0 &&
                (!form->sums || (depth && *depth <= quantizer.getGroup()))));
  if (!fits) {
    reason =
        "a quantized branch needs '#graph.dynamic_int8' and a constant "
        "weight of integers with a scale per column and group of the same "
        "size, or per column; symmetric if its codes are unsigned, else not";
    return false;
  }
  if (c.quantizer && c.quantizer != quantizer) {
    reason = "quantized branches must quantize the input alike";
    return false;
  }
  branch.kind = ContractKind::DynamicInt8;
  c.quantizer = quantizer;
  return true;
}

//===----------------------------------------------------------------------===//
// Roots
//===----------------------------------------------------------------------===//

namespace {
/// Dims of the operands and the result as matrices: unit dims stand for those
/// that NumPy's matmul adds and drops.
struct MatrixDims {
  Dims input, weight, result;
};
} // namespace

static MatrixDims getMatrixDims(Operation *root, graph::DimsOf dimsOf) {
  MatrixDims dims{Dims(dimsOf(root->getOperand(0))),
                  Dims(dimsOf(root->getOperand(1))),
                  Dims(dimsOf(root->getResult(0)))};
  AffineExpr one = getAffineConstantExpr(1, root->getContext());
  bool isRow = dims.input.size() == 1, isColumn = dims.weight.size() == 1;
  if (isRow)
    dims.input.insert(dims.input.begin(), one);
  if (isColumn) {
    dims.weight.push_back(one);
    dims.result.push_back(one);
  }
  if (isRow)
    dims.result.insert(dims.result.end() - 1, one);
  return dims;
}

/// Access from a value of dims `from` that is reshaped to `as` and then
/// broadcast to `to`; both steps only where they do something.
static Access getAccess(ArrayRef<AffineExpr> from, const Dims &as,
                        const Dims &to) {
  Access access;
  if (!llvm::equal(from, as, graph::isSameSize))
    access.push_back(ViewStep::getReshape(as));
  if (!llvm::equal(as, to, graph::isSameSize))
    access.push_back(ViewStep::getBroadcast(to));
  return access;
}

/// Fills in the accesses for the current split into batch dims and m, and
/// checks that they are strided.
static bool setAccesses(graph::GroupOp group, Contraction &c,
                        const MatrixDims &dims, bool mergeRows,
                        graph::DimsOf dimsOf, std::string &reason) {
  Dims inputSpace = c.getSpace(c.m, c.k), resultSpace = c.getSpace(c.m, c.n);
  ArrayRef<AffineExpr> inputDims = dimsOf(c.input);
  ArrayRef<AffineExpr> resultDims = dimsOf(c.getResult());
  c.inputAccess =
      getAccess(inputDims, mergeRows ? inputSpace : dims.input, inputSpace);
  c.resultAccess = getAccess(resultDims, resultSpace, resultSpace);
  if (!isStrided(c.input, c.inputAccess, dimsOf, reason))
    return false;
  for (ContractBranch &branch : c.branches) {
    branch.access =
        getAccess(dimsOf(branch.weight), dims.weight, c.getSpace(c.k, c.n));
    if (!branch.packedOperand &&
        !isStrided(branch.weight, branch.access, dimsOf, reason))
      return false;
  }
  auto accesses =
      getEpilogueAccesses(group, c.getResult(), c.resultAccess, dimsOf, reason);
  if (!accesses)
    return false;
  c.yieldAccesses = std::move(*accesses);
  return true;
}

static bool setBranches(graph::GroupOp group, Contraction &c,
                        graph::DimsOf dimsOf, std::string &reason) {
  Type element = cast<RankedTensorType>(c.input.getType()).getElementType();
  auto contract = dyn_cast<graph::ContractOp>(c.root);
  for (auto [i, weight] : llvm::enumerate(c.root->getOperands().drop_front())) {
    ContractBranch branch;
    branch.weight = weight;
    branch.kind = getKind(element);
    Attribute quantizer;
    if (contract) {
      auto attr = cast<graph::BranchAttr>(contract.getBranches()[i]);
      branch.scale = attr.getScale();
      quantizer = attr.getQuantizer();
    }
    findPacking(group, branch, dimsOf);
    if (!findEncoding(group, branch, reason))
      return false;
    if (quantizer && !isa<FloatType>(element)) {
      reason = "only float inputs are quantized";
      return false;
    }
    if (quantizer && !setQuantizer(c, branch, quantizer, reason))
      return false;
    if (graph::BlockAttr blocks = branch.getBlocks();
        blocks && !quantizer && !blocks.getType().isF32()) {
      reason = "blocks of i8 need a quantized input";
      return false;
    }
    c.branches.push_back(std::move(branch));
  }
  return true;
}

/// Sees that operands are multiplied as bf16 where both are stored so, pairs
/// of k beside each other.
static void findPairs(Contraction &c, graph::DimsOf dimsOf) {
  auto k = getConstantSize(c.k);
  Access access = c.inputAccess;
  Value value = graph::traceViews(c.input, access, dimsOf);
  auto cast = value.getDefiningOp<graph::CastOp>();
  if (!k || *k % kBF16Group != 0 || !cast)
    return;
  value = graph::traceViews(cast.getInput(), access, dimsOf);
  auto argument = dyn_cast<BlockArgument>(value);
  if (!argument || !getElementTypeOrSelf(value).isBF16())
    return;
  auto view = graph::applyAccess(
      graph::StridedView::getContiguous(value.getContext(), dimsOf(value)),
      access);
  if (!view || getConstantSize(view->strides.back()) != 1)
    return;
  for (ContractBranch &branch : c.branches) {
    auto narrow =
        dyn_cast_or_null<graph::NarrowAttr>(Attribute(branch.encoding));
    if (!narrow || !narrow.getType().isBF16() ||
        branch.kind != ContractKind::Mma)
      continue;
    branch.kind = ContractKind::BF16Pairs;
    c.narrowInput = argument.getArgNumber();
    c.narrowView = *view;
  }
}

/// Narrower panels, where those do not hold more columns that do not exist. A
/// matter of the weights only: all levels of a bundle read the same panels.
static void setPanelColumns(Contraction &c) {
  auto columns = getConstantSize(c.n);
  if (columns &&
      llvm::alignTo(*columns, kFloatPanelColumns) <=
          llvm::alignTo(*columns, kPanelColumns) &&
      llvm::all_of(c.branches, [](const ContractBranch &branch) {
        return branch.kind == ContractKind::Mma && branch.packedOperand &&
               !branch.encoding;
      }))
    c.panelColumns = kFloatPanelColumns;
}

Type lathe::kernels::getNarrowElement(const Contraction &c) {
  if (llvm::all_of(c.branches, [](const ContractBranch &branch) {
        return branch.kind == ContractKind::BF16Pairs;
      }))
    return BFloat16Type::get(c.root->getContext());
  Type element = getElementTypeOrSelf(c.input);
  if (!isa<FloatType>(element) || element.getIntOrFloatBitWidth() > 16)
    return {};
  bool fits = llvm::all_of(c.branches, [&](const ContractBranch &branch) {
    return branch.kind == ContractKind::Mma && !branch.encoding &&
           getElementTypeOrSelf(branch.weight) == element;
  });
  return fits ? element : Type();
}

void lathe::kernels::useMatrixUnit(Contraction &c, graph::DimsOf dimsOf,
                                   const Capability &capability) {
  c.unitElement = getNarrowElement(c);
  bool isByte = c.unitElement.getIntOrFloatBitWidth() == 8;
  int64_t alignment = kUnitAlignment * (isByte ? 2 : 1);
  bool keepsBytes = isByte && capability.multipliesFloat8() &&
                    c.branches.size() == 1 &&
                    c.k.getLargestKnownDivisor() % alignment == 0;
  auto n = getConstantSize(c.n), k = getConstantSize(c.k);
  if (n)
    c.panelColumns = llvm::alignTo(std::max<int64_t>(*n, 1), alignment);
  for (ContractBranch &branch : c.branches) {
    branch.isTurned =
        keepsBytes && branch.packedOperand && !branch.isTransposed;
    auto length = branch.isTransposed ? k : n;
    if (length && *length % alignment == 0 && !branch.encoding &&
        !branch.isTurned)
      branch.packedOperand.reset();
  }
  c.isAlongK = llvm::all_of(c.branches, [&](const ContractBranch &branch) {
    return branch.isTurned || hasScatteredColumns(branch, dimsOf);
  });
  // What it has no products of is widened on the way there, without loss.
  if (isByte && !(keepsBytes && c.isAlongK))
    c.unitElement = Float16Type::get(c.root->getContext());
}

std::optional<unsigned>
lathe::kernels::getUnitCodes(ArrayRef<graph::EncodedBuffer> buffers) {
  for (auto [i, buffer] : llvm::enumerate(buffers))
    if (buffer.group == 1 && buffer.type.getElementType().isInteger(8) &&
        (buffer.parts == 1 || buffer.run == kUnitRun))
      return i;
  return std::nullopt;
}

/// The 16-bit float type of the input, as it is or as it is stored.
static Type getInputElement(const Contraction &c, graph::DimsOf dimsOf) {
  auto isNarrow = [](Type element) {
    return element.isF16() || element.isBF16();
  };
  Type element = getElementTypeOrSelf(c.input);
  if (isNarrow(element))
    return element;
  Access access = c.inputAccess;
  Value value = graph::traceViews(c.input, access, dimsOf);
  auto cast = value.getDefiningOp<graph::CastOp>();
  if (!cast || !isNarrow(getElementTypeOrSelf(cast.getInput())))
    return {};
  return getElementTypeOrSelf(cast.getInput());
}

bool lathe::kernels::decodeOnUnit(Contraction &c, graph::GroupOp group,
                                  graph::DimsOf dimsOf) {
  auto k = getConstantSize(c.k), n = getConstantSize(c.n);
  Type element;
  if (!c.quantizer)
    element = getInputElement(c, dimsOf);
  if (!k || !n || *k < kUnitRun || (!c.quantizer && !element))
    return false;
  for (const ContractBranch &branch : c.branches) {
    if (!branch.encoding || !branch.packedOperand || branch.getBlocks() ||
        branch.kind !=
            (c.quantizer ? ContractKind::DynamicInt8 : ContractKind::Mma))
      return false;
    auto buffers = branch.getBuffers(group);
    auto codes = getUnitCodes(buffers);
    if (!codes)
      return false;
    // Quantized inputs are scaled once per group.
    int64_t step = kUnitRun;
    if (c.quantizer)
      step *= buffers[*codes].parts;
    auto isWhole = [&](int64_t its) { return its % step == 0 || its >= *k; };
    if (c.quantizer && !isWhole(c.quantizer.getGroup()))
      return false;
    for (const graph::EncodedBuffer &buffer : buffers)
      if (buffer.group > 1 && !isWhole(buffer.group))
        return false;
  }
  c.unitElement = element;
  c.readsCodes = true;
  c.panelColumns = std::min(
      kUnitPanel,
      int64_t(llvm::PowerOf2Ceil(uint64_t(std::max<int64_t>(*n, kUnitRun)))));
  return true;
}

std::optional<Contraction>
lathe::kernels::analyzeContraction(graph::GroupOp group, graph::DimsOf dimsOf,
                                   std::string &reason) {
  Contraction c;
  c.root = group.getRoot();
  if (!isa_and_nonnull<graph::ContractOp, graph::MatmulOp>(c.root)) {
    reason = "the root is neither 'graph.contract' nor 'graph.matmul'";
    return std::nullopt;
  }
  c.input = c.root->getOperand(0);
  MatrixDims dims = getMatrixDims(c.root, dimsOf);
  c.n = dims.result.back();
  c.k = dims.input.back();
  if (!setBranches(group, c, dimsOf, reason))
    return std::nullopt;

  ArrayRef<AffineExpr> rows = ArrayRef(dims.result).drop_back();
  if (dims.weight.size() == 2) {
    c.m = graph::getProduct(group.getContext(), rows);
    if (setAccesses(group, c, dims, /*mergeRows=*/true, dimsOf, reason)) {
      findPairs(c, dimsOf);
      setPanelColumns(c);
      return c;
    }
  }
  c.batch.assign(rows.begin(), rows.end() - 1);
  c.m = rows.back();
  if (!setAccesses(group, c, dims, /*mergeRows=*/false, dimsOf, reason))
    return std::nullopt;
  findPairs(c, dimsOf);
  setPanelColumns(c);
  return c;
}
