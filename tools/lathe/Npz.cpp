// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/Npz.h"

#include "tools/lathe/Command.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CRC.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/EndianStream.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include <zlib.h>

using namespace llvm;
using support::endian::read16le;
using support::endian::read32le;
using support::endian::read64le;

namespace lathe::tool {

constexpr uint32_t localMagic = 0x04034b50, centralMagic = 0x02014b50,
                   endMagic = 0x06054b50, end64Magic = 0x06064b50,
                   locator64Magic = 0x07064b50;
constexpr size_t localSize = 30, centralSize = 46, endSize = 22, end64Size = 56,
                 locator64Size = 20;
constexpr uint16_t stored = 0, deflated = 8;
constexpr uint16_t zip64Tag = 1;
constexpr uint32_t max32 = 0xFFFFFFFF;

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

namespace {
/// A file of the archive, as its central directory describes it.
struct Member {
  StringRef name;
  uint16_t flags = 0, method = 0;
  uint32_t crc = 0;
  uint64_t packedSize = 0, size = 0, offset = 0;
};

struct Directory {
  uint64_t count = 0, size = 0, offset = 0;
};

class ZipReader {
public:
  explicit ZipReader(StringRef file) : file(file) {}
  Expected<std::vector<Member>> readDirectory() const;
  Expected<NpzArray> readArray(const Member &member) const;

private:
  Expected<Directory> findDirectory() const;
  Expected<StringRef> getPackedBytes(const Member &member) const;

