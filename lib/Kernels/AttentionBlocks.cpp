// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/AttentionBlocks.h"

#include <map>
#include <numeric>

using namespace mlir;
using namespace lathe;
using namespace lathe::kernels;

/// Bits of the groups that see a block.
static constexpr int64_t kMaxGroups = 32;

int64_t lathe::kernels::getBlockPart(int64_t block, int64_t most) {
  int64_t part = std::min(block, most);
  while (block % part != 0)
    --part;
  return part;
}

bool lathe::kernels::canGroup(graph::BlockListAttr list, int64_t lanes) {
  return lanes / std::gcd(list.getBlock(), lanes) <= kMaxGroups;
}

namespace {

/// First key and groups.
using Entry = std::pair<int32_t, uint32_t>;

struct TileEntries {
  std::vector<Entry> whole, masked;
  bool operator<(const TileEntries &other) const {
    return std::tie(whole, masked) < std::tie(other.whole, other.masked);
  }
};

class TableBuilder {
public:
  explicit TableBuilder(const AttentionBlocksRequest &request)
      : request(request), list(request.list),
        groupLanes(std::gcd(list.getBlock(), request.lanes)),
        numGroups(request.lanes / groupLanes),
        allGroups(static_cast<uint32_t>((uint64_t(1) << numGroups) - 1)) {}

  AttentionBlocks build();

private:
  TileEntries getEntries(int64_t head, int64_t tile);
  bool reaches(int64_t query, int64_t key, int64_t count) const;
  bool seesAll(int64_t query, int64_t key, int64_t count) const;
  void addRun(int64_t query, int64_t key, int64_t end, TileEntries &entries);

  const AttentionBlocksRequest &request;
  graph::BlockListAttr list;
  int64_t groupLanes, numGroups;
  uint32_t allGroups;
  AttentionBlocks table;
};

} // namespace

/// Whether the window shows some of `count` keys from `key` on to some query of
/// the tile that starts at `query`.
bool TableBuilder::reaches(int64_t query, int64_t key, int64_t count) const {
  if (!request.shift)
    return true;
  int64_t first = query + *request.shift, last = first + request.lanes - 1;
  return (list.getRight() < 0 || key - last <= list.getRight()) &&
         (list.getLeft() < 0 || first - (key + count - 1) <= list.getLeft());
}

/// Whether all of these keys exist and the window shows them to all queries.
bool TableBuilder::seesAll(int64_t query, int64_t key, int64_t count) const {
  if (!request.numKeys || key + count > *request.numKeys)
    return false;
  if (list.getRight() < 0 && list.getLeft() < 0)
    return true;
  if (!request.shift)
    return false;
  int64_t first = query + *request.shift, last = first + request.lanes - 1;
  return (list.getRight() < 0 || key + count - 1 - first <= list.getRight()) &&
         (list.getLeft() < 0 || last - key <= list.getLeft());
}

/// Cuts keys in [key, end), which are listed for all queries of a tile.
void TableBuilder::addRun(int64_t query, int64_t key, int64_t end,
                          TileEntries &entries) {
  int64_t numKeys = request.numKeys.value_or(end);
  while (key < std::min(end, numKeys)) {
    bool isPlaced = !request.isAligned || key % request.keys == 0;
    if (isPlaced && key + request.keys <= end &&
        seesAll(query, key, request.keys)) {
      entries.whole.push_back({static_cast<int32_t>(key), allGroups});
      key += request.keys;
      continue;
    }
    if (reaches(query, key, request.edgeKeys))
      entries.masked.push_back({static_cast<int32_t>(key), allGroups});
    key += request.edgeKeys;
  }
}

TileEntries TableBuilder::getEntries(int64_t head, int64_t tile) {
  // The union of the lists of the tile's query blocks.
  std::map<int32_t, uint32_t> columns;
  int64_t query = tile * request.lanes, block = list.getBlock();
  for (int64_t group = 0; group < numGroups; ++group) {
    int64_t row = (query + group * groupLanes) / block;
    if (row < list.getRows())
      for (int32_t column : list.getBlocks(head, row))
        columns[column] |= 1u << group;
  }
  TileEntries entries;
  for (auto it = columns.begin(); it != columns.end();) {
    auto [column, groups] = *it++;
    int64_t key = column * block, end = key + block;
    if (groups == allGroups) {
      while (it != columns.end() && it->first * block == end &&
             it->second == allGroups) {
        end += block;
        ++it;
      }
      addRun(query, key, end, entries);
      continue;
    }
    for (; key < std::min(end, request.numKeys.value_or(end));
         key += request.edgeKeys)
      if (reaches(query, key, request.edgeKeys))
        entries.masked.push_back({static_cast<int32_t>(key), groups});
  }
  return entries;
}

AttentionBlocks TableBuilder::build() {
  int64_t positions = list.getRows() * list.getBlock();
  table.tiles = llvm::divideCeil(positions, request.lanes);
  table.groupLanes = groupLanes;
  std::map<TileEntries, int32_t> offsets;
  SmallVector<int32_t> rows, entries;
  auto append = [&](const std::vector<Entry> &from) {
    for (auto [key, groups] : from)
      entries.append({key, static_cast<int32_t>(groups)});
  };
  for (int64_t head = 0; head < list.getHeads(); ++head)
    for (int64_t tile = 0; tile <= table.tiles; ++tile) {
      TileEntries found;
      if (tile < table.tiles)
        found = getEntries(head, tile);
      auto [place, isNew] =
          offsets.try_emplace(found, static_cast<int32_t>(entries.size() / 2));
      if (isNew) {
        append(found.whole);
        append(found.masked);
      }
      int32_t begin = place->second;
      int32_t middle = begin + static_cast<int32_t>(found.whole.size());
      rows.append(
          {begin, middle, middle + static_cast<int32_t>(found.masked.size())});
      table.scores += request.lanes * (found.whole.size() * request.keys +
                                       found.masked.size() * request.edgeKeys);
      for (auto [key, groups] : found.masked)
        table.isInside &=
            request.numKeys && key + request.edgeKeys <= *request.numKeys;
    }
  if (entries.empty())
    entries.append({0, 0}); // A buffer is never empty.
  auto toAttr = [&](ArrayRef<int32_t> values, int64_t columns) {
    int64_t count = static_cast<int64_t>(values.size()) / columns;
    auto type = RankedTensorType::get({count, columns},
                                      IntegerType::get(list.getContext(), 32));
    return DenseElementsAttr::get(type, values);
  };
  table.rows = toAttr(rows, 3);
  table.entries = toAttr(entries, 2);
  return table;
}

AttentionBlocks
lathe::kernels::makeAttentionBlocks(const AttentionBlocksRequest &request) {
  return TableBuilder(request).build();
}
