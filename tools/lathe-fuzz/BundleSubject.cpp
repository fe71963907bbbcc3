// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Bundles. One third of the rounds is damage as it happens, which a hash finds;
// the others have their hashes mended, so that the checks behind them are met:
// of the manifest, or of the code. Kernels of such bundles are not run: code
// that an honest hash tells wrong sizes may do anything.

#include "lathe-c/runtime.h"
#include "runtime/base/sha256.h"
#include "runtime/bundle/format.h"
#include "runtime/bundle/schema.h"
#include "tools/lathe-fuzz/Files.h"
#include "tools/lathe-fuzz/Subject.h"

#include <cstdlib>
#include <cstring>

using namespace lathe;
using namespace lathe::fuzz;

namespace {
class BundleSubject final : public Subject {
public:
  ~BundleSubject() override { free(memory); }
  size_t load(const std::string &corpus) override {
    seeds = readFiles(corpus + "/bundles", ".lathe");
    return seeds.size();
  }
  void setFolder(const std::string &) override {}
  void damage(Damage &damage) override;
  size_t getSize() const override { return bytes.size(); }
  Outcome run() override;

private:
  void damageManifest(Damage &damage, const std::string &donor);
  void damageCode(Damage &damage, const std::string &donor);
  void rehashManifest();

  std::vector<std::string> seeds;
  std::string bytes;
  bool mustBeRefused = false;
  void *memory = nullptr;
};
} // namespace

static bundle::Header getHeader(const std::string &bytes) {
  bundle::Header header;
  memcpy(&header, bytes.data(), sizeof(header));
  return header;
}

void BundleSubject::damage(Damage &damage) {
  const std::string &seed = seeds[damage.below(seeds.size())];
  const std::string &donor = seeds[damage.below(seeds.size())];
  bytes = seed;
  mustBeRefused = false;
  switch (damage.below(3)) {
  case 0:
    damage.apply(bytes, donor, sizeof(bundle::Header));
    mustBeRefused = bytes != seed;
    break;
  case 1:
    damageManifest(damage, donor);
    break;
  default:
    damageCode(damage, donor);
  }
  free(memory);
  // ASan sees the first byte that is read beyond the end.
  if (posix_memalign(&memory, bundle::constantAlignment,
                     std::max<size_t>(bytes.size(), 1)) != 0)
    abort();
  memcpy(memory, bytes.data(), bytes.size());
}

void BundleSubject::rehashManifest() {
  bundle::Header header = getHeader(bytes);
  header.manifestSize = bytes.size() - header.manifestOffset;
  rt::sha256(bytes.data() + header.manifestOffset, header.manifestSize,
             header.manifestSha256);
  memcpy(bytes.data(), &header, sizeof(header));
}

void BundleSubject::damageManifest(Damage &damage, const std::string &donor) {
  size_t begin = getHeader(bytes).manifestOffset;
  std::string manifest = bytes.substr(begin);
  damage.apply(manifest, donor.substr(getHeader(donor).manifestOffset));
  bytes.replace(begin, std::string::npos, manifest);
  rehashManifest();
}

/// Keeps the segment's size, which the manifest has.
void BundleSubject::damageCode(Damage &damage, const std::string &donor) {
  const bundle::Manifest *manifest =
      bundle::GetManifest(bytes.data() + getHeader(bytes).manifestOffset);
  for (const bundle::Segment *segment : *manifest->segments()) {
    if (segment->kind() != bundle::SegmentKind::Code)
      continue;
    std::string code = bytes.substr(segment->offset(), segment->size());
    damage.apply(code, donor, /*head=*/1024);
    code.resize(segment->size());
    memcpy(bytes.data() + segment->offset(), code.data(), code.size());
    rt::sha256(code.data(), code.size(),
               const_cast<uint8_t *>(segment->sha256()->data()));
  }
  rehashManifest();
}

/// Asks for everything that a bundle tells about itself.
static void inspect(const lathe_bundle_t *bundle) {
  auto info = LATHE_INIT(lathe_bundle_info_t);
  lathe_status_destroy(lathe_bundle_info(bundle, &info));
  for (size_t i = 0; i < info.num_entries; ++i) {
    auto entry = LATHE_INIT(lathe_entry_info_t);
    lathe_status_destroy(lathe_bundle_entry(bundle, i, &entry));
    auto tensor = LATHE_INIT(lathe_tensor_info_t);
    for (size_t k = 0; k < entry.num_inputs; ++k)
      lathe_status_destroy(lathe_bundle_input(bundle, i, k, &tensor));
    for (size_t k = 0; k < entry.num_outputs; ++k)
      lathe_status_destroy(lathe_bundle_output(bundle, i, k, &tensor));
  }
  for (size_t i = 0; i < info.num_variants; ++i) {
    auto variant = LATHE_INIT(lathe_variant_info_t);
    lathe_status_destroy(lathe_bundle_variant(bundle, i, &variant));
    auto kernel = LATHE_INIT(lathe_kernel_info_t);
    for (size_t k = 0; k < variant.num_kernels; ++k)
      lathe_status_destroy(lathe_bundle_kernel(bundle, i, k, &kernel));
  }
}

Outcome BundleSubject::run() {
  auto options = LATHE_INIT(lathe_bundle_options_t);
  options.verify = LATHE_VERIFY_ALL;
  auto modelOptions = LATHE_INIT(lathe_model_options_t);
  modelOptions.num_threads = 1;
  lathe_bundle_t *bundle = nullptr;
  lathe_model_t *model = nullptr;
  lathe_status_t status =
      lathe_bundle_from_memory(memory, bytes.size(), &options, &bundle);
  if (!status) {
    inspect(bundle);
    status = lathe_model_create(bundle, &modelOptions, &model);
  }
  Outcome outcome;
  outcome.refused = status != nullptr;
  outcome.message = lathe_status_message(status);
  if (lathe_status_code(status) == LATHE_INTERNAL)
    outcome.problem = "internal error: " + outcome.message;
  else if (outcome.refused && outcome.message.rfind("bundle: ", 0) != 0)
    outcome.problem = "the message names no place: " + outcome.message;
  else if (mustBeRefused && !outcome.refused)
    outcome.problem = "a damaged bundle was accepted";
  lathe_status_destroy(status);
  lathe_model_destroy(model);
  lathe_bundle_destroy(bundle);
  return outcome;
}

std::unique_ptr<Subject> lathe::fuzz::makeBundleSubject() {
  return std::make_unique<BundleSubject>();
}
