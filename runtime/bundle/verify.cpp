// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/bundle/verify.h"

#include "runtime/base/sha256.h"
#include "runtime/bundle/expr.h"
#include "runtime/bundle/format.h"

#include <cinttypes>
#include <cstring>

namespace lathe::rt {

using namespace bundle;

static constexpr uint64_t workPerByte = 8;

size_t dtypeSize(DType dtype) {
  switch (dtype) {
  case DType::None:
    return 0;
  case DType::Bool:
  case DType::I8:
  case DType::U8:
  case DType::F8E4M3:
  case DType::F8E5M2:
    return 1;
  case DType::I16:
  case DType::U16:
  case DType::F16:
  case DType::BF16:
    return 2;
  case DType::I32:
  case DType::U32:
  case DType::F32:
    return 4;
  case DType::I64:
  case DType::U64:
  case DType::F64:
    return 8;
  }
  return 0;
}

Status WorkBudget::spend(uint64_t elements) {
  if (elements > left)
    return error(LATHE_CORRUPT, "vectors overlap each other");
  left -= elements;
  return ok();
}

Status verifyIndex(int64_t index, uint64_t limit, const char *what) {
  if (index < 0 || static_cast<uint64_t>(index) >= limit)
    return error(LATHE_CORRUPT,
                 "%s %" PRId64 " is out of range: there are %" PRIu64, what,
                 index, limit);
  return ok();
}

Status verifyExprs(const flatbuffers::Vector<int32_t> *indices,
                   const Entry &entry, const char *what, WorkBudget &budget) {
  LATHE_TRY(budget.spend(sizeOf(indices)));
  for (uint32_t i = 0; i < sizeOf(indices); ++i)
    LATHE_TRY(annotate(
        verifyIndex(indices->Get(i), sizeOf(entry.exprs()), "expression"),
        "%s %u", what, i));
  return ok();
}

//===----------------------------------------------------------------------===//
// Segments and constants
//===----------------------------------------------------------------------===//

static Status verifySegment(const Segment &segment, uint64_t begin,
                            uint64_t end) {
  if (segment.kind() != SegmentKind::Data &&
      segment.kind() != SegmentKind::Code)
    return error(LATHE_CORRUPT, "unknown kind %u",
                 static_cast<unsigned>(segment.kind()));
  if (segment.offset() % segmentAlignment)
    return error(LATHE_CORRUPT, "offset %" PRIu64 " is no multiple of %" PRIu64,
                 segment.offset(), segmentAlignment);
  if (segment.offset() < begin || segment.offset() > end ||
      segment.size() > end - segment.offset())
    return error(LATHE_CORRUPT,
                 "%" PRIu64 " bytes at %" PRIu64
                 " do not lie between its neighbors, %" PRIu64 " and %" PRIu64,
                 segment.size(), segment.offset(), begin, end);
  if (sizeOf(segment.sha256()) != sha256Size)
    return error(LATHE_CORRUPT, "its SHA-256 has %u bytes",
                 sizeOf(segment.sha256()));
  return ok();
}

static Status verifySegments(const Manifest &manifest, uint64_t manifestOffset,
                             WorkBudget &budget) {
  uint64_t begin = sizeof(Header);
  LATHE_TRY(budget.spend(sizeOf(manifest.segments())));
  for (uint32_t i = 0; i < sizeOf(manifest.segments()); ++i) {
    const Segment &segment = *manifest.segments()->Get(i);
    LATHE_TRY(annotate(verifySegment(segment, begin, manifestOffset),
                       "segment %u", i));
    begin = segment.offset() + segment.size();
  }
  return ok();
}

static Status verifyConstant(const Manifest &manifest,
                             const Constant &constant) {
  LATHE_TRY(
      verifyIndex(constant.segment(), sizeOf(manifest.segments()), "segment"));
  const Segment &segment = *manifest.segments()->Get(constant.segment());
  if (segment.kind() != SegmentKind::Data)
    return error(LATHE_CORRUPT, "segment %u holds code", constant.segment());
  if (constant.offset() % constantAlignment)
    return error(LATHE_CORRUPT, "offset %" PRIu64 " is no multiple of %" PRIu64,
                 constant.offset(), constantAlignment);
  if (constant.offset() > segment.size() ||
      constant.size() > segment.size() - constant.offset())
    return error(LATHE_CORRUPT,
                 "%" PRIu64 " bytes at %" PRIu64
                 " exceed segment %u of %" PRIu64 " bytes",
                 constant.size(), constant.offset(), constant.segment(),
                 segment.size());
  return ok();
}

//===----------------------------------------------------------------------===//
// Entries
//===----------------------------------------------------------------------===//

static Status verifyExpr(const Entry &entry, const Expr &expr, uint32_t index) {
  if (expr.op() > ExprOp::Max)
    return error(LATHE_CORRUPT, "unknown operation %u",
                 static_cast<unsigned>(expr.op()));
  if (expr.op() == ExprOp::Symbol)
    return verifyIndex(expr.value(), sizeOf(entry.symbols()), "symbol");
  if (!isBinary(expr.op()))
    return ok();
  LATHE_TRY(verifyIndex(expr.lhs(), index, "earlier expression"));
  return verifyIndex(expr.rhs(), index, "earlier expression");
}

static Status verifyTensor(const Entry &entry, const TensorInfo &tensor,
                           WorkBudget &budget) {
  if (!*textOf(tensor.name()))
    return error(LATHE_CORRUPT, "it has no name");
  if (!dtypeSize(tensor.dtype()))
    return error(LATHE_CORRUPT, "unknown dtype %u",
                 static_cast<unsigned>(tensor.dtype()));
  if (sizeOf(tensor.dims()) > maxRank)
    return error(LATHE_CORRUPT, "rank %u is above %u", sizeOf(tensor.dims()),
                 maxRank);
  return verifyExprs(tensor.dims(), entry, "dim", budget);
}

Status findInputSymbols(const Allocator &allocator, const Entry &entry,
                        Array<bool> &defined) {
  LATHE_TRY(defined.allocate(allocator, sizeOf(entry.symbols())));
  for (uint32_t i = 0; i < entry.given(); ++i)
    defined[i] = true;
  for (uint32_t i = 0; i < sizeOf(entry.inputs()); ++i) {
    const auto *dims = entry.inputs()->Get(i)->dims();
    for (uint32_t d = 0; d < sizeOf(dims); ++d) {
      const Expr &expr =
          *entry.exprs()->Get(static_cast<uint32_t>(dims->Get(d)));
      if (expr.op() == ExprOp::Symbol)
        defined[static_cast<size_t>(expr.value())] = true;
    }
  }
  return ok();
}

/// Symbols that a caller gives come first in the list, then those of inputs.
static Status verifySymbolOrder(const Allocator &allocator,
                                const Entry &entry) {
  Array<bool> defined;
  LATHE_TRY(findInputSymbols(allocator, entry, defined));
  for (size_t i = 1; i < defined.size(); ++i)
    if (defined[i] && !defined[i - 1])
      return error(
          LATHE_CORRUPT,
          "symbol '%s' comes from an input and stands after '%s', which does "
          "not",
          textOf(entry.symbols()->Get(static_cast<uint32_t>(i))),
          textOf(entry.symbols()->Get(static_cast<uint32_t>(i - 1))));
  return ok();
}

static Status verifyEntry(const Allocator &allocator, const Entry &entry,
                          WorkBudget &budget) {
  LATHE_TRY(budget.spend(uint64_t(sizeOf(entry.symbols())) +
                         sizeOf(entry.exprs()) + sizeOf(entry.inputs()) +
                         sizeOf(entry.outputs())));
  if (entry.given() > (entry.internal() ? sizeOf(entry.symbols()) : 0))
    return error(LATHE_CORRUPT, "a caller cannot give it %u symbols",
                 entry.given());
  for (uint32_t i = 0; i < sizeOf(entry.exprs()); ++i)
    LATHE_TRY(annotate(verifyExpr(entry, *entry.exprs()->Get(i), i),
                       "expression %u", i));
  for (uint32_t i = 0; i < sizeOf(entry.inputs()); ++i)
    LATHE_TRY(annotate(verifyTensor(entry, *entry.inputs()->Get(i), budget),
                       "input %u", i));
  for (uint32_t i = 0; i < sizeOf(entry.outputs()); ++i)
    LATHE_TRY(annotate(verifyTensor(entry, *entry.outputs()->Get(i), budget),
                       "output %u", i));
  return verifySymbolOrder(allocator, entry);
}

//===----------------------------------------------------------------------===//
// Variants
//===----------------------------------------------------------------------===//

static Status verifyVariant(const Allocator &allocator,
                            const Manifest &manifest, const Variant &variant,
                            WorkBudget &budget) {
  LATHE_TRY(
      verifyIndex(variant.code(), sizeOf(manifest.segments()), "segment"));
  if (manifest.segments()->Get(variant.code())->kind() != SegmentKind::Code)
    return error(LATHE_CORRUPT, "segment %u holds no code", variant.code());
  LATHE_TRY(verifyKernels(variant, budget));
  LATHE_TRY(budget.spend(uint64_t(sizeOf(variant.features())) +
                         sizeOf(variant.programs())));
  if (sizeOf(variant.programs()) != sizeOf(manifest.entries()))
    return error(LATHE_CORRUPT, "%u programs for %u entries",
                 sizeOf(variant.programs()), sizeOf(manifest.entries()));
  for (uint32_t i = 0; i < sizeOf(variant.programs()); ++i)
    LATHE_TRY(annotate(verifyProgram(allocator, manifest, variant, i, budget),
                       "entry '%s'",
                       textOf(manifest.entries()->Get(i)->name())));
  return verifyCalls(allocator, variant, budget);
}

/// Entries that callers of the runtime see come first.
static Status verifyEntryOrder(const Manifest &manifest) {
  for (uint32_t i = 1; i < sizeOf(manifest.entries()); ++i)
    if (manifest.entries()->Get(i - 1)->internal() &&
        !manifest.entries()->Get(i)->internal())
      return error(LATHE_CORRUPT, "entry %u stands after an internal one", i);
  return ok();
}

Status verifyManifest(const Allocator &allocator, const Manifest &manifest,
                      uint64_t manifestOffset, uint64_t manifestSize,
                      uint64_t fileSize) {
  if (manifestOffset + manifestSize != fileSize)
    return error(LATHE_CORRUPT, "bytes follow the manifest");
  WorkBudget budget(workPerByte * manifestSize);
  LATHE_TRY(verifySegments(manifest, manifestOffset, budget));

  LATHE_TRY(budget.spend(
      uint64_t(sizeOf(manifest.constants())) + sizeOf(manifest.entries()) +
      sizeOf(manifest.variants()) + sizeOf(manifest.provenance())));
  for (uint32_t i = 0; i < sizeOf(manifest.constants()); ++i) {
    const Constant &constant = *manifest.constants()->Get(i);
    LATHE_TRY(annotate(verifyConstant(manifest, constant), "constant %u ('%s')",
                       i, textOf(constant.name())));
  }
  for (uint32_t i = 0; i < sizeOf(manifest.entries()); ++i) {
    const Entry &entry = *manifest.entries()->Get(i);
    LATHE_TRY(annotate(verifyEntry(allocator, entry, budget), "entry %u ('%s')",
                       i, textOf(entry.name())));
  }
  LATHE_TRY(verifyEntryOrder(manifest));
  for (uint32_t i = 0; i < sizeOf(manifest.variants()); ++i) {
    const Variant &variant = *manifest.variants()->Get(i);
    LATHE_TRY(annotate(verifyVariant(allocator, manifest, variant, budget),
                       "variant %u (%s)", i, textOf(variant.level())));
  }
  return ok();
}

} // namespace lathe::rt
