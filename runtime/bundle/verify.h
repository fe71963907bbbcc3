// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a manifest must fulfil beyond being a well-formed FlatBuffer, so that
// the executor can use it without a check per access.

#ifndef LATHE_RUNTIME_BUNDLE_VERIFY_H
#define LATHE_RUNTIME_BUNDLE_VERIFY_H

#include "runtime/base/memory.h"
#include "runtime/bundle/schema.h"

namespace lathe::rt {

/// Elements of a vector that may be absent.
template <typename T> uint32_t sizeOf(const flatbuffers::Vector<T> *vector) {
  return vector ? vector->size() : 0;
}

/// The text of a string that may be absent.
inline const char *textOf(const flatbuffers::String *string) {
  return string ? string->c_str() : "";
}

/// Bytes per element; 0 for None and for numbers that are no dtype.
size_t dtypeSize(bundle::DType dtype);

/// Counts what loops go over. FlatBuffers lets tables share a vector, so that a
/// small file could describe endless work. A bundle does not share vectors: the
/// sum of all sizes is below the manifest's size in bytes, and a few lists are
/// gone over once per variant.
class WorkBudget {
public:
  explicit WorkBudget(uint64_t limit) : left(limit) {}
  Status spend(uint64_t elements);

private:
  uint64_t left;
};

/// Checks every index, range and sum in `manifest`, whose FlatBuffer must have
/// been verified. The manifest lies at [manifestOffset, manifestOffset +
/// manifestSize) of a file of `fileSize` bytes.
Status verifyManifest(const Allocator &allocator,
                      const bundle::Manifest &manifest, uint64_t manifestOffset,
                      uint64_t manifestSize, uint64_t fileSize);

/// The program of a variant for entry `index` (verify_program.cpp).
Status verifyProgram(const Allocator &allocator,
                     const bundle::Manifest &manifest,
                     const bundle::Variant &variant, uint32_t index,
                     WorkBudget &budget);

/// Calls of entries nest within limits (verify_calls.cpp). All programs of the
/// variant must have been verified: callees stand after their callers.
Status verifyCalls(const Allocator &allocator, const bundle::Variant &variant,
                   WorkBudget &budget);

/// An index that must be below `limit`; `what` names both in the message.
Status verifyIndex(int64_t index, uint64_t limit, const char *what);

/// The kernels of a variant (verify_kernels.cpp).
Status verifyKernels(const bundle::Variant &variant, WorkBudget &budget);

/// Indices of expressions.
Status verifyExprs(const flatbuffers::Vector<int32_t> *indices,
                   const bundle::Entry &entry, const char *what,
                   WorkBudget &budget);

/// The symbols whose values a step finds out; NULL for none. (A Bind names its
/// one symbol itself.)
const flatbuffers::Vector<uint32_t> *bindsOf(const bundle::Step &step);

/// True for symbols that the caller gives or an input's dims define: those that
/// are a dim by themselves.
Status findInputSymbols(const Allocator &allocator, const bundle::Entry &entry,
                        Array<bool> &defined);

} // namespace lathe::rt

#endif // LATHE_RUNTIME_BUNDLE_VERIFY_H
