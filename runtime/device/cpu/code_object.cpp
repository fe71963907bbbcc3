// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/device/cpu/code_object.h"

#include <cerrno>
#include <cinttypes>
#include <cstring>
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

namespace lathe::rt {

/// The steps of CodeObject::load. Two address spaces matter: offsets in the
/// segment (`fileRange`) and addresses relative to where it is mapped
/// (`memoryRange`). Neither is ever used unchecked.
class ElfLoader {
public:
  ElfLoader(const uint8_t *bytes, size_t size, CodeObject &object)
      : bytes(bytes), size(size), object(object) {}

  Status load();

private:
  Status readHeader();
  Status checkSegments();
  Status mapSegments();
  Status readDynamic();
  Status readDynamicEntry(const Elf64_Dyn &entry);
  Status checkSymbols();
  Status relocateAll(uint64_t table, uint64_t tableSize);
  Status relocate(const Elf64_Rela &rela);
  Status resolve(uint32_t index, uint64_t *address);
  Status protect();

  uint64_t pageDown(uint64_t x) const { return x & ~(page - 1); }
  uint64_t pageUp(uint64_t x) const { return pageDown(x + page - 1); }

  template <typename T>
  const T *memoryRange(uint64_t address, uint64_t bytes) const {
    if (address % alignof(T) || address > object.extent ||
        bytes > object.extent - address)
      return nullptr;
    return reinterpret_cast<const T *>(object.base + address);
  }
  bool isWritable(uint64_t address, uint64_t count) const;
  bool overlapsWritable(uint64_t address, uint64_t count) const;

  const uint8_t *bytes;
  size_t size;
  CodeObject &object;
  uint64_t page = 4096;
  Elf64_Ehdr header = {};
  const uint8_t *programHeaders = nullptr;
  uint64_t symbolTable = 0, stringTable = 0, stringSize = 0, hashTable = 0;
  uint64_t relaTable = 0, relaSize = 0, pltTable = 0, pltSize = 0;

  Elf64_Phdr programHeader(unsigned i) const {
    Elf64_Phdr result; // The table may lie at any address.
    memcpy(&result, programHeaders + i * sizeof(result), sizeof(result));
    return result;
  }
};

static Status malformed(const char *what) {
  return error(LATHE_CORRUPT, "malformed code object: %s", what);
}

Status ElfLoader::readHeader() {
  if (size < sizeof(header))
    return malformed("too short");
  memcpy(&header, bytes, sizeof(header));
  if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    return malformed("no ELF magic");
  if (header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_type != ET_DYN ||
      header.e_machine != EM_X86_64)
    return malformed("no x86-64 shared object");
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum == 0 ||
      header.e_phoff > size ||
      header.e_phnum * sizeof(Elf64_Phdr) > size - header.e_phoff)
    return malformed("program headers exceed the segment");
  programHeaders = bytes + header.e_phoff;
  return ok();
}

/// PT_LOADs ascend, stay inside the segment, share no page, and no page is
/// writable and executable.
Status ElfLoader::checkSegments() {
  // Kernels have next to no zero-initialized data.
  const uint64_t maxExtent = 2 * uint64_t(size) + (1 << 20);
  uint64_t end = 0;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr load = programHeader(i);
    if (load.p_type == PT_TLS)
      return malformed("it has thread-local storage");
    if (load.p_type != PT_LOAD)
      continue;
    if (load.p_filesz > load.p_memsz || load.p_offset > size ||
        load.p_filesz > size - load.p_offset)
      return malformed("a loaded range exceeds the segment");
    if (load.p_vaddr > maxExtent || load.p_memsz > maxExtent - load.p_vaddr ||
        pageDown(load.p_vaddr) < end)
      return malformed("loaded ranges overlap or lie too far apart");
    if ((load.p_flags & PF_W) && (load.p_flags & PF_X))
      return malformed("a range is writable and executable");
    end = pageUp(load.p_vaddr + load.p_memsz);
  }
  if (end == 0)
    return malformed("nothing to load");
  object.extent = end;
  return ok();
}

Status ElfLoader::mapSegments() {
  void *memory = mmap(nullptr, object.extent, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return error(LATHE_OUT_OF_MEMORY, "no memory for %zu bytes of code",
                 object.extent);
  object.base = static_cast<uint8_t *>(memory);
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr load = programHeader(i);
    if (load.p_type == PT_LOAD && load.p_filesz)
      memcpy(object.base + load.p_vaddr, bytes + load.p_offset, load.p_filesz);
  }
  return ok();
}

