// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loads the ELF shared object in a code segment. dlopen trusts its input, wants
// a file, and takes ten times as long; what lld makes of kernels needs little.

#ifndef LATHE_RUNTIME_DEVICE_CPU_CODE_OBJECT_H
#define LATHE_RUNTIME_DEVICE_CPU_CODE_OBJECT_H

#include "runtime/base/memory.h"

namespace lathe::rt {

/// An x86-64 ELF shared object, copied into memory of its own, relocated and
/// protected: no page is both writable and executable.
///
/// Every table and address is checked. Refused are: anything but ET_DYN for
/// x86-64, thread-local storage, initializers, indirect functions, text
/// relocations, and imports that importedFunction does not list.
class CodeObject {
public:
  CodeObject() = default;
  CodeObject(const CodeObject &) = delete;
  CodeObject &operator=(const CodeObject &) = delete;
  ~CodeObject();

  Status load(const uint8_t *bytes, size_t size);

  /// The address of an exported function, or NULL.
  const void *find(const char *symbol) const;

private:
  friend class ElfLoader;
  uint8_t *base = nullptr;
  size_t extent = 0;
  const void *symbols = nullptr; // Elf64_Sym
  uint32_t numSymbols = 0;
  const char *strings = nullptr;
};

/// What generated code may call: memory functions and those of libm that LLVM
/// falls back to. NULL for anything else.
void *importedFunction(const char *name);

} // namespace lathe::rt

#endif // LATHE_RUNTIME_DEVICE_CPU_CODE_OBJECT_H
