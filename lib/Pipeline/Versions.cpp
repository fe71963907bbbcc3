// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// `--specialize seq=1,128`: versions of the model for these sizes beside the
// general one, behind a function that chooses by the sizes of a call.

#include "dialects/Graph/IR/ShapeAnalysis.h"
#include "lib/Pipeline/Stages.h"
#include "mlir/IR/AttrTypeSubElements.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace lathe;
using graph::Dims;
using llvm::Error;
using llvm::Expected;

/// All combinations of the sizes given are compiled; more are a mistake.
static constexpr size_t kMaxVersions = 16;

namespace {
/// Sizes of some symbols, by position.
using Sizes = SmallVector<std::pair<unsigned, int64_t>>;
} // namespace

static func::FuncOp getMain(ModuleOp module) {
  for (func::FuncOp function : module.getOps<func::FuncOp>())
    if (!function->hasAttr(graph::kGivenAttr))
      return function;
  return {};
}

static Expected<unsigned> findSymbol(func::FuncOp main, StringRef name) {
  SmallVector<StringRef> names;
  if (auto symbols = main->getAttrOfType<ArrayAttr>(graph::kSymbolsAttr))
    for (StringAttr symbol : symbols.getAsRange<StringAttr>())
      names.push_back(symbol);
  auto *found = llvm::find(names, name);
  if (found != names.end())
    return found - names.begin();
  return llvm::createStringError(
      std::errc::invalid_argument,
      "no dim of the model is called '%s'; there are: %s", name.str().c_str(),
      llvm::join(names, ", ").c_str());
}

/// Every combination of one size for each symbol that has some.
static Expected<SmallVector<Sizes>>
getCombinations(func::FuncOp main,
                ArrayRef<std::pair<std::string, int64_t>> wanted) {
  llvm::MapVector<unsigned, SmallVector<int64_t>> bySymbol;
  for (const auto &[name, size] : wanted) {
    Expected<unsigned> symbol = findSymbol(main, name);
    if (!symbol)
      return symbol.takeError();
    if (!llvm::is_contained(bySymbol[*symbol], size))
      bySymbol[*symbol].push_back(size);
  }
  SmallVector<Sizes> result = {Sizes()};
  for (const auto &[symbol, sizes] : bySymbol) {
    SmallVector<Sizes> longer;
    for (const Sizes &prefix : result)
      for (int64_t size : sizes) {
        longer.push_back(prefix);
        longer.back().emplace_back(symbol, size);
      }
    result = std::move(longer);
    if (result.size() > kMaxVersions)
      return llvm::createStringError(
          std::errc::invalid_argument,
          "%zu or more versions are asked for; at most %zu are allowed",
          result.size(), kMaxVersions);
  }
  return result;
}

static AffineExpr specialize(AffineExpr expr, const Sizes &sizes) {
  llvm::DenseMap<AffineExpr, AffineExpr> values;
  for (auto [symbol, size] : sizes)
    values[getAffineSymbolExpr(symbol, expr.getContext())] =
        getAffineConstantExpr(size, expr.getContext());
  return expr.replace(values);
}

/// Puts sizes in the place of symbols, everywhere in the module.
static void specialize(ModuleOp module, const Sizes &sizes) {
  MLIRContext *context = module.getContext();
  AttrTypeReplacer replacer;
  replacer.addReplacement([&](AffineMapAttr attr) -> Attribute {
    AffineMap map = attr.getValue();
    Dims results;
    for (AffineExpr expr : map.getResults())
      results.push_back(specialize(expr, sizes));
    return AffineMapAttr::get(
        AffineMap::get(0, map.getNumSymbols(), results, context));
  });
  replacer.recursivelyReplaceElementsIn(module, /*replaceAttrs=*/true,
                                        /*replaceLocs=*/false,
                                        /*replaceTypes=*/false);
  for (func::FuncOp function : module.getOps<func::FuncOp>()) {
    SmallVector<Type> inputs(function.getArgumentTypes());
    for (BlockArgument argument : function.getArguments()) {
      unsigned i = argument.getArgNumber();
      auto dims = function.getArgAttrOfType<AffineMapAttr>(i, graph::kDimsAttr);
      if (!dims)
        continue;
      inputs[i] = RankedTensorType::get(
          graph::toStaticShape(dims.getValue().getResults()),
          getElementTypeOrSelf(argument));
      argument.setType(inputs[i]);
    }
    function.setType(
        FunctionType::get(context, inputs, function.getResultTypes()));
  }
}

/// Makes all functions of `module` internal parts of the version `tag`.
static void makeInternal(ModuleOp module, StringRef tag, unsigned given) {
  Builder builder(module.getContext());
  func::FuncOp main = getMain(module);
  main.setPrivate();
  main->setAttr(graph::kGivenAttr, builder.getI64IntegerAttr(given));
  for (func::FuncOp function : module.getOps<func::FuncOp>()) {
    auto name = builder.getStringAttr(function.getSymName() + "." + tag);
    (void)SymbolTable::replaceAllSymbolUses(function, name, module);
    function.setSymNameAttr(name);
  }
}

/// How many symbols the arguments define: the first ones.
static unsigned countGiven(func::FuncOp main) {
  unsigned count = 0;
  for (unsigned i = 0; i < main.getNumArguments(); ++i)
    if (auto dims = main.getArgAttrOfType<AffineMapAttr>(i, graph::kDimsAttr))
      for (AffineExpr dim : dims.getValue().getResults())
        dim.walk([&](AffineExpr part) {
          if (auto symbol = dyn_cast<AffineSymbolExpr>(part))
            count = std::max(count, symbol.getPosition() + 1);
        });
  return count;
}

