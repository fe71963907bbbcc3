// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Ops that no kernel strategy covers, executed on the host (design.md 2.5).
//
// Their names, operands and options are a contract with the importers, written
// in docs/Runtime.md. The compiler has inferred all shapes; a built-in checks
// what it relies on all the same, for the values in a tensor are not known to
// the compiler.

#ifndef LATHE_RUNTIME_BUILTINS_BUILTIN_H
#define LATHE_RUNTIME_BUILTINS_BUILTIN_H

#include "runtime/base/memory.h"
#include "runtime/bundle/format.h"
#include "runtime/bundle/schema.h"

namespace lathe::rt {

/// A tensor in host memory, row-major. Absent optional operands have dtype None
/// and no elements.
struct Operand {
  uint8_t *data = nullptr;
  bundle::DType dtype = bundle::DType::None;
  uint32_t rank = 0;
  int64_t dims[bundle::maxRank] = {};
  int64_t elements = 0;

  bool present() const { return dtype != bundle::DType::None; }
  template <typename T> T *as() const { return reinterpret_cast<T *>(data); }
  /// Product of dims [begin, end).
  int64_t count(uint32_t begin, uint32_t end) const;
};

/// One call: operands, options, symbols to bind, scratch memory.
class BuiltinArgs {
public:
  BuiltinArgs(const bundle::BuiltinCall &call, const Allocator &allocator,
              Block &scratchBlock)
      : call(call), allocator(allocator), scratchBlock(scratchBlock) {}

  Span<const Operand> reads;
  Span<const Operand> writes; ///< empty while symbols are bound
  Span<int64_t> binds;        ///< to be set by Builtin::bind

  /// Options; the default is for one that was not given.
  int64_t intOption(const char *name, int64_t value) const;
  double floatOption(const char *name, double value) const;
  const char *stringOption(const char *name, const char *value) const;
  Span<const int64_t> intsOption(const char *name) const;
  Span<const double> floatsOption(const char *name) const;
  bool hasOption(const char *name) const { return find(name) != nullptr; }

  /// Fails unless the counts of operands are in range; the `optional` last
  /// reads may be absent or missing.
  Status expectOperands(size_t reads, size_t optional, size_t writes) const;
  /// Read `i`, or an absent operand when there are fewer.
  const Operand &read(size_t i) const;
  const Operand &write(size_t i) const { return writes[i]; }

  /// An axis option in [-rank, rank), made non-negative.
  Status axisOption(const char *name, int64_t value, uint32_t rank,
                    uint32_t *axis) const;

  /// Memory for this call only. One block per call.
  Status scratch(uint64_t size, void **memory) const;

private:
  const bundle::Option *find(const char *name) const;

  const bundle::BuiltinCall &call;
  const Allocator &allocator;
  Block &scratchBlock;
};

/// A row of the table.
struct Builtin {
  const char *name;
  /// Sets the symbols that the sizes of the results depend on; NULL when they
  /// depend on none.
  Status (*bind)(const BuiltinArgs &args);
  Status (*run)(const BuiltinArgs &args);
};

/// NULL when there is none of that name.
const Builtin *findBuiltin(const char *name);

/// All of them, for listings.
Span<const Builtin> allBuiltins();

} // namespace lathe::rt

#endif // LATHE_RUNTIME_BUILTINS_BUILTIN_H
