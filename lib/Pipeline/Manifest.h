// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From `plan.program` to the tables of the bundle's manifest.

#ifndef LATHE_LIB_PIPELINE_MANIFEST_H
#define LATHE_LIB_PIPELINE_MANIFEST_H

#include "dialects/Plan/IR/Plan.h"
#include "lib/Bundle/Writer.h"
#include "lib/Pipeline/Constants.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"

namespace lathe {

/// The expressions of one entry. Every variant's program of the entry refers
/// to them; equal expressions are stored once and after their operands.
class ExpressionTable {
public:
  explicit ExpressionTable(bundle::EntryT &entry) : entry(entry) {}

  int32_t add(mlir::AffineExpr expr);
  std::vector<int32_t> add(llvm::ArrayRef<mlir::AffineExpr> exprs);

  /// The constraints of `set`, all as "at least zero".
  std::vector<int32_t> addConditions(mlir::IntegerSet set);

private:
  int32_t append(bundle::ExprOp op, int64_t value, int32_t lhs, int32_t rhs);

  bundle::EntryT &entry;
  llvm::DenseMap<mlir::AffineExpr, int32_t> known;
};

/// Turns a program into its manifest tables. Names, symbols, inputs and outputs
/// of the entry are filled by the first variant and equal in all others.
class ProgramWriter {
public:
  ProgramWriter(bundle::EntryT &entry, ExpressionTable &expressions,
                const llvm::StringMap<uint32_t> &entries,
                const llvm::StringMap<uint32_t> &kernels,
                bundle::Writer &writer, bool emitRemarks,
                Calibration *calibration)
      : entry(entry), expressions(expressions), entries(entries),
        kernels(kernels), writer(writer),
        materializer(emitRemarks, calibration) {}

  /// `entries` maps programs to entries, `kernels` symbols to indices in the
  /// variant. Errors name the step; with `emitRemarks`, remarks state the error
  /// of each encoded weight.
  llvm::Expected<std::unique_ptr<bundle::ProgramT>>
  write(plan::ProgramOp program);

private:
  void writeSignature(plan::ProgramOp program);
  llvm::Error writeBuffer(mlir::Value value, bundle::BufferKind kind,
                          int32_t index, mlir::AffineExpr offset = {});
  llvm::Error writeStep(mlir::Operation &op);
  llvm::Error writeConstant(plan::ConstantOp op);
  llvm::Error writeLaunch(plan::LaunchOp op);
  llvm::Error writeBuiltin(plan::BuiltinOp op);
  void writeCall(plan::CallOp op);
  void writeLoop(plan::LoopOp op);
  void addStep(bundle::StepBodyUnion body);
  std::vector<uint32_t> getBuffers(mlir::ValueRange values);

  bundle::EntryT &entry;
  ExpressionTable &expressions;
  const llvm::StringMap<uint32_t> &entries;
  const llvm::StringMap<uint32_t> &kernels;
  bundle::Writer &writer;

  std::unique_ptr<bundle::ProgramT> result;
  llvm::DenseMap<mlir::Value, uint32_t> buffers;
  llvm::DenseMap<mlir::Value, int32_t> outputs;
  ConstantMaterializer materializer;
};

} // namespace lathe

#endif // LATHE_LIB_PIPELINE_MANIFEST_H
