// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What can be said about a program before its shapes are known.
//
// Symbols come up in phases: phase 0 begins with the inputs, and each step that
// binds symbols begins the next one. (Of a built-in that binds, the reads
// belong to the old phase and the writes to the new.) All sizes and addresses
// that a phase uses are settled when it begins.

#ifndef LATHE_RUNTIME_EXEC_PROGRAM_H
#define LATHE_RUNTIME_EXEC_PROGRAM_H

#include "runtime/builtins/builtin.h"
#include "runtime/bundle/expr.h"
#include "runtime/bundle/verify.h"
#include "runtime/exec/record.h"

namespace lathe::rt {

constexpr uint32_t noIndex = UINT32_MAX;

struct BufferPlan {
  bundle::BufferKind kind;
  uint32_t elementSize;
  uint32_t index;     ///< input, constant, or source of an alias
  uint32_t root;      ///< the buffer at the end of the chain of aliases
  uint32_t phase;     ///< of the first use; noIndex: never used
  uint32_t firstStep; ///< of the buffer and its aliases
  uint32_t lastStep;
  /// Of a root: the output whose memory it may be placed in; or noIndex.
  uint32_t output;
};

struct StepPlan {
  uint32_t phase; ///< in which it runs; one that binds ends this phase
  bool binds;
  const Builtin *builtin; ///< of a BuiltinCall
  uint32_t launch;        ///< of a Launch: number among launches
  uint32_t firstScalar;   ///< of a Launch: in an array of all their scalars
  uint32_t firstChild;    ///< of a Call or Loop: among contexts of callees
  uint32_t firstStack;    ///< of a Loop: among collected results
  uint32_t range;         ///< that begins here, or noIndex
};

/// A program of the chosen variant, analyzed. Immutable.
class ProgramPlan {
public:
  /// Refuses built-ins that the runtime does not have.
  Status create(const Allocator &allocator, const bundle::Entry &entry,
                const bundle::Program &program);
  /// Of the plans of all entries, when those of its callees know theirs.
  void addHostStepsOfCallees(Span<const ProgramPlan> plans);

  const bundle::Entry &entry() const { return *entryTable; }
  const bundle::Program &program() const { return *programTable; }

  Array<BufferPlan> buffers;
  Array<StepPlan> steps;
  Array<RecordedRange> ranges; ///< launches in a row
  Array<uint32_t> exprPhase;   ///< per expression; noIndex: never known
  Array<uint32_t> symbolPhase; ///< per symbol
  uint32_t numPhases = 1;
  uint32_t numLaunches = 0;
  uint32_t numScalars = 0;
  uint32_t maxOperands = 0;  ///< of any step
  bool hasHostSteps = false; ///< that read what kernels write, or are loops
  uint32_t numChildren = 0;  ///< contexts that calls and loops run in
  uint32_t numStacks = 0;    ///< collected results of all loops

private:
  Status analyzeSteps();
  Status analyzeBuiltin(const bundle::BuiltinCall &call, uint32_t index);
  Status findRanges(const Allocator &allocator);
  void countOperands(uint32_t count);
  void computeExprPhases();
  void computeUses();
  void use(uint32_t buffer, uint32_t step, uint32_t phase);
  void placeOutputs();
  bool canPlace(uint32_t output, uint32_t buffer) const;
  bool startsAtSource(const bundle::Buffer &alias) const;
  bool isKnownIn(const flatbuffers::Vector<int32_t> *exprs,
                 uint32_t phase) const;

  const bundle::Entry *entryTable = nullptr;
  const bundle::Program *programTable = nullptr;
};

} // namespace lathe::rt

#endif // LATHE_RUNTIME_EXEC_PROGRAM_H
