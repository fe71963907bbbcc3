// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/Commands.h"
#include "tools/lathe/Console.h"
#include "tools/lathe/Session.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/JSON.h"
#include <map>
#include <set>

using namespace llvm;

namespace lathe::tool {

static cl::SubCommand parser("inspect", "Show what is inside a bundle");

static cl::opt<std::string> bundlePath(cl::Positional, cl::desc("BUNDLE"),
                                       cl::sub(parser),
                                       cl::cat(optionCategory));
static cl::opt<bool> json("json", cl::desc("As JSON, with everything"),
                          cl::sub(parser), cl::cat(optionCategory));
static cl::opt<bool> verbose("v", cl::desc("Also each weight and each kernel"),
                             cl::sub(parser), cl::cat(optionCategory));

//===----------------------------------------------------------------------===//
// What both forms read
//===----------------------------------------------------------------------===//

namespace {
struct Contents {
  const lathe_bundle_t *bundle;
  lathe_bundle_info_t info;

  lathe_entry_info_t entry(size_t i) const {
    return get<lathe_entry_info_t>(lathe_bundle_entry, bundle, i);
  }
  lathe_tensor_info_t input(size_t entry, size_t i) const {
    return get<lathe_tensor_info_t>(lathe_bundle_input, bundle, entry, i);
  }
  lathe_tensor_info_t output(size_t entry, size_t i) const {
    return get<lathe_tensor_info_t>(lathe_bundle_output, bundle, entry, i);
  }
  lathe_constant_info_t constant(size_t i) const {
    return get<lathe_constant_info_t>(lathe_bundle_constant, bundle, i);
  }
  lathe_segment_info_t segment(size_t i) const {
    return get<lathe_segment_info_t>(lathe_bundle_segment, bundle, i);
  }
  lathe_variant_info_t variant(size_t i) const {
    return get<lathe_variant_info_t>(lathe_bundle_variant, bundle, i);
  }
  lathe_kernel_info_t kernel(size_t variant, size_t i) const {
    return get<lathe_kernel_info_t>(lathe_bundle_kernel, bundle, variant, i);
  }
  lathe_tensor_map_info_t tensorMap(size_t variant, size_t kernel,
                                    size_t i) const {
    return get<lathe_tensor_map_info_t>(lathe_bundle_tensor_map, bundle,
                                        variant, kernel, i);
  }
  lathe_key_value_t provenance(size_t i) const {
    return get<lathe_key_value_t>(lathe_bundle_provenance, bundle, i);
  }
  std::vector<std::string> symbols(size_t i) const;
  std::vector<std::string> features(size_t i) const;
};
} // namespace

std::vector<std::string> Contents::symbols(size_t i) const {
  std::vector<std::string> names;
  for (size_t s = 0; s < entry(i).num_symbols; ++s)
    names.push_back(lathe_bundle_symbol(bundle, i, s));
  return names;
}

std::vector<std::string> Contents::features(size_t i) const {
  std::vector<std::string> names;
  for (size_t f = 0; f < variant(i).num_features; ++f)
    names.push_back(lathe_bundle_variant_feature(bundle, i, f));
  return names;
}

static std::string hashText(const lathe_segment_info_t &segment) {
  return toHex(ArrayRef(segment.sha256, 32), /*LowerCase=*/true);
}

//===----------------------------------------------------------------------===//
// For people
//===----------------------------------------------------------------------===//

static void heading(const Twine &text) {
  printBold(outs(), text.str());
  outs() << '\n';
}

static void printEntries(const Contents &contents) {
  for (size_t e = 0; e < contents.info.num_entries; ++e) {
    lathe_entry_info_t entry = contents.entry(e);
    heading(Twine("\nentry ") + entry.name);
    Table table({"", "name", "type"});
    for (size_t i = 0; i < entry.num_inputs; ++i) {
      lathe_tensor_info_t info = contents.input(e, i);
      table.addRow({"input", info.name, formatType(info)});
    }
    for (size_t i = 0; i < entry.num_outputs; ++i) {
      lathe_tensor_info_t info = contents.output(e, i);
      table.addRow({"output", info.name, formatType(info)});
    }
    table.print(outs(), 2);
    if (entry.num_symbols)
      outs() << "  symbols: " << join(contents.symbols(e), ", ") << '\n';
  }
}

static void printVariants(const Contents &contents) {
  heading("\nvariants");
  Table table({"target", "level", ">kernels", ">code", "here", "features"});
  std::set<std::string> notes;
  for (size_t v = 0; v < contents.info.num_variants; ++v) {
    lathe_variant_info_t info = contents.variant(v);
    // Why there is no device is a sentence, which stands below.
    auto [what, why] = StringRef(info.missing).split(" (");
    std::string here = info.fits ? "fits" : "lacks " + what.str();
    if (!why.empty())
      notes.insert((info.target + Twine(" lacks ") + info.missing).str());
    table.addRow({info.target, info.level, std::to_string(info.num_kernels),
                  formatBytes(contents.segment(info.code).size), here,
                  join(contents.features(v), ",")});
  }
  table.print(outs(), 2);
  for (const std::string &note : notes)
    outs() << "  " << note << '\n';
}

static void printSegments(const Contents &contents) {
  heading("\nsegments");
  Table table({">#", "kind", ">offset", ">size", "SHA-256"});
  for (size_t s = 0; s < contents.info.num_segments; ++s) {
    lathe_segment_info_t info = contents.segment(s);
    std::string hash = hashText(info);
    table.addRow({std::to_string(s), info.kind, std::to_string(info.offset),
                  formatBytes(info.size),
                  verbose ? hash : hash.substr(0, 16) + "..."});
  }
  table.print(outs(), 2);
}

static void printConstants(const Contents &contents) {
  if (contents.info.num_constants == 0)
    return;
  // Encodings first: what most of the bytes are stored as is the question.
  std::map<std::string, std::pair<size_t, uint64_t>> encodings;
  Table each({"name", "encoding", ">size", ">segment", ">offset"});
  for (size_t c = 0; c < contents.info.num_constants; ++c) {
    lathe_constant_info_t info = contents.constant(c);
    ++encodings[info.encoding].first;
    encodings[info.encoding].second += info.size;
    each.addRow({info.name, info.encoding, formatBytes(info.size),
                 std::to_string(info.segment), std::to_string(info.offset)});
  }
  heading("\nweights");
  Table table({"encoding", ">count", ">size"});
  for (const auto &[encoding, total] : encodings)
    table.addRow(
        {encoding, std::to_string(total.first), formatBytes(total.second)});
  (verbose ? each : table).print(outs(), 2);
}

/// "given", "persistent, clusters of 2".
static std::string describeGrid(const lathe_kernel_info_t &info) {
  std::string text = info.grid;
  if (info.cluster > 1)
    text += ", clusters of " + std::to_string(info.cluster);
  return text;
}

/// "0: 128x64 f16, swizzle 128": which buffer, what a copy takes, rows first.
static std::string describeMap(const lathe_tensor_map_info_t &info) {
  std::string text = std::to_string(info.buffer) + ": ";
  for (uint32_t d = info.rank; d-- > 0;)
    text += std::to_string(info.box[d]) + (d ? "x" : " ");
  text += lathe_dtype_name(info.dtype);
  if (info.swizzle)
    text += ", swizzle " + std::to_string(info.swizzle);
  return text;
}

static void printKernels(const Contents &contents) {
  for (size_t v = 0; v < contents.info.num_variants; ++v) {
    lathe_variant_info_t variant = contents.variant(v);
    heading(Twine("\nkernels of ") + variant.level);
    Table table({"symbol", ">buffers", ">scalars", ">threads", ">shared",
                 "grid", "tensor maps", "schedule"});
    for (size_t k = 0; k < variant.num_kernels; ++k) {
      lathe_kernel_info_t info = contents.kernel(v, k);
      auto unlessHost = [&](std::string text) {
        return info.threads ? text : std::string("-");
      };
      std::vector<std::string> maps;
      for (size_t m = 0; m < info.num_tensor_maps; ++m)
        maps.push_back(describeMap(contents.tensorMap(v, k, m)));
      table.addRow({info.symbol, std::to_string(info.num_buffers),
                    std::to_string(info.num_scalars),
                    unlessHost(std::to_string(info.threads)),
                    unlessHost(formatBytes(info.shared_bytes)),
                    unlessHost(describeGrid(info)),
                    maps.empty() ? "-" : join(maps, "; "), info.schedule});
    }
    table.print(outs(), 2);
  }
}

static void printText(const Contents &contents) {
  const lathe_bundle_info_t &info = contents.info;
  heading(bundlePath);
  Table table({"model", info.model});
  table.addRow({"producer", info.producer});
  table.addRow({"format", "version " + std::to_string(info.version)});
  table.addRow({"size", formatBytes(info.file_size) + ", manifest " +
                            formatBytes(info.manifest_size)});
  for (size_t i = 0; i < info.num_provenance; ++i)
    table.addRow({contents.provenance(i).key, contents.provenance(i).value});
  table.print(outs(), 2);
  printEntries(contents);
  printVariants(contents);
  printSegments(contents);
  printConstants(contents);
  if (verbose)
    printKernels(contents);
}

//===----------------------------------------------------------------------===//
// For programs
//===----------------------------------------------------------------------===//

static void writeTensor(json::OStream &out, const lathe_tensor_info_t &info) {
  out.object([&] {
    out.attribute("name", info.name);
    out.attribute("dtype", lathe_dtype_name(info.dtype));
    out.attributeArray("dims", [&] {
      for (uint32_t i = 0; i < info.rank; ++i) {
        if (info.dims[i].size >= 0)
          out.value(info.dims[i].size);
        else
          out.value(info.dims[i].text);
      }
    });
  });
}

static void writeEntry(json::OStream &out, const Contents &contents, size_t e) {
  lathe_entry_info_t entry = contents.entry(e);
  out.object([&] {
    out.attribute("name", entry.name);
    out.attribute("symbols", json::Value(contents.symbols(e)));
    out.attributeArray("inputs", [&] {
      for (size_t i = 0; i < entry.num_inputs; ++i)
        writeTensor(out, contents.input(e, i));
    });
    out.attributeArray("outputs", [&] {
      for (size_t i = 0; i < entry.num_outputs; ++i)
        writeTensor(out, contents.output(e, i));
    });
  });
}

static void writeVariant(json::OStream &out, const Contents &contents,
                         size_t v) {
  lathe_variant_info_t variant = contents.variant(v);
  out.object([&] {
    out.attribute("target", variant.target);
    out.attribute("level", variant.level);
    out.attribute("rank", variant.rank);
    out.attribute("code", variant.code);
    out.attribute("features", json::Value(contents.features(v)));
    out.attribute("fits", variant.fits != 0);
    out.attribute("missing", variant.missing);
    out.attributeArray("kernels", [&] {
      for (size_t k = 0; k < variant.num_kernels; ++k)
        out.object([&] {
          lathe_kernel_info_t kernel = contents.kernel(v, k);
          out.attribute("symbol", kernel.symbol);
          out.attribute("buffers", kernel.num_buffers);
          out.attribute("scalars", kernel.num_scalars);
          out.attribute("schedule", kernel.schedule);
          out.attribute("workload", kernel.workload);
          if (kernel.threads) {
            out.attribute("threads", kernel.threads);
            out.attribute("shared_bytes", kernel.shared_bytes);
            out.attribute("grid", kernel.grid);
            out.attribute("cluster", kernel.cluster);
            out.attributeArray("tensor_maps", [&] {
              for (size_t m = 0; m < kernel.num_tensor_maps; ++m)
                out.value(describeMap(contents.tensorMap(v, k, m)));
            });
          }
        });
    });
  });
}

static void writeStorage(json::OStream &out, const Contents &contents) {
  out.attributeArray("segments", [&] {
    for (size_t s = 0; s < contents.info.num_segments; ++s)
      out.object([&] {
        lathe_segment_info_t segment = contents.segment(s);
        out.attribute("kind", segment.kind);
        out.attribute("offset", segment.offset);
        out.attribute("size", segment.size);
        out.attribute("sha256", hashText(segment));
      });
  });
  out.attributeArray("constants", [&] {
    for (size_t c = 0; c < contents.info.num_constants; ++c)
      out.object([&] {
        lathe_constant_info_t constant = contents.constant(c);
        out.attribute("name", constant.name);
        out.attribute("encoding", constant.encoding);
        out.attribute("segment", constant.segment);
        out.attribute("offset", constant.offset);
        out.attribute("size", constant.size);
      });
  });
}

static void writeJson(const Contents &contents) {
  const lathe_bundle_info_t &info = contents.info;
  json::OStream out(outs(), /*IndentSize=*/2);
  out.object([&] {
    out.attribute("version", info.version);
    out.attribute("producer", info.producer);
    out.attribute("model", info.model);
    out.attribute("file_size", info.file_size);
    out.attribute("manifest_size", info.manifest_size);
    out.attributeObject("provenance", [&] {
      for (size_t i = 0; i < info.num_provenance; ++i)
        out.attribute(contents.provenance(i).key, contents.provenance(i).value);
    });
    out.attributeArray("entries", [&] {
      for (size_t e = 0; e < info.num_entries; ++e)
        writeEntry(out, contents, e);
    });
    out.attributeArray("variants", [&] {
      for (size_t v = 0; v < info.num_variants; ++v)
        writeVariant(out, contents, v);
    });
    writeStorage(out, contents);
  });
  outs() << '\n';
}

static Error run() {
  if (Error error = requireArguments({{"BUNDLE", bundlePath}}))
    return error;
  Expected<BundlePtr> bundle = openBundle(bundlePath, LATHE_VERIFY_CODE);
  if (!bundle)
    return bundle.takeError();
  Contents contents{bundle->get(),
                    get<lathe_bundle_info_t>(lathe_bundle_info, bundle->get())};
  json ? writeJson(contents) : printText(contents);
  return Error::success();
}

const Command inspectCommand = {&parser, R"(
Examples:
  lathe inspect model.lathe            what it takes and gives, for which CPUs
  lathe inspect model.lathe -v         each weight and each kernel too
  lathe inspect model.lathe --json | jq '.entries[0].inputs'
)",
                                run};

} // namespace lathe::tool