  StringRef file;
};
} // namespace

Expected<Directory> ZipReader::findDirectory() const {
  // The end record is followed by a comment of at most 64 KiB.
  StringRef tail = file.take_back(endSize + 0xFFFF);
  size_t found = tail.rfind(StringRef("PK\5\6"));
  if (found == StringRef::npos || tail.size() - found < endSize)
    return failure("no .npz file: it has no ZIP directory");
  const char *end = tail.data() + found;
  Directory directory{read16le(end + 10), read32le(end + 12),
                      read32le(end + 16)};
  size_t position = end - file.data();
  if (directory.count != 0xFFFF && directory.size != max32 &&
      directory.offset != max32)
    return directory;

  if (position < locator64Size ||
      read32le(end - locator64Size) != locator64Magic)
    return directory;
  uint64_t at = read64le(end - locator64Size + 8);
  if (file.size() < end64Size || at > file.size() - end64Size ||
      read32le(file.data() + at) != end64Magic)
    return failure("the ZIP64 end record is not where it should be");
  const char *record = file.data() + at;
  return Directory{read64le(record + 32), read64le(record + 40),
                   read64le(record + 48)};
}

/// Replaces the sizes that did not fit in 32 bits by those of the ZIP64 field.
static bool readZip64(StringRef extra, Member &member) {
  while (extra.size() >= 4) {
    uint16_t tag = read16le(extra.data()), size = read16le(extra.data() + 2);
    if (size > extra.size() - 4)
      return false;
    StringRef field = extra.substr(4, size);
    extra = extra.drop_front(4 + size);
    if (tag != zip64Tag)
      continue;
    for (uint64_t *value : {&member.size, &member.packedSize, &member.offset}) {
      if (*value != max32)
        continue;
      if (field.size() < 8)
        return false;
      *value = read64le(field.data());
      field = field.drop_front(8);
    }
  }
  return true;
}

Expected<std::vector<Member>> ZipReader::readDirectory() const {
  Expected<Directory> directory = findDirectory();
  if (!directory)
    return directory.takeError();
  if (directory->offset > file.size() ||
      directory->size > file.size() - directory->offset)
    return failure("the ZIP directory lies outside the file");
  StringRef rest = file.substr(directory->offset, directory->size);
  std::vector<Member> members;
  for (uint64_t i = 0; i < directory->count; ++i) {
    if (rest.size() < centralSize || read32le(rest.data()) != centralMagic)
      return failure("the ZIP directory is damaged at entry " + Twine(i));
    const char *p = rest.data();
    size_t name = read16le(p + 28), extra = read16le(p + 30);
    size_t total = centralSize + name + extra + read16le(p + 32);
    if (rest.size() < total)
      return failure("the ZIP directory is damaged at entry " + Twine(i));
    Member member{rest.substr(centralSize, name),
                  read16le(p + 8),
                  read16le(p + 10),
                  read32le(p + 16),
                  read32le(p + 20),
                  read32le(p + 24),
                  read32le(p + 42)};
    if (!readZip64(rest.substr(centralSize + name, extra), member))
      return failure("the ZIP directory is damaged at entry " + Twine(i));
    members.push_back(member);
    rest = rest.drop_front(total);
  }
  return members;
}

Expected<StringRef> ZipReader::getPackedBytes(const Member &member) const {
  if (member.offset > file.size() || file.size() - member.offset < localSize ||
      read32le(file.data() + member.offset) != localMagic)
    return failure("its ZIP header is not where the directory says");
  const char *local = file.data() + member.offset;
  uint64_t start =
      member.offset + localSize + read16le(local + 26) + read16le(local + 28);
  if (start > file.size() || member.packedSize > file.size() - start)
    return failure("its bytes lie outside the file");
  return file.substr(start, member.packedSize);
}

/// Inflates at most `size` bytes, and no more than the .npy header in front
/// describes: what comes first tells how much there should be. Memory grows
/// with what comes out, not with what the file promises.
static Expected<SmallVector<char, 0>> inflate(StringRef packed, uint64_t size) {
  z_stream stream = {};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
    return failure("zlib does not start");
  scope_exit finish([&] { inflateEnd(&stream); });
  SmallVector<char, 0> bytes;
  StringRef input = packed;
  int result = Z_OK;
  while (result == Z_OK && bytes.size() <= size) {
    if (stream.avail_in == 0) {
      StringRef piece = input.take_front(1 << 30);
      stream.next_in =
          reinterpret_cast<Bytef *>(const_cast<char *>(piece.data()));
      stream.avail_in = piece.size();
      input = input.drop_front(piece.size());
    }
    size_t old = bytes.size();
    size_t step = std::clamp<size_t>(old, 1 << 16, 1 << 30);
    bytes.resize_for_overwrite(old + step);
    stream.next_out = reinterpret_cast<Bytef *>(bytes.data() + old);
    stream.avail_out = step;
    result = ::inflate(&stream, Z_NO_FLUSH);
    bytes.truncate(old + step - stream.avail_out);
    if (old == 0)
      if (Expected<NpyHeader> header =
              parseNpyHeader(StringRef(bytes.data(), bytes.size())))
        size = std::min(size, header->dataOffset + header->dataSize);
      else // Said by who reads all of it.
        consumeError(header.takeError());
    if (result == Z_BUF_ERROR && !input.empty())
      result = Z_OK;
  }
  if (bytes.size() > size)
    return failure("there is more in it than the " + Twine(size) +
                   " bytes that its header describes");
  if (result != Z_STREAM_END)
    return failure("its compressed bytes are damaged");
  return bytes;
}

Expected<NpzArray> ZipReader::readArray(const Member &member) const {
  if (member.flags & 1)
    return failure("it is encrypted");
  if (member.method != stored && member.method != deflated)
    return failure("ZIP method " + Twine(member.method) +
                   " is not supported (stored and deflated are)");
  Expected<StringRef> packed = getPackedBytes(member);
  if (!packed)
    return packed.takeError();
  StringRef bytes = *packed;
  SmallVector<char, 0> inflated;
  if (member.method == deflated) {
    Expected<SmallVector<char, 0>> result = inflate(bytes, member.size);
    if (!result)
      return result.takeError();
    inflated = std::move(*result);
    bytes = StringRef(inflated.data(), inflated.size());
  }
  if (bytes.size() != member.size)
    return failure("it has " + Twine(bytes.size()) + " bytes instead of " +
                   Twine(member.size));
  if (crc32(0, arrayRefFromStringRef(bytes)) != member.crc)
    return failure("its checksum differs: the file is damaged");

  Expected<NpyHeader> header = parseNpyHeader(bytes);
  if (!header)
    return header.takeError();
  if (bytes.size() - header->dataOffset != header->dataSize)
    return failure("the header describes " + Twine(header->dataSize) +
                   " bytes of data, there are " +
                   Twine(bytes.size() - header->dataOffset));
  NpzArray array;
  array.type = header->type;
  array.dims = header->dims;
  array.data = toRowMajor(*header, bytes.data() + header->dataOffset);
  if (header->dataSize && !array.data.data())
    return failure("not enough memory for " + Twine(header->dataSize) +
                   " bytes");
  return array;
}

Expected<std::vector<NpzArray>> parseNpz(StringRef bytes) {
  ZipReader reader(bytes);
  Expected<std::vector<Member>> members = reader.readDirectory();
  if (!members)
    return members.takeError();
  std::vector<NpzArray> arrays;
  for (const Member &member : *members) {
    StringRef name = member.name;
    if (!name.consume_back(".npy"))
      return failure("'" + name + "' is no .npy array");
    Expected<NpzArray> array = reader.readArray(member);
    if (!array)
      return failure("'" + name + "': " + toString(array.takeError()));
    for (const NpzArray &other : arrays)
      if (other.name == name)
        return failure("'" + name + "' stands there twice");
    array->name = name.str();
    arrays.push_back(std::move(*array));
  }
  return arrays;
}

Expected<std::vector<NpzArray>> readNpz(StringRef path) {
  auto file = MemoryBuffer::getFile(path, /*IsText=*/false,
                                    /*RequiresNullTerminator=*/false);
  if (!file)
    return failure(path + ": " + file.getError().message());
  auto arrays = parseNpz((*file)->getBuffer());
  if (!arrays)
    return failure(path + ": " + toString(arrays.takeError()));
  return arrays;
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

namespace {
class ZipWriter {
public:
  explicit ZipWriter(raw_ostream &os)
      : os(os), writer(os, endianness::little), directory(entries),
        central(directory, endianness::little) {}

  void write(const NpzItem &item);
  void finish();

private:
  raw_ostream &os;
  support::endian::Writer writer;
  std::string entries; ///< The central directory so far.
  raw_string_ostream directory;
  support::endian::Writer central;
  uint64_t count = 0, position = 0;
};
} // namespace

static uint32_t clamp32(uint64_t value) {
  return std::min<uint64_t>(value, max32);
}

/// The fields from "version needed" to the name's length, the same in both
/// places. The time is 1980-01-01, as NumPy writes it.
static void writeCommon(support::endian::Writer &writer, uint32_t crc,
                        uint64_t size, size_t nameSize) {
  writer.write<uint16_t>(45);    // the version that knows ZIP64
  writer.write<uint16_t>(0x800); // names are UTF-8
  writer.write<uint16_t>(stored);
  writer.write<uint16_t>(0);
  writer.write<uint16_t>(0x21);
  writer.write<uint32_t>(crc);
  writer.write<uint32_t>(clamp32(size));
  writer.write<uint32_t>(clamp32(size));
  writer.write<uint16_t>(nameSize);
}

void ZipWriter::write(const NpzItem &item) {
  std::string header = makeNpyHeader(item.type, item.dims);
  uint64_t bytes = item.type.size;
  for (int64_t dim : item.dims)
    bytes *= dim;
  StringRef data(static_cast<const char *>(item.data), bytes);
  uint32_t crc = crc32(0, arrayRefFromStringRef(header));
  if (bytes) // zlib starts anew when the pointer is null
    crc = crc32(crc, arrayRefFromStringRef(data));
  uint64_t size = header.size() + bytes;
  std::string name = (item.name + ".npy").str();
  bool large = size >= max32 || position >= max32;

  writer.write<uint32_t>(localMagic);
  writeCommon(writer, crc, large ? max32 : size, name.size());
  writer.write<uint16_t>(large ? 20 : 0);
  os << name;
  if (large) {
    writer.write<uint16_t>(zip64Tag);
    writer.write<uint16_t>(16);
    writer.write<uint64_t>(size);
    writer.write<uint64_t>(size);
  }
  os << header << data;

  central.write<uint32_t>(centralMagic);
  central.write<uint16_t>(45);
  writeCommon(central, crc, large ? max32 : size, name.size());
  central.write<uint16_t>(large ? 28 : 0);
  for (int i = 0; i < 3; ++i) // comment, disk, internal attributes
    central.write<uint16_t>(0);
  central.write<uint32_t>(0);
  central.write<uint32_t>(large ? max32 : position);
  directory << name;
  if (large) {
    central.write<uint16_t>(zip64Tag);
    central.write<uint16_t>(24);
    central.write<uint64_t>(size);
    central.write<uint64_t>(size);
    central.write<uint64_t>(position);
  }
  position += localSize + name.size() + (large ? 20 : 0) + size;
  ++count;
}

void ZipWriter::finish() {
  os << entries;
  bool large = count >= 0xFFFF || position >= max32 || entries.size() >= max32;
  if (large) {
    writer.write<uint32_t>(end64Magic);
    writer.write<uint64_t>(end64Size - 12);
    writer.write<uint16_t>(45);
    writer.write<uint16_t>(45);
    writer.write<uint64_t>(0); // two disk numbers
    writer.write<uint64_t>(count);
    writer.write<uint64_t>(count);
    writer.write<uint64_t>(entries.size());
    writer.write<uint64_t>(position);
    writer.write<uint32_t>(locator64Magic);
    writer.write<uint32_t>(0);
    writer.write<uint64_t>(position + entries.size());
    writer.write<uint32_t>(1);
  }
  writer.write<uint32_t>(endMagic);
  writer.write<uint32_t>(0); // two disk numbers
  uint16_t shortCount = large ? 0xFFFF : count;
  writer.write<uint16_t>(shortCount);
  writer.write<uint16_t>(shortCount);
  writer.write<uint32_t>(large ? max32 : entries.size());
  writer.write<uint32_t>(large ? max32 : position);
  writer.write<uint16_t>(0); // comment
}

Error writeNpz(StringRef path, ArrayRef<NpzItem> items) {
  Error error = writeToOutput(path, [&](raw_ostream &os) {
    ZipWriter writer(os);
    for (const NpzItem &item : items)
      writer.write(item);
    writer.finish();
    return Error::success();
  });
  if (error)
    return failure(path + ": " + toString(std::move(error)));
  return Error::success();
}

} // namespace lathe::tool
