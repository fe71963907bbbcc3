// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/bundle/bundle.h"

#include "runtime/base/options.h"
#include "runtime/base/sha256.h"
#include "runtime/bundle/format.h"

#include <cinttypes>
#include <cstring>

using namespace lathe::rt;
using lathe::bundle::Header;
using lathe::bundle::SegmentKind;

namespace bundle = lathe::bundle;

//===----------------------------------------------------------------------===//
// Opening
//===----------------------------------------------------------------------===//

static Status makeBundle(const lathe_bundle_options_t *options,
                         lathe_bundle_options_t *copy,
                         lathe_bundle_t **bundle) {
  LATHE_TRY(copyOptions(options, "lathe_bundle_options_t", copy));
  if (copy->verify != LATHE_VERIFY_CODE && copy->verify != LATHE_VERIFY_ALL)
    return error(LATHE_INVALID_ARGUMENT, "lathe_bundle_options_t: verify is %d",
                 copy->verify);
  Allocator allocator;
  LATHE_TRY(Allocator::fromC(copy->allocator, &allocator));
  return newObject(allocator, bundle);
}

Status lathe_bundle_t::open(const char *path,
                            const lathe_bundle_options_t *options,
                            lathe_bundle_t **result) {
  lathe_bundle_options_t copy;
  lathe_bundle_t *bundle;
  LATHE_TRY(makeBundle(options, &copy, &bundle));
  Status status = bundle->setPath(path);
  if (!status.failed())
    status = bundle->file.open(path);
  if (!status.failed()) {
    bundle->data = bundle->file.data();
    bundle->size = bundle->file.size();
    status = bundle->load(copy);
  }
  if (status.failed()) {
    bundle->release();
    return annotate(static_cast<Status &&>(status), "%s", path);
  }
  *result = bundle;
  return ok();
}

Status lathe_bundle_t::fromMemory(const void *data, size_t size,
                                  const lathe_bundle_options_t *options,
                                  lathe_bundle_t **result) {
  if (reinterpret_cast<uintptr_t>(data) % lathe::bundle::constantAlignment)
    return error(LATHE_INVALID_ARGUMENT,
                 "a bundle in memory must lie at a multiple of %" PRIu64,
                 lathe::bundle::constantAlignment);
  lathe_bundle_options_t copy;
  lathe_bundle_t *bundle;
  LATHE_TRY(makeBundle(options, &copy, &bundle));
  bundle->data = static_cast<const uint8_t *>(data);
  bundle->size = size;
  Status status = bundle->load(copy);
  if (status.failed()) {
    bundle->release();
    return annotate(static_cast<Status &&>(status), "bundle");
  }
  *result = bundle;
  return ok();
}

void lathe_bundle_t::release() const {
  if (holders.release())
    deleteObject(allocator, const_cast<lathe_bundle_t *>(this));
}

Status lathe_bundle_t::setPath(const char *name) {
  LATHE_TRY(path.allocate(allocator, strlen(name) + 1));
  memcpy(path.data(), name, path.size());
  return ok();
}

Status lathe_bundle_t::load(const lathe_bundle_options_t &options) {
  LATHE_TRY(readManifest());
  LATHE_TRY(
      verifyManifest(allocator, *root, manifestOffset, manifestSize(), size));
  if (options.verify == LATHE_VERIFY_ALL) {
    LATHE_TRY(verifyAll());
  } else {
    for (uint32_t i = 0; i < sizeOf(root->segments()); ++i)
      if (root->segments()->Get(i)->kind() == SegmentKind::Code)
        LATHE_TRY(verifySegment(i));
  }
  return describeEntries();
}

/// Unknown fields of a newer version are welcome, a newer version is not.
static Status checkVersion(const bundle::Manifest &manifest) {
  if (manifest.version() > bundle::formatVersion)
    return error(LATHE_UNSUPPORTED_VERSION,
                 "format version %u; this runtime reads up to %u (written by "
                 "'%s')",
                 manifest.version(), bundle::formatVersion,
                 textOf(manifest.producer()));
  if (manifest.version() == 0)
    return error(LATHE_CORRUPT, "format version 0");
  return ok();
}

Status lathe_bundle_t::readManifest() {
  Header header;
  if (size < sizeof(header))
    return error(LATHE_CORRUPT, "%" PRIu64 " bytes are too few for a bundle",
                 size);
  memcpy(&header, data, sizeof(header));
  if (memcmp(header.magic, bundle::magic, sizeof(header.magic)) != 0)
    return error(LATHE_CORRUPT, "not a Lathe bundle: wrong magic");
  for (uint8_t byte : header.reserved)
    if (byte)
      return error(LATHE_CORRUPT, "header: reserved bytes are not zero");
  manifestOffset = header.manifestOffset;
  if (manifestOffset < sizeof(header) ||
      manifestOffset % bundle::manifestAlignment || manifestOffset > size ||
      header.manifestSize != size - manifestOffset)
    return error(LATHE_CORRUPT,
                 "header: a manifest of %" PRIu64 " bytes at %" PRIu64
                 " does not end the file of %" PRIu64 " bytes",
                 header.manifestSize, manifestOffset, size);

  uint8_t digest[sha256Size];
  sha256(data + manifestOffset, manifestSize(), digest);
  if (memcmp(digest, header.manifestSha256, sha256Size) != 0)
    return error(LATHE_CORRUPT, "manifest: its bytes differ from its SHA-256");
  flatbuffers::Verifier verifier(data + manifestOffset, manifestSize());
  if (!bundle::VerifyManifestBuffer(verifier))
    return error(LATHE_CORRUPT, "manifest: malformed FlatBuffer");
  root = bundle::GetManifest(data + manifestOffset);
  return checkVersion(*root);
}

//===----------------------------------------------------------------------===//
// Bytes
//===----------------------------------------------------------------------===//

Span<const uint8_t> lathe_bundle_t::segment(uint32_t index) const {
  const bundle::Segment &segment = *root->segments()->Get(index);
  return {data + segment.offset(), segment.size()};
}

const uint8_t *lathe_bundle_t::constant(uint32_t index) const {
  const bundle::Constant &constant = *root->constants()->Get(index);
  return segment(constant.segment()).data() + constant.offset();
}

Status lathe_bundle_t::verifySegment(uint32_t index) const {
  Span<const uint8_t> bytes = segment(index);
  uint8_t digest[sha256Size];
  sha256(bytes.data(), bytes.size(), digest);
  if (memcmp(digest, root->segments()->Get(index)->sha256()->data(),
             sha256Size) != 0)
    return error(LATHE_CORRUPT, "segment %u: its bytes differ from its SHA-256",
                 index);
  return ok();
}

Status lathe_bundle_t::verifyGap(uint64_t begin, uint64_t end) const {
  for (uint64_t i = begin; i < end; ++i)
    if (data[i])
      return error(LATHE_CORRUPT,
                   "byte %" PRIu64 ", between segments, is not zero", i);
  return ok();
}

Status lathe_bundle_t::verifyAll() const {
  uint64_t end = sizeof(Header);
  for (uint32_t i = 0; i < sizeOf(root->segments()); ++i) {
    const bundle::Segment &segment = *root->segments()->Get(i);
    LATHE_TRY(verifyGap(end, segment.offset()));
    LATHE_TRY(verifySegment(i));
    end = segment.offset() + segment.size();
  }
  return verifyGap(end, manifestOffset);
}
