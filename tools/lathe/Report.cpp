// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/Report.h"

#include "tools/lathe/Command.h"
#include "tools/lathe/Console.h"
#include "tools/lathe/Session.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include <map>

using namespace llvm;

namespace lathe::tool {

static const char style[] = R"(<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto;
       max-width: 70em; padding: 0 1em; color: #222; background: #fff }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 2em }
table { border-collapse: collapse } td, th { padding: .15em .8em .15em 0;
text-align: left; vertical-align: top } td.n { text-align: right;
font-variant-numeric: tabular-nums } code { font-size: .9em }
.warning { color: #8a5a00 } .error { color: #a00 }
rect { fill: #4a78b5 }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818 }
.warning { color: #e0b050 } .error { color: #f88 } }
</style>)";

namespace {
class Page {
public:
  Page(raw_ostream &os, const lathe_bundle_t *bundle)
      : os(os), bundle(bundle),
        info(get<lathe_bundle_info_t>(lathe_bundle_info, bundle)) {}

  void write(StringRef model, const CompileReport &report,
             ArrayRef<Message> messages);

private:
  struct Bar {
    std::string name, figure;
    double value;
  };

  void heading(StringRef text) { os << "<h2>" << text << "</h2>\n"; }
  void text(StringRef text) { printHTMLEscaped(text, os); }
  void writeBars(ArrayRef<Bar> bars);
  void writeStages(const CompileReport &report);
  void writeSizes();
  void writeKernels(size_t variant);
  void writeMessages(ArrayRef<Message> messages);

  raw_ostream &os;
  const lathe_bundle_t *bundle;
  lathe_bundle_info_t info;
};
} // namespace

void Page::writeBars(ArrayRef<Bar> bars) {
  double most = 0;
  for (const Bar &bar : bars)
    most = std::max(most, bar.value);
  os << "<table>\n";
  for (const Bar &bar : bars) {
    os << "<tr><td>";
    text(bar.name);
    os << "</td><td class=n>" << bar.figure
       << "</td><td><svg width=400 height=12><rect height=12 width="
       << format("%.1f", most > 0 ? bar.value / most * 400 : 0)
       << "></rect></svg></td></tr>\n";
  }
  os << "</table>\n";
}

void Page::writeStages(const CompileReport &report) {
  heading("Where the time went");
  std::vector<Bar> bars;
  for (const CompileReport::Stage &stage : report.stages)
    bars.push_back({stage.name, formatSeconds(stage.seconds), stage.seconds});
  writeBars(bars);
}

void Page::writeSizes() {
  heading("What the bundle's bytes are");
  std::vector<Bar> bars;
  for (size_t v = 0; v < info.num_variants; ++v) {
    auto variant = get<lathe_variant_info_t>(lathe_bundle_variant, bundle, v);
    auto code =
        get<lathe_segment_info_t>(lathe_bundle_segment, bundle, variant.code);
    bars.push_back({std::string("code, ") + variant.level,
                    formatBytes(code.size), double(code.size)});
  }
  std::map<std::string, uint64_t> encodings;
  for (size_t c = 0; c < info.num_constants; ++c) {
    auto constant =
        get<lathe_constant_info_t>(lathe_bundle_constant, bundle, c);
    encodings[constant.encoding] += constant.size;
  }
  for (const auto &[encoding, size] : encodings)
    bars.push_back({"weights, " + encoding, formatBytes(size), double(size)});
  bars.push_back({"manifest", formatBytes(info.manifest_size),
                  double(info.manifest_size)});
  writeBars(bars);
}

void Page::writeKernels(size_t v) {
  auto variant = get<lathe_variant_info_t>(lathe_bundle_variant, bundle, v);
  os << "<h2>Kernels of ";
  text(variant.level);
  os << "</h2>\n<table><tr><th>kernel</th><th>buffers</th><th>scalars</th>"
        "<th>schedule</th></tr>\n";
  for (size_t k = 0; k < variant.num_kernels; ++k) {
    auto kernel = get<lathe_kernel_info_t>(lathe_bundle_kernel, bundle, v, k);
    os << "<tr><td><code>";
    text(kernel.symbol);
    os << "</code></td><td class=n>" << kernel.num_buffers
       << "</td><td class=n>" << kernel.num_scalars << "</td><td><code>";
    text(kernel.schedule);
    os << "</code></td></tr>\n";
  }
  os << "</table>\n";
}

void Page::writeMessages(ArrayRef<Message> messages) {
  heading("Remarks and warnings");
  if (messages.empty())
    os << "<p>None.</p>\n";
  os << "<ul>\n";
  for (const Message &message : messages) {
    StringRef kind = message.severity == Severity::Remark    ? "remark"
                     : message.severity == Severity::Warning ? "warning"
                                                             : "error";
    os << "<li class=" << kind << '>';
    text(message.text);
    os << "</li>\n";
  }
  os << "</ul>\n";
}

void Page::write(StringRef model, const CompileReport &report,
                 ArrayRef<Message> messages) {
  os << "<!doctype html>\n<html lang=en><meta charset=utf-8>\n<title>";
  text(model);
  os << "</title>\n" << style << "\n<h1>";
  text(model);
  os << "</h1>\n<p>Compiled by ";
  text(info.producer);
  os << ": " << formatBytes(info.file_size) << ", "
     << formatCount(report.kernels, "kernel") << " in "
     << formatCount(report.variants, "variant") << ".</p>\n";
  writeStages(report);
  writeSizes();
  for (size_t v = 0; v < info.num_variants; ++v)
    writeKernels(v);
  writeMessages(messages);
  os << "</html>\n";
}

Error writeReport(StringRef path, StringRef model, StringRef bundlePath,
                  const CompileReport &report, ArrayRef<Message> messages) {
  Expected<BundlePtr> bundle = openBundle(bundlePath, LATHE_VERIFY_CODE);
  if (!bundle)
    return bundle.takeError();
  Error error = writeToOutput(path, [&](raw_ostream &os) {
    Page(os, bundle->get()).write(model, report, messages);
    return Error::success();
  });
  if (error)
    return failure(path + ": " + toString(std::move(error)));
  return Error::success();
}

} // namespace lathe::tool
