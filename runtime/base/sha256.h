// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_RUNTIME_BASE_SHA256_H
#define LATHE_RUNTIME_BASE_SHA256_H

#include <cstddef>
#include <cstdint>

namespace lathe::rt {

constexpr size_t sha256Size = 32;

/// SHA-256 (FIPS 180-4) of `size` bytes: about 1.5 GB/s where the CPU has the
/// SHA extensions, a fifth of that elsewhere.
void sha256(const void *data, size_t size, uint8_t digest[sha256Size]);

/// The same without the extensions, for tests.
void sha256Portable(const void *data, size_t size, uint8_t digest[sha256Size]);

} // namespace lathe::rt

#endif // LATHE_RUNTIME_BASE_SHA256_H
