// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Builds a plan.program from one function of graph ops.

#ifndef LATHE_CONVERSION_GRAPHTOPLAN_PROGRAMBUILDER_H
#define LATHE_CONVERSION_GRAPHTOPLAN_PROGRAMBUILDER_H

#include "dialects/Graph/IR/ShapeAnalysis.h"
#include "dialects/Plan/IR/Plan.h"
#include "lib/Kernels/Strategy.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace lathe {

class ProgramBuilder {
public:
  /// `strategies` and `cache` are shared by all functions of a module.
  ProgramBuilder(mlir::func::FuncOp function,
                 const kernels::Capability &capability,
                 const kernels::Schedules &schedules,
                 llvm::ArrayRef<std::unique_ptr<kernels::Strategy>> strategies,
                 kernels::KernelCache &cache, bool emitRemarks);

  /// Builds the program behind the function, which stays. On failure the
  /// errors have been emitted.
  llvm::LogicalResult build();

private:
  llvm::LogicalResult createProgram();
  llvm::LogicalResult convert(mlir::Operation *op);
  llvm::LogicalResult convertGroup(graph::GroupOp group);
  llvm::LogicalResult splitGroup(graph::GroupOp group, llvm::StringRef reason);
  llvm::LogicalResult convertAlone(mlir::Operation *op);
  llvm::LogicalResult convertBuiltin(graph::BuiltinOp op);
  void convertBind(graph::BindOp op);
  void convertIf(graph::IfOp op);
  void convertCall(graph::CallOp op);
  void convertLoop(graph::LoopOp op);
  /// What calls and loops have in common.
  plan::CalleeAttr getCallee(mlir::FlatSymbolRefAttr name,
                             mlir::IntegerSetAttr when);
  mlir::AffineMapAttr getGivenSymbols(mlir::Operation *op,
                                      mlir::FlatSymbolRefAttr callee);
  llvm::SmallVector<mlir::Value> getBuffers(mlir::ValueRange values);
  llvm::SmallVector<mlir::Value> createResults(mlir::Operation *op);
  llvm::LogicalResult convertReturn(mlir::func::ReturnOp op);
  /// True if `op` is a view that moves nothing: its buffer is an alias.
  bool convertAlias(mlir::Operation *op);

  void createLaunches(graph::GroupOp group,
                      const kernels::LoweredGroup &lowered);
  void createLaunch(graph::GroupOp group, const kernels::LaunchSpec &launch,
                    llvm::ArrayRef<mlir::Value> temporaries);
  mlir::Value copy(mlir::Value value, mlir::Location loc);

  /// The buffer that holds `value`; constants get theirs here.
  mlir::Value getBuffer(mlir::Value value);
  mlir::Value getBuffer(graph::GroupOp group, const kernels::BufferRef &ref,
                        llvm::ArrayRef<mlir::Value> temporaries);
  mlir::Value getConstant(graph::ConstantOp op, const kernels::BufferRef &ref);
  /// The buffer of a constant that a strategy made.
  mlir::Value getConstant(mlir::DenseElementsAttr value, mlir::Location loc);
  mlir::Value createAlloc(mlir::Location loc, mlir::Type elementType,
                          llvm::ArrayRef<mlir::AffineExpr> dims);
  plan::BufferType getBufferType(mlir::Type elementType,
                                 llvm::ArrayRef<mlir::AffineExpr> dims);
  mlir::AffineMap getMap(llvm::ArrayRef<mlir::AffineExpr> exprs);

  /// Emits the requirements whose symbols are all defined by now.
  void createChecks();
  void define(llvm::ArrayRef<int64_t> symbols);
  /// Marks the symbols that are there before the first step.
  void defineInputs();

  mlir::func::FuncOp function;
  llvm::ArrayRef<std::unique_ptr<kernels::Strategy>> strategies;
  bool emitRemarks;
  graph::ShapeAnalysis shapes;
  kernels::LoweringContext context;
  mlir::OpBuilder builder;
  plan::ProgramOp program;
  llvm::DenseMap<mlir::Value, mlir::Value> buffers;
  /// By the constant's value, encoded buffer and packing. The same constant may
  /// be stored in several ways, each once.
  llvm::DenseMap<std::tuple<mlir::Value, mlir::Attribute, mlir::Attribute>,
                 mlir::Value>
      constants;
  llvm::DenseMap<mlir::Attribute, mlir::Value> tables; ///< Of kernels.
  llvm::SmallVector<bool> isDefined;                   ///< Per symbol.
  llvm::SmallVector<bool> isChecked;                   ///< Per requirement.
};

} // namespace lathe

#endif // LATHE_CONVERSION_GRAPHTOPLAN_PROGRAMBUILDER_H