Status ElfLoader::readDynamicEntry(const Elf64_Dyn &entry) {
  switch (entry.d_tag) {
  case DT_SYMTAB:
    symbolTable = entry.d_un.d_ptr;
    return ok();
  case DT_STRTAB:
    stringTable = entry.d_un.d_ptr;
    return ok();
  case DT_STRSZ:
    stringSize = entry.d_un.d_val;
    return ok();
  case DT_GNU_HASH:
    hashTable = entry.d_un.d_ptr;
    return ok();
  case DT_RELA:
    relaTable = entry.d_un.d_ptr;
    return ok();
  case DT_RELASZ:
    relaSize = entry.d_un.d_val;
    return ok();
  case DT_JMPREL:
    pltTable = entry.d_un.d_ptr;
    return ok();
  case DT_PLTRELSZ:
    pltSize = entry.d_un.d_val;
    return ok();
  case DT_RELAENT:
    return entry.d_un.d_val == sizeof(Elf64_Rela) ? ok()
                                                  : malformed("DT_RELAENT");
  case DT_SYMENT:
    return entry.d_un.d_val == sizeof(Elf64_Sym) ? ok()
                                                 : malformed("DT_SYMENT");
  case DT_PLTREL:
    return entry.d_un.d_val == DT_RELA ? ok() : malformed("DT_PLTREL");
  case DT_INIT:
  case DT_FINI:
  case DT_INIT_ARRAY:
  case DT_FINI_ARRAY:
    return malformed("it has initializers");
  case DT_TEXTREL:
  case DT_REL:
  case DT_RELR:
    return malformed("it has relocations of a kind that is not supported");
  default:
    return ok();
  }
}

Status ElfLoader::readDynamic() {
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr dynamic = programHeader(i);
    if (dynamic.p_type != PT_DYNAMIC)
      continue;
    const auto *entries =
        memoryRange<Elf64_Dyn>(dynamic.p_vaddr, dynamic.p_memsz);
    if (!entries)
      return malformed("the dynamic section is out of range");
    uint64_t count = dynamic.p_memsz / sizeof(Elf64_Dyn);
    for (uint64_t e = 0; e < count && entries[e].d_tag != DT_NULL; ++e)
      LATHE_TRY(readDynamicEntry(entries[e]));
    return ok();
  }
  return malformed("no dynamic section");
}

/// The number of symbols stands nowhere: GNU hash chains end at the last.
static bool countSymbols(const uint32_t *table, uint64_t words,
                         uint32_t *count) {
  if (words < 4)
    return false;
  uint64_t buckets = table[0], first = table[1], bloom = table[2];
  uint64_t chains = 4 + 2 * bloom + buckets;
  if (chains > words)
    return false;
  uint32_t last = 0;
  for (uint64_t i = 0; i < buckets; ++i) {
    uint32_t begin = table[4 + 2 * bloom + i];
    last = begin > last ? begin : last;
  }
  if (last < first) { // No symbol is exported.
    *count = static_cast<uint32_t>(first);
    return true;
  }
  for (uint64_t i = chains + last - first; i < words; ++i)
    if (table[i] & 1) {
      *count = static_cast<uint32_t>(i - chains + first + 1);
      return true;
    }
  return false;
}

Status ElfLoader::checkSymbols() {
  uint64_t hashBytes =
      hashTable < object.extent ? object.extent - hashTable : 0;
  const auto *hash = memoryRange<uint32_t>(hashTable, hashBytes);
  uint32_t count;
  if (!hashTable || !hash || !countSymbols(hash, hashBytes / 4, &count))
    return malformed("no valid DT_GNU_HASH table");
  uint64_t symbolSize = count * sizeof(Elf64_Sym);
  const auto *symbols = memoryRange<Elf64_Sym>(symbolTable, symbolSize);
  const char *strings = memoryRange<char>(stringTable, stringSize);
  if (!symbols || !strings || !stringSize || strings[stringSize - 1] != 0)
    return malformed("the symbol table is out of range");
  // Else a relocation could undo the checks below.
  if (overlapsWritable(symbolTable, symbolSize) ||
      overlapsWritable(stringTable, stringSize))
    return malformed("the symbol table is writable");
  for (uint32_t i = 0; i < count; ++i) {
    if (symbols[i].st_name >= stringSize)
      return malformed("a symbol's name is out of range");
    if (ELF64_ST_TYPE(symbols[i].st_info) == STT_GNU_IFUNC ||
        ELF64_ST_TYPE(symbols[i].st_info) == STT_TLS)
      return malformed("a symbol is of a kind that is not supported");
    if (symbols[i].st_shndx != SHN_UNDEF &&
        symbols[i].st_value >= object.extent)
      return malformed("a symbol's address is out of range");
  }
  object.symbols = symbols;
  object.numSymbols = count;
  object.strings = strings;
  return ok();
}

