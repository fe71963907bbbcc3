// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/builtins/builtin.h"

#include "runtime/builtins/table.h"
#include "runtime/bundle/callees.h"
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

const Operand &BuiltinArgs::read(size_t position) const {
  static const Operand absent;
  Span<const int64_t> positions = intsOption("operands");
  if (positions.empty())
    return position < reads.size() ? reads[position] : absent;
  for (size_t i = 0; i < positions.size() && i < reads.size(); ++i)
    if (positions[i] == static_cast<int64_t>(position))
      return reads[i];
  return absent;
}

Status BuiltinArgs::expect(size_t required, size_t minResults,
                           size_t maxResults) const {
  for (size_t i = 0; i < required; ++i)
    if (!read(i).present())
      return error(LATHE_CORRUPT, "operand %zu is absent", i);
  size_t results = shapes.empty() ? writes.size() : shapes.size();
  if (results < minResults || results > maxResults)
    return error(LATHE_CORRUPT, "%zu results; %zu to %zu are expected", results,
                 minResults, maxResults);
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

static constexpr Builtin builtins[] = {
    {"check_indices", nullptr, runCheckIndices},
    {"col2im", nullptr, runCol2Im},
    {"compress", shapeCompress, runCompress},
    {"cumulative_product", nullptr, runCumulativeProduct},
    {"det", nullptr, runDet},
    {"grid_sample", nullptr, runGridSample},
    {"gru", nullptr, runGru},
    {"lstm", nullptr, runLstm},
    {"max_pool_with_indices", nullptr, runMaxPoolWithIndices},
    {"max_unpool", nullptr, runMaxUnpool},
    {"non_max_suppression", shapeNonMaxSuppression, runNonMaxSuppression},
    {"nonzero", shapeNonzero, runNonzero},
    {"resize", nullptr, runResize},
    {"rnn", nullptr, runRnn},
    {"roi_align", nullptr, runRoiAlign},
    {"top_k", shapeTopK, runTopK},
    {"unique", shapeUnique, runUnique},
};

static constexpr bool isSame(const char *a, const char *b) {
  while (*a && *a == *b)
    ++a, ++b;
  return *a == *b;
}

static constexpr bool definesAllCallees() {
  constexpr size_t count = sizeof(builtins) / sizeof(builtins[0]);
  if (count != sizeof(bundle::callees) / sizeof(bundle::callees[0]))
    return false;
  for (size_t i = 0; i < count; ++i)
    if (!isSame(builtins[i].name, bundle::callees[i]))
      return false;
  return true;
}
static_assert(definesAllCallees(),
              "the table has the functions of runtime/bundle/callees.h in the "
              "same order");

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