/// The results' dims for the caller: -1 where the run decides.
static Expected<SmallVector<Dims>> getResultDims(func::FuncOp main,
                                                 unsigned given) {
  graph::ShapeAnalysis shapes(main);
  if (failed(shapes.run()))
    return llvm::createStringError(
        "the shapes of the model do not fit the sizes of '--specialize'");
  SmallVector<Dims> result;
  for (Value value : main.front().getTerminator()->getOperands()) {
    Dims &dims = result.emplace_back(shapes.getDims(value));
    for (AffineExpr &dim : dims)
      for (unsigned i = given; i < shapes.getSymbols().size(); ++i)
        if (dim.isFunctionOfSymbol(i))
          dim = getAffineConstantExpr(-1, main.getContext());
  }
  return result;
}

/// Opens dims that a version gives another size than the general one says.
static Error joinDims(MutableArrayRef<Dims> dims, func::FuncOp version,
                      const Sizes &sizes, unsigned given) {
  Expected<SmallVector<Dims>> special = getResultDims(version, given);
  if (!special)
    return special.takeError();
  for (auto [general, other] : llvm::zip_equal(dims, *special))
    for (auto [a, b] : llvm::zip_equal(general, other))
      if (!graph::isSameSize(specialize(a, sizes), b))
        a = getAffineConstantExpr(-1, version.getContext());
  return Error::success();
}

/// A function like `main` that runs the first version whose sizes are there.
static void buildChoice(func::FuncOp main, StringAttr name, unsigned given,
                        ArrayRef<Sizes> combinations,
                        ArrayRef<Attribute> callees, ArrayRef<Dims> dims) {
  OpBuilder builder(main);
  auto choice = cast<func::FuncOp>(builder.cloneWithoutRegions(*main));
  choice.setSymNameAttr(name);
  choice.setPublic();
  choice->removeAttr(graph::kGivenAttr);
  Block *block = choice.addEntryBlock();
  builder.setInsertionPointToEnd(block);
  SmallVector<Attribute> conditions;
  for (const Sizes &sizes : combinations) {
    Dims differences;
    for (auto [symbol, size] : sizes)
      differences.push_back(builder.getAffineSymbolExpr(symbol) - size);
    SmallVector<bool> areEqualities(sizes.size(), true);
    conditions.push_back(IntegerSetAttr::get(
        IntegerSet::get(0, given, differences, areEqualities)));
  }
  SmallVector<Attribute> shapes;
  SmallVector<Type> types;
  for (auto [sizes, type] : llvm::zip_equal(dims, main.getResultTypes())) {
    shapes.push_back(AffineMapAttr::get(
        AffineMap::get(0, given, sizes, builder.getContext())));
    SmallVector<int64_t> shape = graph::toStaticShape(sizes);
    std::replace(shape.begin(), shape.end(), int64_t(-1),
                 int64_t(ShapedType::kDynamic));
    types.push_back(RankedTensorType::get(shape, getElementTypeOrSelf(type)));
  }
  auto call = graph::CallOp::create(
      builder, main.getLoc(), types, builder.getArrayAttr(callees),
      builder.getArrayAttr(conditions), block->getArguments(),
      builder.getArrayAttr(shapes), DenseI64ArrayAttr());
  choice.setType(FunctionType::get(builder.getContext(),
                                   choice.getArgumentTypes(), types));
  func::ReturnOp::create(builder, main.getLoc(), call.getResults());
}

Error lathe::checkRunSizes(ModuleOp module, ArrayRef<std::string> known) {
  func::FuncOp main = getMain(module);
  std::vector<std::string> open;
  if (auto symbols = main->getAttrOfType<ArrayAttr>(graph::kSymbolsAttr))
    for (Attribute symbol : symbols.getValue().take_front(countGiven(main)))
      if (std::string name = cast<StringAttr>(symbol).str();
          !llvm::is_contained(known, name))
        open.push_back(name);
  if (!open.empty())
    return llvm::createStringError(
        std::errc::invalid_argument,
        "the size of '%s' is open: pass --shape %s=V",
        llvm::join(open, "', '").c_str(), llvm::join(open, "=V,").c_str());
  for (const std::string &name : known)
    if (Expected<unsigned> symbol = findSymbol(main, name); !symbol)
      return symbol.takeError();
  return Error::success();
}

Error lathe::addVersions(
    ModuleOp module, ArrayRef<std::pair<std::string, int64_t>> wanted,
    llvm::function_ref<Expected<OwningOpRef<ModuleOp>>()> importAgain) {
  if (wanted.empty())
    return Error::success();
  func::FuncOp main = getMain(module);
  StringAttr name = main.getSymNameAttr();
  Expected<SmallVector<Sizes>> combinations = getCombinations(main, wanted);
  if (!combinations)
    return combinations.takeError();
  unsigned given = countGiven(main);
  Expected<SmallVector<Dims>> dims = getResultDims(main, given);
  if (!dims)
    return dims.takeError();
  makeInternal(module, "any", given);
  SmallVector<Attribute> callees;
  for (auto [i, sizes] : llvm::enumerate(*combinations)) {
    Expected<OwningOpRef<ModuleOp>> version = importAgain();
    if (!version)
      return version.takeError();
    specialize(**version, sizes);
    func::FuncOp special = getMain(**version);
    if (Error error = joinDims(*dims, special, sizes, given))
      return error;
    makeInternal(**version, "version" + std::to_string(i), given);
    callees.push_back(FlatSymbolRefAttr::get(special));
    for (func::FuncOp function :
         llvm::make_early_inc_range((*version)->getOps<func::FuncOp>()))
      function->moveBefore(module.getBody(), module.getBody()->end());
  }
  callees.push_back(FlatSymbolRefAttr::get(main));
  buildChoice(main, name, given, *combinations, callees, *dims);
  return Error::success();
}
