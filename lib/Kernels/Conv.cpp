// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The convolution strategy: implicit matrix products over windows, with groups,
// strides, dilations and any number of spatial dims, channels first or last. A
// kernel of one element with unit strides is a matrix product over pixels.

#include "lib/Kernels/ConvKernel.h"
#include "lib/Kernels/ConvProduct.h"

#include "dialects/Graph/IR/Polynomial.h"

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;

static std::string getName(graph::GroupOp group, const Convolution &conv) {
  std::string name = conv.isDepthwise ? "depthwise" : "conv";
  for (auto [i, size] : llvm::enumerate(conv.windows.kernel))
    name += (i == 0 ? "_" : "x") + std::to_string(size);
  name += "_" + getShapeName({conv.windows.channels, conv.outputs});
  std::string ops = getOpsName(group, conv.windows.root);
  return ops.empty() ? name : name + "_" + ops;
}

namespace {

class ConvStrategy : public Strategy {
public:
  graph::GroupKind getKind() const override {
    return graph::GroupKind::contract;
  }

  LogicalResult match(graph::GroupOp group, const LoweringContext &context,
                      std::string &reason) const override {
    return success(
        analyzeConvolution(group, context.dimsOf, reason).has_value());
  }

  FailureOr<LoweredGroup> lower(graph::GroupOp group,
                                LoweringContext &context) const override {
    std::string reason;
    auto conv = analyzeConvolution(group, context.dimsOf, reason);
    if (!conv)
      return group.emitError("no convolution: ") << reason;
    if (auto product = analyzeConvProduct(group, context, *conv))
      return lowerConvProduct(group, context, *conv, *product,
                              getName(group, *conv));
    std::optional<Winograd> winograd;
    if (!context.schedules.hasPlainSums())
      winograd = chooseWinograd(context.capability, *conv);
    if (winograd)
      return lowerWinograd(group, context, *conv, *winograd,
                           getName(group, *conv));
    AffineExpr channels =
        conv->isDepthwise ? conv->outputs : conv->getGroupOutputs();
    bool isGpu = context.capability.kind == Capability::Kind::Gpu;
    if (isGpu) // Products go along the channels.
      conv->windows.copiesChannelsFirst = false;
    auto schedules =
        isGpu && !conv->isDepthwise
            ? listGpuConvSchedules(context.capability, *conv)
            : listConvSchedules(context.capability, conv->windows, channels,
                                conv->getSteps(),
                                /*channelsInner=*/conv->isDepthwise);
    auto buildKernel =
        conv->isDepthwise ? buildDepthwiseKernel : buildConvKernel;
    auto build = [&](LaunchBuilder &launch, const ConvSchedule &schedule,
                     KernelBuilder &kernel) {
      return buildKernel(launch, *conv, schedule, kernel);
    };
    return lowerWindows(group, context, conv->windows, "conv",
                        getName(group, *conv), conv->getFlops(),
                        /*outside=*/0.0, schedules, build);
  }
};

} // namespace

std::unique_ptr<Strategy> lathe::kernels::createConvStrategy() {
  return std::make_unique<ConvStrategy>();
}
