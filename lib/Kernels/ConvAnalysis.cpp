// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/ConvAnalysis.h"

#include "dialects/Graph/IR/Polynomial.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;
using graph::Access;
using graph::Dims;
using graph::StridedView;
using graph::ViewStep;

//===----------------------------------------------------------------------===//
// Windows
//===----------------------------------------------------------------------===//

Dims Windows::getSpan() const {
  Dims span;
  for (unsigned i = 0; i < getRank(); ++i)
    span.push_back(graph::canonicalizeSize((output[i] - 1) * strides[i] +
                                           (kernel[i] - 1) * dilations[i] + 1));
  return span;
}

bool Windows::reachesOutside() const {
  if (llvm::any_of(low, [](int64_t pad) { return pad != 0; }))
    return true;
  for (auto [size, span] : llvm::zip_equal(input, getSpan()))
    if (!graph::isSizeAtLeast(size - span, 0))
      return true;
  return false;
}

Dims Windows::getKernelDims() const {
  Dims dims;
  for (int64_t size : kernel)
    dims.push_back(getAffineConstantExpr(size, root->getContext()));
  return dims;
}

Dims Windows::getSpace(ArrayRef<AffineExpr> spatial, AffineExpr last) const {
  Dims space{batch};
  space.append(spatial.begin(), spatial.end());
  space.push_back(last);
  return space;
}

StridedView Windows::getInputView(graph::DimsOf dimsOf) const {
  StridedView view =
      StridedView::getContiguous(root->getContext(), dimsOf(argument));
  return *graph::applyAccess(std::move(view), inputAccess);
}

StridedView Windows::getWindowView(const StridedView &from) const {
  MLIRContext *context = root->getContext();
  StridedView view{{from.dims[0]}, {from.strides[0]}, from.offset};
  for (unsigned i = 0; i < getRank(); ++i) {
    view.dims.push_back(output[i]);
    view.strides.push_back(from.strides[1 + i] * strides[i]);
  }
  for (unsigned i = 0; i < getRank(); ++i) {
    view.dims.push_back(getAffineConstantExpr(kernel[i], context));
    view.strides.push_back(from.strides[1 + i] * dilations[i]);
  }
  view.dims.push_back(from.dims.back());
  view.strides.push_back(from.strides.back());
  return view;
}

/// From (batch, channels, spatial..) to (batch, spatial.., channels).
static Access moveChannelsLast(const Dims &space) {
  SmallVector<int64_t> permutation{0};
  for (size_t i = 2; i < space.size(); ++i)
    permutation.push_back(i);
  permutation.push_back(1);
  return {ViewStep::getTranspose(space, permutation)};
}

bool lathe::kernels::analyzeWindows(graph::GroupOp group, Windows &windows,
                                    bool channelsLast,
                                    AffineExpr resultChannels,
                                    graph::DimsOf dimsOf, std::string &reason) {
  Value operand = windows.root->getOperand(0);
  ArrayRef<AffineExpr> input = dimsOf(operand);
  ArrayRef<AffineExpr> output = dimsOf(windows.root->getResult(0));
  unsigned first = channelsLast ? 1 : 2;
  windows.batch = input[0];
  windows.channels = input[channelsLast ? input.size() - 1 : 1];
  windows.input.assign(input.begin() + first,
                       input.begin() + first + windows.getRank());
  windows.output.assign(output.begin() + first,
                        output.begin() + first + windows.getRank());
  if (!channelsLast) {
    windows.inputAccess =
        moveChannelsLast(windows.getSpace(windows.input, windows.channels));
    windows.resultAccess =
        moveChannelsLast(windows.getSpace(windows.output, resultChannels));
  }
  if (!isStrided(operand, windows.inputAccess, dimsOf, reason))
    return false;
  Value source = graph::traceViews(operand, windows.inputAccess, dimsOf);
  // What is loaded is computed in f32 anyway.
  if (auto cast = source.getDefiningOp<graph::CastOp>();
      cast && getElementTypeOrSelf(source).isF32() &&
      isa<Float16Type, BFloat16Type>(getElementTypeOrSelf(cast.getInput())))
    source = graph::traceViews(cast.getInput(), windows.inputAccess, dimsOf);
  windows.argument = dyn_cast<BlockArgument>(source);
  if (!windows.argument) {
    reason = "the input is computed inside the group";
    return false;
  }
  auto accesses = getEpilogueAccesses(group, windows.root->getResult(0),
                                      windows.resultAccess, dimsOf, reason);
  if (accesses)
    windows.yieldAccesses = std::move(*accesses);
  return accesses.has_value();
}

//===----------------------------------------------------------------------===//
// Convolutions
//===----------------------------------------------------------------------===//

AffineExpr Convolution::getGroupChannels() const {
  return graph::canonicalizeSize(windows.channels.floorDiv(groups));
}

AffineExpr Convolution::getGroupOutputs() const {
  return graph::canonicalizeSize(outputs.floorDiv(groups));
}

std::optional<int64_t> Convolution::getSteps() const {
  std::optional<int64_t> steps = getConstantSize(getGroupChannels());
  for (int64_t size : windows.kernel)
    if (steps)
      *steps *= size;
  return steps;
}

AffineExpr Convolution::getFlops() const {
  AffineExpr count = windows.batch * outputs * getGroupChannels() * 2;
  for (unsigned i = 0; i < windows.getRank(); ++i)
    count = count * windows.output[i] * windows.kernel[i];
  return graph::canonicalizeSize(count);
}

