// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Stage 4: tile kernels to code, one object for each level of each target.

#include "dialects/Plan/IR/Plan.h"
#include "dialects/Tile/IR/Tile.h"
#include "lib/Pipeline/Stages.h"
#include "mlir/Bytecode/BytecodeWriter.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/raw_ostream.h"
#include <chrono>

using namespace mlir;
using namespace lathe;
using llvm::Error;
using llvm::Expected;

const TargetRegistry &lathe::getTargets() {
  static const TargetRegistry registry = [] {
    TargetRegistry targets;
    registerX86Target(targets);
    registerCUDATarget(targets);
    return targets;
  }();
  return registry;
}

std::vector<std::string> lathe::getTargetNames() {
  std::vector<std::string> names;
  for (const std::unique_ptr<Target> &target : getTargets().getTargets())
    names.push_back(target->getName().str());
  return names;
}

Expected<std::vector<std::pair<const Target *, TargetLevel>>>
lathe::resolveTarget(const TargetRequest &request) {
  const Target *target = getTargets().lookup(request.name);
  if (!target)
    return llvm::createStringError(std::errc::invalid_argument,
                                   "target '%s' is not built in; there are: %s",
                                   request.name.c_str(),
                                   llvm::join(getTargetNames(), ", ").c_str());
  std::vector<std::pair<const Target *, TargetLevel>> levels;
  for (const auto &[key, value] : request.options) {
    if (key != "cpu")
      return llvm::createStringError(
          std::errc::invalid_argument,
          "target '%s' has no option '%s'; there is: cpu", request.name.c_str(),
          key.c_str());
    Expected<const TargetLevel &> level =
        value == "native" ? target->getNativeLevel() : target->getLevel(value);
    if (!level)
      return level.takeError();
    levels.emplace_back(target, *level);
  }
  if (levels.empty())
    for (const TargetLevel &level : target->getLevels())
      levels.emplace_back(target, level);
  return levels;
}

static const char doesNotParse[] = "the kernels do not survive serialization";

static bundle::LaunchValue toBundle(const LaunchValue &value) {
  return {value.factor, value.scalar ? int32_t(*value.scalar) : -1};
}

static std::unique_ptr<bundle::TensorMapT> toBundle(const TensorMap &map) {
  auto table = std::make_unique<bundle::TensorMapT>();
  table->buffer = map.buffer;
  table->dtype = getDType(map.element);
  table->offset = std::make_unique<bundle::LaunchValue>(toBundle(map.offset));
  for (const LaunchValue &size : map.sizes)
    table->sizes.push_back(toBundle(size));
  for (const LaunchValue &stride : map.strides)
    table->strides.push_back(toBundle(stride));
  table->box.assign(map.box.begin(), map.box.end());
  table->swizzle = map.swizzle;
  return table;
}

static void describeNeeds(const KernelNeeds &needs, bundle::KernelT &kernel) {
  kernel.threads = needs.threads;
  kernel.shared = needs.sharedBytes;
  switch (needs.grid) {
  case LaunchGrid::Plain:
    kernel.grid = bundle::GridKind::Plain;
    break;
  case LaunchGrid::Given:
    kernel.grid = bundle::GridKind::Given;
    break;
  case LaunchGrid::Persistent:
    kernel.grid = bundle::GridKind::Persistent;
    break;
  }
  kernel.cluster = needs.cluster;
  kernel.overlaps = needs.overlaps;
  for (const TensorMap &map : needs.maps)
    kernel.maps.push_back(toBundle(map));
}

std::string lathe::takeKernels(CompiledVariant &variant) {
  OwningOpRef<ModuleOp> kernels = ModuleOp::create(variant.plan->getLoc());
  for (tile::KernelOp kernel :
       llvm::make_early_inc_range(variant.plan->getOps<tile::KernelOp>())) {
    auto table = std::make_unique<bundle::KernelT>();
    table->symbol = kernel.getSymName().str();
    table->buffers = kernel.getNumBuffers();
    table->scalars = kernel.getArgumentTypes().size() - table->buffers;
    llvm::raw_string_ostream(table->schedule) << kernel.getSchedule();
    table->workload = kernel.getWorkload().value_or("").str();
    variant.kernels.push_back(std::move(table));
    kernel->moveBefore(kernels->getBody(), kernels->getBody()->end());
  }
  std::string bytes;
  llvm::raw_string_ostream stream(bytes);
  (void)writeBytecodeToFile(*kernels, stream);
  return bytes;
}

Expected<std::vector<CompileReport::Kernel>>
lathe::timeKernels(StringRef kernels, const CompiledVariant &variant,
                   const DialectRegistry &registry) {
  std::vector<CompileReport::Kernel> times;
  for (const std::unique_ptr<bundle::KernelT> &kernel : variant.kernels) {
    MLIRContext context(registry, MLIRContext::Threading::DISABLED);
    ScopedDiagnosticHandler quiet(&context, [](Diagnostic &) {});
    auto module = parseSourceString<ModuleOp>(kernels, &context);
    if (!module)
      return llvm::createStringError(doesNotParse);
    for (auto other :
         llvm::make_early_inc_range(module->getOps<tile::KernelOp>()))
      if (other.getSymName() != kernel->symbol)
        other.erase();
    auto start = std::chrono::steady_clock::now();
    Expected<TargetObject> object =
        variant.target->compile(*module, variant.level, TargetOptions());
    std::chrono::duration<double> taken =
        std::chrono::steady_clock::now() - start;
    if (!object)
      return object.takeError();
    times.push_back({variant.level.name, kernel->symbol, taken.count()});
  }
  return times;
}

Error lathe::compileKernels(
    StringRef kernels, CompiledVariant &variant,
    const DialectRegistry &registry,
    llvm::function_ref<void(Diagnostic &)> onDiagnostic) {
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    onDiagnostic(diagnostic);
    return success();
  });
  auto module = parseSourceString<ModuleOp>(kernels, &context);
  if (!module)
    return llvm::createStringError(doesNotParse);
  Expected<TargetObject> object =
      variant.target->compile(*module, variant.level, TargetOptions());
  if (!object)
    return object.takeError();
  variant.code = std::move(object->code);
  for (std::unique_ptr<bundle::KernelT> &kernel : variant.kernels) {
    auto needs = object->needs.find(kernel->symbol);
    if (needs == object->needs.end())
      continue;
    describeNeeds(needs->second, *kernel);
  }
  return Error::success();
}
