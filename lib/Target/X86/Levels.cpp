// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/X86/Levels.h"

using namespace lathe;
using namespace lathe::x86;

static constexpr uint64_t KiB = 1024;

static std::vector<Level> makeLevels() {
  TargetLevel v3;
  v3.name = "x86-64-v3";
  v3.features = {"avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"};
  v3.capabilities.vectorBits = 256;
  v3.capabilities.vectorRegisters = 16;
  v3.capabilities.l1Bytes = 32 * KiB;
  v3.capabilities.l2Bytes = 256 * KiB;
  v3.capabilities.scratchBytes = 512 * KiB;

  TargetLevel vnni = v3;
  vnni.name = "avx512-vnni";
  for (const char *feature : {"avx512f", "avx512bw", "avx512cd", "avx512dq",
                              "avx512vl", "avx512vnni"})
    vnni.features.push_back(feature);
  vnni.capabilities.vectorBits = 512;
  vnni.capabilities.vectorRegisters = 32;
  vnni.capabilities.int8Dot = true;
  vnni.capabilities.l2Bytes = 1024 * KiB;

  TargetLevel bf16 = vnni;
  bf16.name = "avx512-bf16";
  bf16.features.push_back("avx512bf16");
  bf16.capabilities.bf16Dot = true;

  TargetLevel amx = bf16;
  amx.name = "avx512-amx";
  for (const char *feature : {"amx-tile", "amx-bf16", "amx-int8"})
    amx.features.push_back(feature);
  amx.capabilities.matrixUnit = true;

  return {{v3, "x86-64-v3", "-prefer-256-bit"},
          {vnni, "x86-64-v4", "+avx512vnni,-prefer-256-bit"},
          {bf16, "x86-64-v4", "+avx512vnni,+avx512bf16,-prefer-256-bit"},
          {amx, "x86-64-v4",
           "+avx512vnni,+avx512bf16,+amx-tile,+amx-bf16,+amx-int8,"
           "-prefer-256-bit"}};
}

llvm::ArrayRef<Level> x86::getLevels() {
  static const std::vector<Level> levels = makeLevels();
  return levels;
}

const Level *x86::lookupLevel(llvm::StringRef name) {
  for (const Level &level : getLevels())
    if (level.record.name == name)
      return &level;
  return nullptr;
}

VectorUnit x86::getVectorUnit(const Level &level) {
  const TargetCapabilities &capabilities = level.record.capabilities;
  VectorUnit unit;
  unit.lanes = capabilities.vectorBits / 32;
  unit.registers = capabilities.vectorRegisters;
  unit.int8Dot = capabilities.int8Dot;
  unit.bf16Dot = capabilities.bf16Dot;
  unit.tiles = capabilities.matrixUnit;
  unit.scratchBytes = capabilities.scratchBytes;
  return unit;
}
