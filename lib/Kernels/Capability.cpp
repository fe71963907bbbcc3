// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/Capability.h"
#include "llvm/ADT/StringSwitch.h"

using namespace lathe::kernels;

std::optional<Capability> Capability::getPreset(llvm::StringRef name) {
  Capability avx2;
  Capability avx512;
  avx512.vectorBytes = 64;
  avx512.vectorRegisters = 32;
  avx512.l1Bytes = 48 * 1024;
  avx512.l2Bytes = 2 * 1024 * 1024;
  avx512.int8Dot = true;
  Capability amx = avx512;
  amx.bf16Dot = true;
  amx.matrixUnit = true;
  Capability gpu;
  gpu.kind = Capability::Kind::Gpu;
  gpu.vectorBytes = 128;
  gpu.vectorRegisters = 255;
  gpu.scratchBytes = 48 * 1024;
  gpu.matrixUnit = true;
  gpu.sharedBytes = 99 * 1024;
  gpu.processors = 108;
  Capability gpu64 = gpu;
  gpu64.unitRows = 64;
  gpu64.sharedBytes = 227 * 1024;
  gpu64.processors = 132;
  return llvm::StringSwitch<std::optional<Capability>>(name)
      .Case("avx2", avx2)
      .Case("avx512", avx512)
      .Case("amx", amx)
      .Case("gpu", gpu)
      .Case("gpu64", gpu64)
      .Default(std::nullopt);
}
