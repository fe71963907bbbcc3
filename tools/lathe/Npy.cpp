// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/Npy.h"

#include "tools/lathe/Command.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CheckedArithmetic.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MathExtras.h"
#include <cstring>

using namespace llvm;

namespace lathe::tool {

constexpr StringLiteral magic("\x93NUMPY");
constexpr unsigned maxRank = 32; // NumPy's own limit before 2.0 (then 64)

Buffer::Buffer(size_t size) : length(size) {
  if (size && size <= SIZE_MAX - 63)
    memory.reset(static_cast<char *>(aligned_alloc(64, alignTo(size, 64))));
}

//===----------------------------------------------------------------------===//
// The header's text: {'descr': '<f4', 'fortran_order': False, 'shape': (2,), }
//===----------------------------------------------------------------------===//

namespace {
class HeaderParser {
public:
  explicit HeaderParser(StringRef text) : rest(text) {}
  Expected<NpyHeader> parse();

private:
  bool consume(StringRef token) {
    rest = rest.ltrim(" \t\n");
    return rest.consume_front(token);
  }
  Error expect(StringRef token) {
    if (consume(token))
      return Error::success();
    return failure("header: expected \"" + token + "\" at \"" +
                   rest.take_front(20) + "\"");
  }
  Expected<StringRef> parseString();
  Error parseValue(StringRef key, NpyHeader &header);
  Error parseType(NpyType &type);
  Error parseShape(SmallVectorImpl<int64_t> &dims);

