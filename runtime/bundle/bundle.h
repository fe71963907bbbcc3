// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_RUNTIME_BUNDLE_BUNDLE_H
#define LATHE_RUNTIME_BUNDLE_BUNDLE_H

#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "runtime/base/sync.h"
#include "runtime/base/text.h"
#include "runtime/bundle/verify.h"

/// A bundle that has been verified. Immutable; held by its opener and by each
/// model that was made from it.
struct lathe_bundle_t {
public:
  static lathe::rt::Status open(const char *path,
                                const lathe_bundle_options_t *options,
                                lathe_bundle_t **bundle);
  static lathe::rt::Status fromMemory(const void *data, size_t size,
                                      const lathe_bundle_options_t *options,
                                      lathe_bundle_t **bundle);
  void retain() const { holders.retain(); }
  void release() const;

  const lathe::bundle::Manifest &manifest() const { return *root; }
  uint64_t fileSize() const { return size; }
  uint64_t manifestSize() const { return size - manifestOffset; }
  /// The path, or "bundle in memory": what messages begin with.
  const char *name() const { return path.size() ? path.data() : "bundle"; }

  /// The bytes of a segment or constant, in place.
  lathe::rt::Span<const uint8_t> segment(uint32_t index) const;
  const uint8_t *constant(uint32_t index) const;

  /// Compares the bytes of one segment with its SHA-256.
  lathe::rt::Status verifySegment(uint32_t index) const;
  /// Every byte of the file: segments, and zeros between them.
  lathe::rt::Status verifyAll() const;

  /// How many entries callers see: internal ones stand after them.
  size_t numEntries() const;

  /// What the inspection calls return and the manifest does not hold.
  struct EntryText {
    size_t numInputSymbols = 0;
    lathe::rt::Array<lathe::rt::Span<const lathe_dim_t>> inputs;
    lathe::rt::Array<lathe::rt::Span<const lathe_dim_t>> outputs;
    lathe::rt::Array<lathe_dim_t> dims;
    lathe::rt::Array<char> text;
  };
  const EntryText &entryText(size_t entry) const { return texts[entry]; }
  /// Features of a variant that this machine lacks, or "". Asks the device's
  /// driver when it is first called for the variant.
  lathe::rt::Status findMissing(size_t variant, const char **text) const;

  // For newObject.
  explicit lathe_bundle_t(const lathe::rt::Allocator &allocator)
      : allocator(allocator) {}

private:
  lathe::rt::Status setPath(const char *name);
  lathe::rt::Status load(const lathe_bundle_options_t &options);
  lathe::rt::Status readManifest();
  lathe::rt::Status describeEntries();
  lathe::rt::Status verifyGap(uint64_t begin, uint64_t end) const;

  lathe::rt::Allocator allocator;
  lathe::rt::RefCount holders;
  lathe::rt::Array<char> path;
  lathe::rt::MappedFile file;
  const uint8_t *data = nullptr;
  uint64_t size = 0;
  uint64_t manifestOffset = 0;
  const lathe::bundle::Manifest *root = nullptr;
  lathe::rt::Array<EntryText> texts;

  mutable lathe::rt::Mutex mutex;
  mutable lathe::rt::Array<lathe::rt::Array<char>> missingTexts;
};

namespace lathe::rt {
class Device;

/// "avx512f, avx512vnni": features of a variant that the device lacks, or "".
Text<512> listMissing(const bundle::Variant &variant, const Device &device);
} // namespace lathe::rt

#endif // LATHE_RUNTIME_BUNDLE_BUNDLE_H