Status ElfLoader::resolve(uint32_t index, uint64_t *address) {
  if (index >= object.numSymbols)
    return malformed("a relocation's symbol is out of range");
  const auto &symbol = static_cast<const Elf64_Sym *>(object.symbols)[index];
  const char *name = object.strings + symbol.st_name;
  if (symbol.st_shndx != SHN_UNDEF) {
    *address = reinterpret_cast<uint64_t>(object.base) + symbol.st_value;
    return ok();
  }
  *address = reinterpret_cast<uint64_t>(importedFunction(name));
  if (!*address && ELF64_ST_BIND(symbol.st_info) != STB_WEAK)
    return error(LATHE_CORRUPT,
                 "the code object calls '%s', which the runtime does not "
                 "provide",
                 name);
  return ok();
}

bool ElfLoader::isWritable(uint64_t address, uint64_t count) const {
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr load = programHeader(i);
    if (load.p_type == PT_LOAD && (load.p_flags & PF_W) &&
        address >= load.p_vaddr && address - load.p_vaddr <= load.p_memsz &&
        count <= load.p_memsz - (address - load.p_vaddr))
      return true;
  }
  return false;
}

bool ElfLoader::overlapsWritable(uint64_t address, uint64_t count) const {
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr load = programHeader(i);
    if (load.p_type == PT_LOAD && (load.p_flags & PF_W) &&
        address < load.p_vaddr + load.p_memsz && load.p_vaddr < address + count)
      return true;
  }
  return false;
}

Status ElfLoader::relocate(const Elf64_Rela &rela) {
  if (!isWritable(rela.r_offset, sizeof(uint64_t)))
    return malformed("a relocation is not in writable memory");
  uint64_t base = reinterpret_cast<uint64_t>(object.base);
  uint64_t value = 0;
  uint64_t addend = static_cast<uint64_t>(rela.r_addend);
  switch (ELF64_R_TYPE(rela.r_info)) {
  case R_X86_64_RELATIVE:
    value = base;
    break;
  case R_X86_64_64:
    LATHE_TRY(resolve(ELF64_R_SYM(rela.r_info), &value));
    break;
  case R_X86_64_GLOB_DAT:
  case R_X86_64_JUMP_SLOT:
    LATHE_TRY(resolve(ELF64_R_SYM(rela.r_info), &value));
    addend = 0;
    break;
  default:
    return malformed("a relocation is of a kind that is not supported");
  }
  value += addend;
  memcpy(object.base + rela.r_offset, &value, sizeof(value));
  return ok();
}

Status ElfLoader::relocateAll(uint64_t table, uint64_t tableSize) {
  const auto *relas = memoryRange<Elf64_Rela>(table, tableSize);
  if (!relas)
    return malformed("the relocation table is out of range");
  for (uint64_t i = 0; i < tableSize / sizeof(Elf64_Rela); ++i) {
    Elf64_Rela rela = relas[i]; // A relocation may change the table.
    LATHE_TRY(relocate(rela));
  }
  return ok();
}

Status ElfLoader::protect() {
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr load = programHeader(i);
    if (load.p_type != PT_LOAD || (load.p_flags & PF_W))
      continue;
    uint64_t begin = pageDown(load.p_vaddr);
    uint64_t end = pageUp(load.p_vaddr + load.p_memsz);
    // Readable even where PF_R is missing: the symbols are looked up later.
    int flags = PROT_READ | (load.p_flags & PF_X ? PROT_EXEC : 0);
    if (end > begin && mprotect(object.base + begin, end - begin, flags) != 0)
      return error(LATHE_IO, "code cannot be made executable: %s",
                   strerror(errno));
  }
  return ok();
}

Status ElfLoader::load() {
  page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  LATHE_TRY(readHeader());
  LATHE_TRY(checkSegments());
  LATHE_TRY(mapSegments());
  LATHE_TRY(readDynamic());
  LATHE_TRY(checkSymbols());
  LATHE_TRY(relocateAll(relaTable, relaSize));
  LATHE_TRY(relocateAll(pltTable, pltSize));
  return protect();
}

Status CodeObject::load(const uint8_t *bytes, size_t size) {
  ElfLoader loader(bytes, size, *this);
  return loader.load();
}

CodeObject::~CodeObject() {
  if (base)
    munmap(base, extent);
}

const void *CodeObject::find(const char *symbol) const {
  const auto *table = static_cast<const Elf64_Sym *>(symbols);
  for (uint32_t i = 0; i < numSymbols; ++i)
    if (table[i].st_shndx != SHN_UNDEF &&
        ELF64_ST_TYPE(table[i].st_info) == STT_FUNC &&
        strcmp(strings + table[i].st_name, symbol) == 0)
      return base + table[i].st_value;
  return nullptr;
}

} // namespace lathe::rt
