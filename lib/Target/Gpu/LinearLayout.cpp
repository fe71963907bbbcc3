// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/Gpu/LinearLayout.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/raw_ostream.h"
#include <map>
#include <optional>

using namespace lathe::gpu;

using Position = LinearLayout::Position;

static bool isZero(const Position &position) {
  return llvm::all_of(position, [](int64_t at) { return at == 0; });
}

static void addTo(Position &position, const Position &other) {
  for (auto [at, more] : llvm::zip_equal(position, other))
    at ^= more;
}

//===----------------------------------------------------------------------===//
// Construction
//===----------------------------------------------------------------------===//

LinearLayout &LinearLayout::addBasis(In in, Position basis) {
  bases[in].push_back(std::move(basis));
  return *this;
}

LinearLayout &LinearLayout::add(In in, unsigned dim, unsigned bits) {
  for (unsigned i = 0; i < bits; ++i) {
    Position basis(rank, 0);
    basis[dim] = getExtent(dim);
    addBasis(in, std::move(basis));
  }
  return *this;
}

LinearLayout &LinearLayout::addRepeats(In in, unsigned bits) {
  for (unsigned i = 0; i < bits; ++i)
    addBasis(in, Position(rank, 0));
  return *this;
}

//===----------------------------------------------------------------------===//
// Queries
//===----------------------------------------------------------------------===//

Position LinearLayout::apply(Place place) const {
  Position position(rank, 0);
  int64_t numbers[] = {place.reg, place.lane, place.warp};
  for (In in : ins)
    for (auto [bit, basis] : llvm::enumerate(bases[in]))
      if (numbers[in] >> bit & 1)
        addTo(position, basis);
  return position;
}

int64_t LinearLayout::getExtent(unsigned dim) const {
  int64_t all = 0;
  for (In in : ins)
    for (const Position &basis : bases[in])
      all |= basis[dim];
  return int64_t(llvm::PowerOf2Ceil(all + 1));
}

int64_t LinearLayout::getBitsAlong(In in, unsigned dim) const {
  int64_t bits = 0;
  for (auto [bit, basis] : llvm::enumerate(bases[in]))
    if (basis[dim])
      bits |= int64_t(1) << bit;
  return bits;
}

int64_t LinearLayout::getRun(unsigned dim) const {
  int64_t run = 1;
  for (const Position &basis : bases[Register]) {
    Position wanted(rank, 0);
    wanted[dim] = run;
    if (basis != wanted)
      break;
    run *= 2;
  }
  // All others must move in steps of the run.
  auto isAligned = [&](const Position &basis) { return basis[dim] % run == 0; };
  while (run > 1) {
    unsigned bits = llvm::Log2_64(run);
    if (llvm::all_of(llvm::drop_begin(bases[Register], bits), isAligned) &&
        llvm::all_of(bases[Lane], isAligned) &&
        llvm::all_of(bases[Warp], isAligned))
      break;
    run /= 2;
  }
  return run;
}

namespace {
/// Vectors over F2, each with the sum of inputs that makes it.
class Span {
public:
  /// The inputs whose sum is `position`, if it is in the span.
  std::optional<int64_t> solve(Position position) const {
    int64_t inputs = reduce(position);
    return isZero(position) ? std::optional<int64_t>(inputs) : std::nullopt;
  }
  /// Whether `position` was not in the span yet; then it is, as `input`.
  bool insert(Position position, int64_t input) {
    input ^= reduce(position);
    if (isZero(position))
      return false;
    Lead lead = getLead(position);
    rows[lead] = {std::move(position), input};
    return true;
  }

private:
  using Lead = std::pair<unsigned, unsigned>; ///< A dim, and its highest bit.
  static Lead getLead(const Position &position) {
    for (auto [dim, at] : llvm::enumerate(position))
      if (at)
        return {static_cast<unsigned>(dim), 63 - llvm::Log2_64(at)};
    return {};
  }
  int64_t reduce(Position &position) const {
    int64_t inputs = 0;
    while (!isZero(position)) {
      auto row = rows.find(getLead(position));
      if (row == rows.end())
        break;
      addTo(position, row->second.first);
      inputs ^= row->second.second;
    }
    return inputs;
  }
  std::map<Lead, std::pair<Position, int64_t>> rows;
};
} // namespace

