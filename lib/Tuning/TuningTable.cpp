// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Tuning/TuningTable.h"

#include "lib/Support/Json.h"

#include "llvm/Support/FileOutputBuffer.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace lathe;
using namespace lathe::tuning;

static constexpr int64_t formatVersion = 1;

static Error tableError(StringRef path, const Twine &what) {
  return createStringError(path + ": " + what);
}

static bool fromJSON(const json::Value &value, TuningEntry &entry,
                     json::Path path) {
  json::ObjectMapper map(value, path);
  return map && map.map("target", entry.target) &&
         map.map("level", entry.level) && map.map("workload", entry.workload) &&
         map.map("schedule", entry.schedule) &&
         map.map("instead-of", entry.insteadOf) &&
         map.map("speedup", entry.speedup) && map.map("sizes", entry.sizes) &&
         map.map("machine", entry.machine);
}

Expected<TuningTable> TuningTable::parse(StringRef text, StringRef path) {
  Expected<json::Value> value = parseJson(text);
  if (!value)
    return tableError(path, toString(value.takeError()));
  const json::Object *object = value->getAsObject();
  auto version = object ? object->getInteger("lathe-tuning") : std::nullopt;
  if (!version)
    return tableError(path, "no tuning table: it has no \"lathe-tuning\"");
  if (*version != formatVersion)
    return tableError(path, "a tuning table of version " + Twine(*version) +
                                "; this build reads " + Twine(formatVersion));
  const json::Array *array = object->getArray("workloads");
  if (!array)
    return tableError(path, "\"workloads\" is not a list");
  TuningTable table;
  for (const json::Value &item : *array) {
    TuningEntry entry;
    std::string place =
        "workloads[" + std::to_string(&item - array->data()) + "]";
    json::Path::Root root(place);
    if (!fromJSON(item, entry, root))
      return tableError(path, toString(root.getError()));
    table.insert(std::move(entry));
  }
  return table;
}

Expected<TuningTable> TuningTable::read(StringRef path) {
  auto buffer = MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!buffer)
    return tableError(path, buffer.getError().message());
  return parse((*buffer)->getBuffer(), path);
}

/// Keys in the order of the struct, not of the alphabet.
static void writeEntry(const TuningEntry &entry, raw_ostream &os) {
  auto quoted = [](StringRef text) { return json::Value(text); };
  os << "  {\"target\": " << quoted(entry.target)
     << ", \"level\": " << quoted(entry.level)
     << ", \"workload\": " << quoted(entry.workload)
     << ", \"schedule\": " << quoted(entry.schedule)
     << ", \"instead-of\": " << quoted(entry.insteadOf)
     << ", \"speedup\": " << format("%.2f", entry.speedup)
     << ", \"sizes\": " << quoted(entry.sizes)
     << ", \"machine\": " << quoted(entry.machine) << '}';
}

Error TuningTable::write(StringRef path) const {
  std::string text;
  raw_string_ostream os(text);
  os << "{\"lathe-tuning\": " << formatVersion << ", \"workloads\": [";
  StringRef separator = "\n";
  for (const auto &[key, entry] : entries) {
    os << separator;
    writeEntry(entry, os);
    separator = ",\n";
  }
  os << "\n]}\n";
  auto buffer = FileOutputBuffer::create(path, text.size());
  if (!buffer)
    return tableError(path, toString(buffer.takeError()));
  llvm::copy(text, (*buffer)->getBufferStart());
  if (Error error = (*buffer)->commit())
    return tableError(path, toString(std::move(error)));
  return Error::success();
}

const TuningEntry *TuningTable::lookup(StringRef target, StringRef level,
                                       StringRef workload) const {
  auto found = entries.find({target.str(), level.str(), workload.str()});
  return found == entries.end() ? nullptr : &found->second;
}

void TuningTable::insert(TuningEntry entry) {
  Key key(entry.target, entry.level, entry.workload);
  entries.insert_or_assign(std::move(key), std::move(entry));
}
