// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From the inputs' shapes to the values of symbols.

#include "runtime/exec/context.h"

#include <cinttypes>

namespace lathe::rt {

using namespace bundle;

Status countElements(const int64_t *dims, uint32_t rank, size_t elementSize,
                     int64_t *elements) {
  int64_t count = 1, bytes;
  bool empty = false;
  for (uint32_t i = 0; i < rank; ++i) {
    if (dims[i] < 0)
      return error(LATHE_INVALID_ARGUMENT, "dim %u is %" PRId64, i, dims[i]);
    empty |= dims[i] == 0;
  }
  for (uint32_t i = 0; i < rank && !empty; ++i)
    if (__builtin_mul_overflow(count, dims[i], &count))
      return error(LATHE_INVALID_ARGUMENT, "its size overflows");
  if (__builtin_mul_overflow(count, int64_t(elementSize), &bytes))
    return error(LATHE_INVALID_ARGUMENT, "its size overflows");
  *elements = empty ? 0 : count;
  return ok();
}

static const Expr &dimExpr(const Entry &entry, size_t input, uint32_t dim) {
  const auto *dims = entry.inputs()->Get(static_cast<uint32_t>(input))->dims();
  return *entry.exprs()->Get(static_cast<uint32_t>(dims->Get(dim)));
}

static const char *inputName(const Entry &entry, size_t input) {
  return textOf(entry.inputs()->Get(static_cast<uint32_t>(input))->name());
}

Status Context::checkInput(size_t index, const lathe_tensor_t &tensor,
                           bool needData) {
  const TensorInfo &info =
      *plan.entry().inputs()->Get(static_cast<uint32_t>(index));
  auto dtype = static_cast<lathe_dtype_t>(info.dtype());
  if (tensor.dtype != dtype)
    return error(LATHE_INVALID_ARGUMENT, "input '%s' is %s instead of %s",
                 textOf(info.name()), lathe_dtype_name(tensor.dtype),
                 lathe_dtype_name(dtype));
  if (tensor.rank != sizeOf(info.dims()))
    return error(LATHE_INVALID_ARGUMENT, "input '%s' has rank %u instead of %u",
                 textOf(info.name()), tensor.rank, sizeOf(info.dims()));
  if (tensor.rank && !tensor.dims)
    return error(LATHE_INVALID_ARGUMENT, "input '%s' has no dims",
                 textOf(info.name()));
  int64_t elements;
  size_t size = lathe_dtype_size(dtype);
  LATHE_TRY(annotate(countElements(tensor.dims, tensor.rank, size, &elements),
                     "input '%s'", textOf(info.name())));
  if (!needData || !elements)
    return ok();
  if (!tensor.data)
    return error(LATHE_INVALID_ARGUMENT, "input '%s' has no data",
                 textOf(info.name()));
  LATHE_TRY(annotate(checkMemory(tensor, owner.device()), "input '%s'",
                     textOf(info.name())));
  if (reinterpret_cast<uintptr_t>(tensor.data) % size)
    return error(LATHE_INVALID_ARGUMENT,
                 "input '%s': its data is not aligned to %zu bytes",
                 textOf(info.name()), size);
  return ok();
}

void Context::setInputSymbol(uint32_t symbol, int64_t value) {
  if (symbols[symbol].state != ExprValue::Known ||
      symbols[symbol].value != value)
    numPrepared = 0;
  symbols[symbol] = ExprValue::known(value);
}

/// Names the dim, what was found, and why it should be something else.
Status Context::mismatch(size_t input, uint32_t dim, int64_t found) const {
  const Entry &entry = plan.entry();
  lathe_tensor_info_t info = LATHE_INIT(lathe_tensor_info_t);
  LATHE_TRY(
      Status(lathe_bundle_input(&owner.bundle(), entryIndex, input, &info)));
  const Expr &expr = dimExpr(entry, input, dim);
  const char *name = inputName(entry, input);
  if (expr.op() == ExprOp::Const)
    return error(LATHE_INVALID_ARGUMENT,
                 "input '%s': dim %u is %" PRId64 " instead of %" PRId64, name,
                 dim, found, expr.value());
  if (expr.op() == ExprOp::Symbol)
    for (uint32_t i = 0; i <= input; ++i)
      for (uint32_t d = 0; d < sizeOf(entry.inputs()->Get(i)->dims()); ++d) {
        const Expr &other = dimExpr(entry, i, d);
        if (other.op() != ExprOp::Symbol || other.value() != expr.value())
          continue;
        return error(LATHE_INVALID_ARGUMENT,
                     "input '%s': dim %u ('%s') is %" PRId64
                     ", but dim %u of input '%s' made '%s' %" PRId64,
                     name, dim, info.dims[dim].text, found, d,
                     inputName(entry, i), info.dims[dim].text,
                     symbols[static_cast<size_t>(expr.value())].value);
      }
  return error(LATHE_INVALID_ARGUMENT,
               "input '%s': dim %u is %" PRId64 " and should be %s (%s)", name,
               dim, found, info.dims[dim].text, describeSymbols().c_str());
}

/// Dims that are a symbol by themselves: the first use defines it.
Status Context::defineSymbols(size_t index, const lathe_tensor_t &tensor) {
  for (uint32_t d = 0; d < tensor.rank; ++d) {
    const Expr &expr = dimExpr(plan.entry(), index, d);
    if (expr.op() != ExprOp::Symbol)
      continue;
    auto symbol = static_cast<uint32_t>(expr.value());
    if (definedBy[symbol] != runNumber) {
      definedBy[symbol] = runNumber;
      setInputSymbol(symbol, tensor.dims[d]);
    } else if (symbols[symbol].value != tensor.dims[d]) {
      return mismatch(index, d, tensor.dims[d]);
    }
  }
  return ok();
}

/// Dims that are constant or computed.
Status Context::checkDims(size_t index, const lathe_tensor_t &tensor) {
  const auto *dims =
      plan.entry().inputs()->Get(static_cast<uint32_t>(index))->dims();
  for (uint32_t d = 0; d < tensor.rank; ++d) {
    ExprValue expected = value(dims->Get(d));
    if (expected.state != ExprValue::Known || expected.value != tensor.dims[d])
      return mismatch(index, d, tensor.dims[d]);
  }
  return ok();
}

Status Context::bindShapes(Span<const lathe_tensor_t> inputs, bool needData) {
  const Entry &entry = plan.entry();
  if (inputs.size() != sizeOf(entry.inputs()))
    return error(LATHE_INVALID_ARGUMENT,
                 "entry '%s' takes %u inputs and was given %zu",
                 textOf(entry.name()), sizeOf(entry.inputs()), inputs.size());
  ++runNumber;
  for (uint32_t i = 0; i < givenSymbols.size(); ++i) {
    definedBy[i] = runNumber;
    setInputSymbol(i, givenSymbols[i]);
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    LATHE_TRY(checkInput(i, inputs[i], needData));
    LATHE_TRY(defineSymbols(i, inputs[i]));
  }
  if (numPrepared == 0)
    evaluatePhase(0);
  for (size_t i = 0; i < inputs.size(); ++i)
    LATHE_TRY(checkDims(i, inputs[i]));
  return ok();
}

} // namespace lathe::rt
