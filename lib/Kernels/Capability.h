// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a strategy may know about a machine. The target fills the record in;
// lib/Kernels never asks which target it is.

#ifndef LATHE_KERNELS_CAPABILITY_H
#define LATHE_KERNELS_CAPABILITY_H

#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <optional>

namespace lathe::kernels {

struct Capability {
  enum class Kind { Cpu, Gpu };

  Kind kind = Kind::Cpu;

  /// Bytes of one vector register (cpu), or of what one warp reads at once.
  int64_t vectorBytes = 32;
  /// Vector registers that a kernel can use.
  int64_t vectorRegisters = 16;

  /// Caches of one core (cpu); shared memory of a workgroup is `scratchBytes`.
  int64_t l1Bytes = 32 * 1024;
  int64_t l2Bytes = 1024 * 1024;
  /// What a program may keep in tiles that do not fit its registers.
  int64_t scratchBytes = 256 * 1024;

  /// u8 x i8 dot products of four into i32 (AVX-512 VNNI, AVX-VNNI).
  bool int8Dot = false;
  /// bf16 dot products of two into f32.
  bool bf16Dot = false;
  /// A matrix unit that multiplies tiles (AMX, tensor cores). On a CPU: of bf16
  /// and of u8 x i8, `kUnitRows` rows by `kUnitBytes` of k. On a GPU: of f16
  /// and of bf16, with sums in f32, `unitRows` rows of them at once.
  bool matrixUnit = false;
  /// 16 where a warp multiplies, 64 where four of them do together (gpu).
  int64_t unitRows = 16;
  /// Whether it multiplies floats of 8 bits as they are, both along k.
  bool multipliesFloat8() const { return matrixUnit && unitRows == 64; }
  /// Processors that run programs beside each other (gpu).
  int64_t processors = 1;
  /// The most memory that one workgroup may share (gpu).
  int64_t sharedBytes = 48 * 1024;
  static constexpr int64_t kUnitRows = 16, kUnitBytes = 64;

  /// Elements of `bits` bits in one vector register, at least 1.
  int64_t getLanes(unsigned bits) const {
    int64_t lanes = vectorBytes * 8 / (bits < 8 ? 8 : bits);
    return lanes < 1 ? 1 : lanes;
  }

  /// Records for tests and for `--convert-graph-to-plan=capability=NAME`:
  /// "avx2", "avx512" (with int8Dot), "amx" (that and matrixUnit), "gpu" and
  /// "gpu64" (with that many unitRows).
  /// Nothing for another name.
  static std::optional<Capability> getPreset(llvm::StringRef name);
};

} // namespace lathe::kernels

#endif // LATHE_KERNELS_CAPABILITY_H