int64_t LinearLayout::getRepeats(In in) const {
  Span span;
  int64_t repeats = 0;
  for (In each : ins) {
    for (auto [bit, basis] : llvm::enumerate(bases[each]))
      if (!span.insert(basis, 0) && each == in)
        repeats |= int64_t(1) << bit;
    if (each == in)
      break;
  }
  return repeats;
}

bool LinearLayout::getRegisters(const LinearLayout &to,
                                llvm::SmallVectorImpl<int64_t> &source) const {
  // Threads must differ by what this layout's registers can make up for.
  Span span;
  for (auto [bit, basis] : llvm::enumerate(bases[Register]))
    span.insert(basis, int64_t(1) << bit);
  for (In in : {Lane, Warp}) {
    if (getBits(in) != to.getBits(in))
      return false;
    for (auto [mine, its] : llvm::zip_equal(bases[in], to.bases[in]))
      if (mine != its)
        return false;
  }
  source.clear();
  for (int64_t reg = 0; reg < to.getSize(Register); ++reg) {
    auto own = span.solve(to.applyRegister(reg));
    if (!own)
      return false;
    source.push_back(*own);
  }
  return true;
}

//===----------------------------------------------------------------------===//
// Derived layouts
//===----------------------------------------------------------------------===//

LinearLayout LinearLayout::project(llvm::ArrayRef<int64_t> dims) const {
  LinearLayout result(dims.size());
  for (In in : ins)
    for (const Position &basis : bases[in]) {
      Position kept;
      for (int64_t dim : dims)
        kept.push_back(basis[dim]);
      result.addBasis(in, std::move(kept));
    }
  return result;
}

LinearLayout LinearLayout::within(llvm::ArrayRef<int64_t> shape) const {
  LinearLayout result(rank);
  for (In in : ins)
    for (Position basis : bases[in]) {
      for (auto [at, size] : llvm::zip_equal(basis, shape))
        at &= int64_t(llvm::PowerOf2Ceil(std::max<int64_t>(size, 1))) - 1;
      result.addBasis(in, std::move(basis));
    }
  return result;
}

LinearLayout LinearLayout::withoutRepeatedRegisters(
    llvm::SmallVectorImpl<int64_t> &source) const {
  LinearLayout result(rank);
  Span span;
  llvm::SmallVector<int64_t> images; // Of each bit, in the result's registers.
  for (const Position &basis : bases[Register]) {
    if (auto known = span.solve(basis)) {
      images.push_back(*known);
      continue;
    }
    int64_t image = result.getSize(Register);
    span.insert(basis, image);
    images.push_back(image);
    result.addBasis(Register, basis);
  }
  result.bases[Lane] = bases[Lane];
  result.bases[Warp] = bases[Warp];
  source.clear();
  for (int64_t reg = 0; reg < getSize(Register); ++reg) {
    int64_t from = 0;
    for (auto [bit, image] : llvm::enumerate(images))
      if (reg >> bit & 1)
        from ^= image;
    source.push_back(from);
  }
  return result;
}

std::string LinearLayout::toString() const {
  std::string text;
  llvm::raw_string_ostream os(text);
  const char *names[] = {"register", "lane", "warp"};
  for (In in : ins) {
    os << (in == Register ? "" : ", ") << names[in] << " = [";
    llvm::interleaveComma(bases[in], os, [&](const Position &basis) {
      os << "(";
      llvm::interleave(basis, os, ",");
      os << ")";
    });
    os << "]";
  }
  return text;
}
