// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/builtins/builtin.h"

#include "runtime/builtins/table.h"
#include "runtime/bundle/verify.h"

#include <cinttypes>
#include <cstring>

namespace lathe::rt {

int64_t Operand::count(uint32_t begin, uint32_t end) const {
  int64_t product = 1;
  for (uint32_t i = begin; i < end; ++i)
    product *= dims[i];
  return product;
}

//===----------------------------------------------------------------------===//
// Arguments
//===----------------------------------------------------------------------===//

const bundle::Option *BuiltinArgs::find(const char *name) const {
  for (uint32_t i = 0; i < sizeOf(call.options()); ++i)
    if (strcmp(textOf(call.options()->Get(i)->name()), name) == 0)
      return call.options()->Get(i);
  return nullptr;
}

int64_t BuiltinArgs::intOption(const char *name, int64_t value) const {
  const bundle::Option *option = find(name);
  return option ? option->int_value() : value;
}

double BuiltinArgs::floatOption(const char *name, double value) const {
  const bundle::Option *option = find(name);
  return option ? option->float_value() : value;
}

const char *BuiltinArgs::stringOption(const char *name,
                                      const char *value) const {
  const bundle::Option *option = find(name);
  return option ? textOf(option->string_value()) : value;
}

Span<const int64_t> BuiltinArgs::intsOption(const char *name) const {
  const bundle::Option *option = find(name);
  if (!option || !option->ints())
    return {};
  return {option->ints()->data(), option->ints()->size()};
}

Span<const double> BuiltinArgs::floatsOption(const char *name) const {
  const bundle::Option *option = find(name);
  if (!option || !option->floats())
    return {};
  return {option->floats()->data(), option->floats()->size()};
}

const Operand &BuiltinArgs::read(size_t i) const {
  static const Operand absent;
  return i < reads.size() ? reads[i] : absent;
}

Status BuiltinArgs::expectOperands(size_t numReads, size_t optional,
                                   size_t numWrites) const {
  bool few = reads.size() + optional < numReads || reads.size() > numReads;
  // While symbols are bound there is nothing to write to.
  if (few || (binds.empty() && writes.size() != numWrites))
    return error(LATHE_CORRUPT,
                 "%zu operands and %zu results; %zu and %zu are expected",
                 reads.size(), writes.size(), numReads, numWrites);
  for (size_t i = 0; i + optional < numReads; ++i)
    if (!reads[i].present())
      return error(LATHE_CORRUPT, "operand %zu is absent", i);
  return ok();
}

Status BuiltinArgs::axisOption(const char *name, int64_t value, uint32_t rank,
                               uint32_t *axis) const {
  int64_t found = intOption(name, value);
  if (found < -int64_t(rank) || found >= int64_t(rank))
    return error(LATHE_CORRUPT, "%s is %" PRId64 " for rank %u", name, found,
                 rank);
  *axis = static_cast<uint32_t>(found < 0 ? found + rank : found);
  return ok();
}

Status BuiltinArgs::scratch(uint64_t size, void **memory) const {
  LATHE_TRY(scratchBlock.reserve(allocator, size));
  *memory = scratchBlock.data();
  return ok();
}

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

static const Builtin builtins[] = {
    {"nonzero", bindNonzero, runNonzero},
    {"top_k", nullptr, runTopK},
};

Span<const Builtin> allBuiltins() {
  return {builtins, sizeof(builtins) / sizeof(builtins[0])};
}

const Builtin *findBuiltin(const char *name) {
  for (const Builtin &builtin : allBuiltins())
    if (strcmp(builtin.name, name) == 0)
      return &builtin;
  return nullptr;
}

} // namespace lathe::rt
