// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The parts of a bundle that are not FlatBuffers (docs/BundleFormat.md). Shared
// by the reader here and the writer in lib/Bundle.

#ifndef LATHE_RUNTIME_BUNDLE_FORMAT_H
#define LATHE_RUNTIME_BUNDLE_FORMAT_H

#include <cstdint>

namespace lathe::bundle {

/// Manifest.version. A runtime reads this version and all before it.
constexpr uint32_t formatVersion = 3;

constexpr uint8_t magic[8] = {'L', 'A', 'T', 'H', 'E', 0, 0, 1};

/// The first bytes of the file, integers little-endian.
struct Header {
  uint8_t magic[8];
  uint64_t manifestOffset;
  uint64_t manifestSize;
  uint8_t manifestSha256[32];
  uint8_t reserved[8]; // 0
};
static_assert(sizeof(Header) == 64, "The header has no padding");

/// Segments begin at multiples of this in the file.
constexpr uint64_t segmentAlignment = 4096;
/// Constants begin at multiples of this in their segment.
constexpr uint64_t constantAlignment = 64;
/// The manifest begins at a multiple of this in the file.
constexpr uint64_t manifestAlignment = 64;

/// In BuiltinCall.reads: an optional operand that is absent.
constexpr uint32_t absentOperand = 0xFFFFFFFF;

/// Limits that readers enforce; a writer beyond them has a defect.
constexpr uint32_t maxRank = 16;
constexpr uint32_t maxOperands = 256;         // of a launch or built-in
constexpr uint32_t maxScalars = 256;          // of a launch
constexpr uint32_t maxThreads = 1024;         // of a program
constexpr uint32_t maxSharedBytes = 1u << 20; // of a program
constexpr uint32_t maxCluster = 8;            // programs that run together
constexpr uint32_t maxTensorMaps = 16;        // of a kernel
constexpr uint32_t maxMapRank = 5;
constexpr uint32_t maxBox = 256;      // in each dim of a map, elements
constexpr uint32_t mapAlignment = 16; // of a map's start, strides and box
constexpr uint32_t maxCallDepth = 64; // of entries that run entries
constexpr uint32_t maxCalls = 4096;   // below one entry, each counted apart

} // namespace lathe::bundle

#endif // LATHE_RUNTIME_BUNDLE_FORMAT_H
