// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What happens to a file on its way: flipped bits, lost ends, pieces of another
// file, numbers that are far too large.

#ifndef LATHE_TOOLS_LATHE_FUZZ_DAMAGE_H
#define LATHE_TOOLS_LATHE_FUZZ_DAMAGE_H

#include <random>
#include <string>

namespace lathe::fuzz {

/// The damage of one round. It follows from seed and round alone, on every
/// machine, so that any round can be repeated by itself.
class Damage {
public:
  Damage(uint64_t seed, uint64_t round);

  /// A number below `limit`; 0 if that is 0.
  size_t below(size_t limit) { return limit ? random() % limit : 0; }

  /// Damages `bytes` in one to four places. Half of them lie in the first
  /// `head` bytes, where a format says what the rest is (0: nowhere special).
  /// Pieces for splices are taken from `donor`.
  void apply(std::string &bytes, const std::string &donor, size_t head = 0);

private:
  void applyOnce(std::string &bytes, const std::string &donor, size_t at);
  void setNumber(std::string &bytes, size_t at);
  void splice(std::string &bytes, const std::string &donor, size_t at);

  std::mt19937_64 random;
};

} // namespace lathe::fuzz

#endif // LATHE_TOOLS_LATHE_FUZZ_DAMAGE_H
