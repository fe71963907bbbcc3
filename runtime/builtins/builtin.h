// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Ops that no kernel strategy covers, executed on the host (design.md 2.5).
//
// Their names, operands and options are a contract with the importers, written
// in lib/Frontend/Onnx/Builtins.md. The compiler has inferred all shapes; a
// built-in checks what it relies on all the same.

#ifndef LATHE_RUNTIME_BUILTINS_BUILTIN_H
#define LATHE_RUNTIME_BUILTINS_BUILTIN_H

#include "runtime/base/memory.h"
#include "runtime/bundle/format.h"

#include "runtime/bundle/schema.h"
#include <initializer_list>

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

/// The shape of a result whose size depends on data.
struct ResultShape {
  uint32_t rank = 0;
  int64_t dims[bundle::maxRank] = {};

  void set(std::initializer_list<int64_t> values) {
    rank = 0;
    for (int64_t value : values)
      dims[rank++] = value;
  }
};

/// One call: operands, options, scratch memory.
class BuiltinArgs {
public:
  BuiltinArgs(const bundle::BuiltinCall &call, const Allocator &allocator,
              Block &scratchBlock)
      : call(call), allocator(allocator), scratchBlock(scratchBlock) {}

  Span<const Operand> reads;
  Span<const Operand> writes; ///< empty while Builtin::shape is called
  Span<ResultShape> shapes;   ///< one per result, to be set by Builtin::shape

  /// Options; the default is for one that was not given.
  int64_t intOption(const char *name, int64_t value) const;
  double floatOption(const char *name, double value) const;
  const char *stringOption(const char *name, const char *value) const;
  Span<const int64_t> intsOption(const char *name) const;
  Span<const double> floatsOption(const char *name) const;
  bool hasOption(const char *name) const { return find(name) != nullptr; }

  /// Fails unless the first `required` operands and between `minResults` and
  /// `maxResults` results are there.
  Status expect(size_t required, size_t minResults, size_t maxResults) const;
  /// The operand at a position of the ONNX op, or an absent one. Option
  /// `operands` lists the positions where some are left out.
  const Operand &read(size_t position) const;
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
  /// Sets the shapes of the results; NULL when they never depend on data.
  Status (*shape)(const BuiltinArgs &args);
  Status (*run)(const BuiltinArgs &args);
};

/// NULL when there is none of that name.
const Builtin *findBuiltin(const char *name);

/// All of them, for listings.
Span<const Builtin> allBuiltins();

} // namespace lathe::rt

#endif // LATHE_RUNTIME_BUILTINS_BUILTIN_H
