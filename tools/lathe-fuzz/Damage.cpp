// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe-fuzz/Damage.h"

#include <algorithm>
#include <cctype>
#include <cstring>

using namespace lathe::fuzz;

static constexpr size_t kMaxPiece = 64;

/// A generator's first numbers depend little on seeds that lie close together.
static uint64_t mix(uint64_t seed, uint64_t round) {
  std::seed_seq sequence{uint32_t(seed), uint32_t(seed >> 32), uint32_t(round),
                         uint32_t(round >> 32)};
  uint32_t words[2];
  sequence.generate(words, words + 2);
  return uint64_t(words[0]) << 32 | words[1];
}

Damage::Damage(uint64_t seed, uint64_t round) : random(mix(seed, round)) {}

void Damage::apply(std::string &bytes, const std::string &donor, size_t head) {
  for (size_t i = 1 + below(4); i > 0 && !bytes.empty(); --i) {
    size_t limit =
        head && below(2) ? std::min(head, bytes.size()) : bytes.size();
    applyOnce(bytes, donor, below(limit));
  }
}

void Damage::applyOnce(std::string &bytes, const std::string &donor,
                       size_t at) {
  switch (below(8)) {
  case 0:
  case 1:
    bytes[at] ^= char(1 << below(8));
    break;
  case 2:
    bytes[at] = "\x00\x01\x7F\x80\xFF"[below(5)];
    break;
  case 3: { // A length, an index or a dim.
    const uint32_t words[] = {0, 1, 0x7FFFFFFF, 0xFFFFFFFF, uint32_t(random())};
    uint32_t word = words[below(5)];
    memcpy(&bytes[at], &word, std::min(sizeof(word), bytes.size() - at));
    break;
  }
  case 4:
    setNumber(bytes, at);
    break;
  case 5: // The end is lost; not too often, since it hides other damage.
    if (below(2))
      bytes.resize(at);
    break;
  default:
    splice(bytes, donor, at);
  }
}

/// Puts another number in the place of the next one written in digits.
void Damage::setNumber(std::string &bytes, size_t at) {
  auto isDigit = [](char c) { return isdigit(static_cast<unsigned char>(c)); };
  auto begin = std::find_if(bytes.begin() + at, bytes.end(), isDigit);
  auto end = std::find_if_not(begin, bytes.end(), isDigit);
  const char *numbers[] = {"0",
                           "1",
                           "2",
                           "-1",
                           "65536",
                           "2147483647",
                           "4294967296",
                           "9223372036854775807",
                           "18446744073709551616",
                           "1e308",
                           "0.5",
                           "null",
                           "\"\"",
                           "[]",
                           "{}",
                           "true"};
  bytes.replace(begin, end, numbers[below(std::size(numbers))]);
}

/// Writes a piece over what is there, or inserts it; or takes a piece out.
void Damage::splice(std::string &bytes, const std::string &donor, size_t at) {
  const std::string &source = below(2) ? donor : bytes;
  std::string piece;
  if (!source.empty())
    piece = source.substr(below(source.size()), below(kMaxPiece));
  switch (below(3)) {
  case 0:
    bytes.replace(at, std::min(piece.size(), bytes.size() - at), piece);
    break;
  case 1:
    bytes.insert(at, piece);
    break;
  default:
    bytes.erase(at, below(kMaxPiece));
  }
}