/// The encoding of the packed weight; null if it has none.
static graph::EncodingInterface getEncoding(graph::GroupOp group,
                                            const Convolution &conv) {
  Value weight = group.getInputs()[*conv.packedOperand];
  return dyn_cast_or_null<graph::EncodingInterface>(
      cast<RankedTensorType>(weight.getType()).getEncoding());
}

BufferRef Convolution::getPackedWeight(graph::GroupOp group,
                                       Packing packing) const {
  BufferRef ref = BufferRef::operand(*packedOperand);
  if (auto encoding = getEncoding(group, *this)) {
    Value dense = group.getInputs()[*packedOperand];
    ref.encodedBuffer = encoding
                            .getBuffers(graph::getDenseType(
                                cast<RankedTensorType>(dense.getType())))[0]
                            .name;
  }
  ref.packing = std::move(packing);
  return ref;
}

Type Convolution::getStoredElement(graph::GroupOp group) const {
  auto type =
      cast<RankedTensorType>(group.getInputs()[*packedOperand].getType());
  if (auto encoding = getEncoding(group, *this))
    type = encoding.getBuffers(graph::getDenseType(type))[0].type;
  return type.getElementType();
}

/// Orders the weight's dims as kernel.., channels / groups, outputs.
static void setWeight(graph::GroupOp group, Convolution &conv,
                      bool channelsLast, graph::DimsOf dimsOf) {
  unsigned rank = conv.windows.getRank();
  for (unsigned i = 0; i < rank; ++i)
    conv.weightDims.push_back(channelsLast ? i : i + 2);
  conv.weightDims.push_back(channelsLast ? rank : 1);
  conv.weightDims.push_back(channelsLast ? rank + 1 : 0);
  if (!channelsLast) {
    Dims to;
    for (int64_t dim : conv.weightDims)
      to.push_back(dimsOf(conv.weight)[dim]);
    conv.weightAccess.push_back(ViewStep::getTranspose(to, conv.weightDims));
  }
  // A constant, or a transpose of one, is packed.
  Access access = conv.weightAccess;
  auto argument =
      dyn_cast<BlockArgument>(graph::traceViews(conv.weight, access, dimsOf));
  if (!argument || !group.getInputs()[argument.getArgNumber()]
                        .getDefiningOp<graph::ConstantOp>())
    return;
  if (access.size() > 1 ||
      (access.size() == 1 && access[0].kind != ViewStep::Kind::Transpose))
    return;
  conv.weightDims = llvm::to_vector<5>(llvm::seq<int64_t>(0, rank + 2));
  if (!access.empty())
    conv.weightDims.assign(access[0].numbers.begin(), access[0].numbers.end());
  conv.packedOperand = argument.getArgNumber();
}

static bool checkConvolution(const Convolution &conv, std::string &reason) {
  auto type = cast<RankedTensorType>(conv.weight.getType());
  Type element = type.getElementType();
  if (!element.isF32() && !element.isF16() && !element.isBF16()) {
    reason = "only f32, f16 and bf16 are convolved";
    return false;
  }
  if (type.getEncoding() &&
      !(conv.packedOperand && isa<graph::NarrowAttr>(type.getEncoding()))) {
    reason = "an encoded weight cannot be convolved";
    return false;
  }
  auto outputs = getConstantSize(conv.outputs);
  if (conv.groups > 1 && (!outputs || *outputs % conv.groups != 0)) {
    reason = "the output channels must be a known multiple of the groups";
    return false;
  }
  return true;
}

std::optional<Convolution>
lathe::kernels::analyzeConvolution(graph::GroupOp group, graph::DimsOf dimsOf,
                                   std::string &reason) {
  auto op = dyn_cast_or_null<graph::ConvOp>(group.getRoot());
  if (!op) {
    reason = "the root is not 'graph.conv'";
    return std::nullopt;
  }
  Convolution conv;
  Windows &windows = conv.windows;
  windows.root = op;
  conv.weight = op.getWeight();
  conv.groups = op.getGroups();
  bool last = op.getChannelsLast();
  ArrayRef<AffineExpr> weight = dimsOf(conv.weight);
  unsigned rank = weight.size() - 2;
  for (unsigned i = 0; i < rank; ++i) {
    auto size = getConstantSize(weight[last ? i : i + 2]);
    if (!size) {
      reason = "the kernel's size must be known";
      return std::nullopt;
    }
    windows.kernel.push_back(*size);
  }
  llvm::append_range(windows.strides, op.getStrides());
  llvm::append_range(windows.dilations, op.getDilations());
  llvm::append_range(windows.low, op.getPads().take_front(rank));
  conv.outputs = weight[last ? rank + 1 : 0];
  setWeight(group, conv, last, dimsOf);
  if (!analyzeWindows(group, windows, last, conv.outputs, dimsOf, reason) ||
      !checkConvolution(conv, reason))
    return std::nullopt;
  if (!conv.packedOperand &&
      !isStrided(conv.weight, conv.weightAccess, dimsOf, reason))
    return std::nullopt;
  windows.copiesChannelsFirst = windows.getInputView(dimsOf).strides.back() !=
                                getAffineConstantExpr(1, group.getContext());
  auto channels = getConstantSize(windows.channels);
  conv.isDepthwise = conv.groups > 1 && channels == conv.groups &&
                     getConstantSize(conv.outputs) == conv.groups;
  if (conv.isDepthwise) {
    windows.copiesChannelsFirst = false;
    windows.setLanes();
  }
  return conv;
}