  StringRef rest;
};
} // namespace

Expected<StringRef> HeaderParser::parseString() {
  rest = rest.ltrim(" \t\n");
  char quote = rest.empty() ? 0 : rest[0];
  size_t end = rest.find(quote, 1);
  if ((quote != '\'' && quote != '"') || end == StringRef::npos)
    return failure("header: expected a quoted string at \"" +
                   rest.take_front(20) + "\"");
  StringRef text = rest.substr(1, end - 1);
  rest = rest.drop_front(end + 1);
  return text;
}

Error HeaderParser::parseType(NpyType &type) {
  if (consume("["))
    return failure("structured arrays are not supported");
  Expected<StringRef> descr = parseString();
  if (!descr)
    return descr.takeError();
  StringRef text = *descr;
  char order = text.empty() ? 0 : text[0];
  if (StringRef("<>|=").contains(order))
    text = text.drop_front();
  // How ml_dtypes' f8E5M2 is written; no reader but it takes that for one.
  if (text == "f1")
    text = "V1";
  type.kind = text.empty() ? 0 : text[0];
  StringRef digits = text.drop_front(!text.empty());
  bool number = !digits.getAsInteger(10, type.size);
  StringRef sizes = type.kind == 'f'                       ? "248"
                    : type.kind == 'i' || type.kind == 'u' ? "1248"
                    : type.kind == 'b'                     ? "1"
                    : type.kind == 'V'                     ? "12"
                                                           : "";
  if (!number || digits.size() != 1 || !sizes.contains(digits[0]))
    return failure("dtype '" + *descr +
                   "' is not supported: only bool, 8 to 64 bit integers, 16 to "
                   "64 bit floats, and bfloat16 and 8 bit floats as bytes are");
  if (order == '>' && type.size > 1)
    return failure("dtype '" + *descr + "' is big-endian");
  return Error::success();
}

Error HeaderParser::parseShape(SmallVectorImpl<int64_t> &dims) {
  if (Error error = expect("("))
    return error;
  while (!consume(")")) {
    rest = rest.ltrim();
    int64_t dim;
    if (rest.consumeInteger(10, dim) || dim < 0)
      return failure("header: expected a size at \"" + rest.take_front(20) +
                     "\"");
    consume("L"); // Python 2
    dims.push_back(dim);
    if (dims.size() > maxRank)
      return failure("more than " + Twine(maxRank) + " dims");
    if (!consume(",")) {
      if (Error error = expect(")"))
        return error;
      break;
    }
  }
  return Error::success();
}

Error HeaderParser::parseValue(StringRef key, NpyHeader &header) {
  if (key == "descr")
    return parseType(header.type);
  if (key == "shape")
    return parseShape(header.dims);
  if (key != "fortran_order")
    return failure("header: unknown key '" + key + "'");
  header.fortranOrder = consume("True");
  return header.fortranOrder ? Error::success() : expect("False");
}

Expected<NpyHeader> HeaderParser::parse() {
  NpyHeader header;
  SmallVector<StringRef> seen;
  if (Error error = expect("{"))
    return std::move(error);
  while (!consume("}")) {
    Expected<StringRef> key = parseString();
    if (!key)
      return key.takeError();
    if (is_contained(seen, *key))
      return failure("header: '" + *key + "' stands there twice");
    seen.push_back(*key);
    if (Error error = expect(":"))
      return std::move(error);
    if (Error error = parseValue(*key, header))
      return std::move(error);
    if (consume(","))
      continue;
    if (Error error = expect("}"))
      return std::move(error);
    break;
  }
  if (seen.size() != 3)
    return failure("header: lacks one of 'descr', 'fortran_order', 'shape'");
  return header;
}

//===----------------------------------------------------------------------===//
// Around it
//===----------------------------------------------------------------------===//

Expected<NpyHeader> parseNpyHeader(StringRef bytes) {
  if (!bytes.starts_with(magic) || bytes.size() < 10)
    return failure("no .npy array: it does not start with \\x93NUMPY");
  unsigned major = uint8_t(bytes[6]);
  if (major < 1 || major > 3)
    return failure(".npy version " + Twine(major) +
                   " is not supported (1 to 3 "
                   "are)");
  size_t prefix = major == 1 ? 10 : 12;
  if (bytes.size() < prefix)
    return failure("the .npy header is cut short");
  size_t length = major == 1 ? support::endian::read16le(bytes.data() + 8)
                             : support::endian::read32le(bytes.data() + 8);
  if (length > bytes.size() - prefix)
    return failure("the .npy header is cut short");

  Expected<NpyHeader> header =
      HeaderParser(bytes.substr(prefix, length)).parse();
  if (!header)
    return header.takeError();
  // A size of 0 anywhere makes the product 0, but not before it is met.
  bool empty = is_contained(header->dims, 0);
  int64_t size = empty ? 0 : header->type.size;
  for (int64_t dim : header->dims) {
    std::optional<int64_t> product = checkedMul(size, dim);
    if (!product)
      return failure("the array's size cannot be represented");
    size = *product;
  }
  header->dataOffset = prefix + length;
  header->dataSize = size;
  return header;
}

std::string makeNpyHeader(NpyType type, ArrayRef<int64_t> dims) {
  std::string dict = "{'descr': '";
  // As NumPy does it: no byte order for single bytes, except opaque ones.
  dict += type.size == 1 && type.kind != 'V' ? '|' : '<';
  dict += type.kind + std::to_string(type.size);
  dict += "', 'fortran_order': False, 'shape': (";
  dict += join(map_range(dims, [](int64_t dim) { return std::to_string(dim); }),
               ", ");
  dict += dims.size() == 1 ? ",), }" : "), }";
  size_t total = alignTo(10 + dict.size() + 1, 64);
  dict.append(total - 10 - dict.size() - 1, ' ');
  dict += '\n';

  std::string header = (magic + StringRef("\x01\x00", 2)).str();
  char length[2];
  support::endian::write16le(length, dict.size());
  header.append(length, 2);
  return header + dict;
}

Buffer toRowMajor(const NpyHeader &header, const char *data) {
  Buffer buffer(header.dataSize);
  if (!buffer.data())
    return buffer;
  unsigned rank = header.dims.size();
  if (!header.fortranOrder || rank < 2) {
    std::memcpy(buffer.data(), data, header.dataSize);
    return buffer;
  }
  // Walks the target in order and keeps the source's offset up to date.
  unsigned bytes = header.type.size;
  SmallVector<size_t> strides(rank, bytes), index(rank, 0);
  for (unsigned i = 1; i < rank; ++i)
    strides[i] = strides[i - 1] * header.dims[i - 1];
  size_t source = 0;
  for (size_t target = 0; target < header.dataSize; target += bytes) {
    std::memcpy(buffer.data() + target, data + source, bytes);
    for (unsigned i = rank; i-- > 0;) {
      source += strides[i];
      if (++index[i] < size_t(header.dims[i]))
        break;
      source -= strides[i] * index[i];
      index[i] = 0;
    }
  }
  return buffer;
}

} // namespace lathe::tool
