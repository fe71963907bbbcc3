// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The bundle functions of the C API.

#include "runtime/base/options.h"
#include "runtime/base/text.h"
#include "runtime/bundle/bundle.h"
#include "runtime/bundle/expr.h"
#include "runtime/device/device.h"

#include <cstring>

using namespace lathe::rt;
namespace bundle = lathe::bundle;

// The numbers are the same; a new dtype must be added to both.
static_assert(int(bundle::DType::MAX) == LATHE_DTYPE_F8E5M2);

//===----------------------------------------------------------------------===//
// Texts that are made when a bundle is opened
//===----------------------------------------------------------------------===//

static constexpr size_t maxDimText = 128;

namespace {
/// Calls `visit` on each input and output of an entry.
template <typename Visit>
void forEachTensor(const bundle::Entry &entry, Visit visit) {
  for (uint32_t i = 0; i < sizeOf(entry.inputs()); ++i)
    visit(true, i, *entry.inputs()->Get(i));
  for (uint32_t i = 0; i < sizeOf(entry.outputs()); ++i)
    visit(false, i, *entry.outputs()->Get(i));
}
} // namespace

static size_t formatDim(const bundle::Entry &entry, int32_t expr, char *text) {
  return formatExpr(entry.exprs(), static_cast<uint32_t>(expr), entry.symbols(),
                    text, maxDimText);
}

static Status describeEntry(const Allocator &allocator,
                            const bundle::Entry &entry,
                            lathe_bundle_t::EntryText &result) {
  Array<bool> defined;
  LATHE_TRY(findInputSymbols(allocator, entry, defined));
  for (bool input : defined)
    result.numInputSymbols += input;

  char scratch[maxDimText];
  size_t numDims = 0, textSize = 0;
  forEachTensor(entry, [&](bool, uint32_t, const bundle::TensorInfo &tensor) {
    numDims += sizeOf(tensor.dims());
    for (uint32_t d = 0; d < sizeOf(tensor.dims()); ++d)
      textSize += formatDim(entry, tensor.dims()->Get(d), scratch) + 1;
  });
  LATHE_TRY(result.inputs.allocate(allocator, sizeOf(entry.inputs())));
  LATHE_TRY(result.outputs.allocate(allocator, sizeOf(entry.outputs())));
  LATHE_TRY(result.dims.allocate(allocator, numDims));
  LATHE_TRY(result.text.allocate(allocator, textSize));

  lathe_dim_t *dim = result.dims.data();
  char *text = result.text.data();
  forEachTensor(
      entry, [&](bool isInput, uint32_t i, const bundle::TensorInfo &tensor) {
        (isInput ? result.inputs : result.outputs)[i] = {dim,
                                                         sizeOf(tensor.dims())};
        for (uint32_t d = 0; d < sizeOf(tensor.dims()); ++d) {
          size_t length = formatDim(entry, tensor.dims()->Get(d), scratch) + 1;
          memcpy(text, scratch, length);
          const auto *expr =
              entry.exprs()->Get(static_cast<uint32_t>(tensor.dims()->Get(d)));
          bool constant = expr->op() == bundle::ExprOp::Const;
          *dim++ = {constant ? expr->value() : -1, text};
          text += length;
        }
      });
  return ok();
}

Status lathe_bundle_t::describeEntries() {
  LATHE_TRY(texts.allocate(allocator, sizeOf(root->entries())));
  for (uint32_t i = 0; i < sizeOf(root->entries()); ++i)
    LATHE_TRY(describeEntry(allocator, *root->entries()->Get(i), texts[i]));
  return ok();
}

Text<512> lathe::rt::listMissing(const bundle::Variant &variant,
                                 const Device &device) {
  Text<512> missing;
  for (uint32_t i = 0; i < sizeOf(variant.features()); ++i) {
    const char *feature = textOf(variant.features()->Get(i));
    if (device.hasFeature(feature))
      continue;
    missing.separate();
    missing.add("%s", feature);
  }
  return missing;
}

/// The same for the machine's first device of that kind, or why there is none.
static Text<512> listMissing(const Allocator &allocator,
                             const bundle::Variant &variant) {
  Text<512> missing;
  const DeviceType *type = findDeviceForTarget(textOf(variant.target()));
  if (!type) {
    missing.add("a device for target %s", textOf(variant.target()));
    return missing;
  }
  Device *device = nullptr;
  if (Status status = type->open(allocator, {}, &device); status.failed())
    missing.add("a device (%s)", status.message());
  else
    missing = listMissing(variant, *device);
  if (device)
    device->destroy();
  return missing;
}

Status lathe_bundle_t::findMissing(size_t variant, const char **text) const {
  Lock lock(mutex);
  if (missingTexts.size() == 0)
    LATHE_TRY(missingTexts.allocate(allocator, sizeOf(root->variants())));
  Array<char> &known = missingTexts[variant];
  if (known.size() == 0) {
    Text<512> missing = listMissing(
        allocator, *root->variants()->Get(static_cast<uint32_t>(variant)));
    LATHE_TRY(known.allocate(allocator, strlen(missing.c_str()) + 1));
    memcpy(known.data(), missing.c_str(), known.size());
  }
  *text = known.data();
  return ok();
}

//===----------------------------------------------------------------------===//
// The C API
//===----------------------------------------------------------------------===//

/// Looks `index` up in a vector of the manifest.
template <typename T>
static Status at(const flatbuffers::Vector<flatbuffers::Offset<T>> *vector,
                 size_t index, const char *what, const T **element) {
  if (index >= sizeOf(vector))
    return error(LATHE_INVALID_ARGUMENT, "%s %zu of %u", what, index,
                 sizeOf(vector));
  *element = vector->Get(static_cast<uint32_t>(index));
  return ok();
}

size_t lathe_dtype_size(lathe_dtype_t dtype) {
  return dtypeSize(static_cast<bundle::DType>(dtype));
}

const char *lathe_dtype_name(lathe_dtype_t dtype) {
  static const char *const names[] = {
      "none", "bool", "i8",  "u8",   "i16", "u16", "i32",    "u32",
      "i64",  "u64",  "f16", "bf16", "f32", "f64", "f8e4m3", "f8e5m2"};
  auto index = static_cast<unsigned>(dtype);
  return names[index < sizeof(names) / sizeof(names[0]) ? index : 0];
}

lathe_status_t lathe_bundle_open(const char *path,
                                 const lathe_bundle_options_t *options,
                                 lathe_bundle_t **result) {
  return lathe_bundle_t::open(path, options, result).release();
}

lathe_status_t lathe_bundle_from_memory(const void *data, size_t size,
                                        const lathe_bundle_options_t *options,
                                        lathe_bundle_t **result) {
  return lathe_bundle_t::fromMemory(data, size, options, result).release();
}

lathe_status_t lathe_bundle_verify(const lathe_bundle_t *self) {
  return annotate(self->verifyAll(), "%s", self->name()).release();
}

void lathe_bundle_destroy(lathe_bundle_t *self) {
  if (self)
    self->release();
}

lathe_status_t lathe_bundle_info(const lathe_bundle_t *self,
                                 lathe_bundle_info_t *info) {
  const bundle::Manifest &manifest = self->manifest();
  lathe_bundle_info_t value = LATHE_INIT(lathe_bundle_info_t);
  value.version = manifest.version();
  value.producer = textOf(manifest.producer());
  value.model = textOf(manifest.model());
  value.file_size = self->fileSize();
  value.manifest_size = self->manifestSize();
  value.num_provenance = sizeOf(manifest.provenance());
  value.num_entries = self->numEntries();
  value.num_constants = sizeOf(manifest.constants());
  value.num_segments = sizeOf(manifest.segments());
  value.num_variants = sizeOf(manifest.variants());
  return copyInfo(value, "lathe_bundle_info_t", info).release();
}

static Status getProvenance(const lathe_bundle_t *self, size_t index,
                            lathe_key_value_t *pair) {
  const bundle::KeyValue *fact;
  LATHE_TRY(at(self->manifest().provenance(), index, "provenance", &fact));
  lathe_key_value_t value = {sizeof(value), textOf(fact->key()),
                             textOf(fact->value())};
  return copyInfo(value, "lathe_key_value_t", pair);
}

lathe_status_t lathe_bundle_provenance(const lathe_bundle_t *self, size_t index,
                                       lathe_key_value_t *pair) {
  return getProvenance(self, index, pair).release();
}

size_t lathe_bundle_t::numEntries() const {
  uint32_t count = 0;
  while (count < sizeOf(root->entries()) &&
         !root->entries()->Get(count)->internal())
    ++count;
  return count;
}

static Status getEntry(const lathe_bundle_t *self, size_t index,
                       lathe_entry_info_t *info) {
  const bundle::Entry *entry;
  if (index >= self->numEntries())
    return error(LATHE_INVALID_ARGUMENT, "entry %zu of %zu", index,
                 self->numEntries());
  LATHE_TRY(at(self->manifest().entries(), index, "entry", &entry));
  lathe_entry_info_t value = LATHE_INIT(lathe_entry_info_t);
  value.name = textOf(entry->name());
  value.num_symbols = sizeOf(entry->symbols());
  value.num_input_symbols = self->entryText(index).numInputSymbols;
  value.num_inputs = sizeOf(entry->inputs());
  value.num_outputs = sizeOf(entry->outputs());
  return copyInfo(value, "lathe_entry_info_t", info);
}

lathe_status_t lathe_bundle_entry(const lathe_bundle_t *self, size_t entry,
                                  lathe_entry_info_t *info) {
  return getEntry(self, entry, info).release();
}

static Status findEntry(const lathe_bundle_t *self, const char *name,
                        size_t *result) {
  const auto *entries = self->manifest().entries();
  Text<512> there;
  for (uint32_t i = 0; i < self->numEntries(); ++i) {
    const char *candidate = textOf(entries->Get(i)->name());
    if (strcmp(candidate, name) == 0) {
      *result = i;
      return ok();
    }
    there.separate();
    there.add("'%s'", candidate);
  }
  return error(LATHE_NOT_FOUND, "%s: no entry '%s'; there are: %s",
               self->name(), name, there.c_str());
}

lathe_status_t lathe_bundle_find_entry(const lathe_bundle_t *self,
                                       const char *name, size_t *entry) {
  return findEntry(self, name, entry).release();
}

const char *lathe_bundle_symbol(const lathe_bundle_t *self, size_t index,
                                size_t symbol) {
  if (index >= sizeOf(self->manifest().entries()))
    return nullptr;
  const auto *symbols =
      self->manifest().entries()->Get(static_cast<uint32_t>(index))->symbols();
  if (symbol >= sizeOf(symbols))
    return nullptr;
  return textOf(symbols->Get(static_cast<uint32_t>(symbol)));
}

static Status getTensor(const lathe_bundle_t *self, size_t entryIndex,
                        size_t index, bool isInput, lathe_tensor_info_t *info) {
  const bundle::Entry *entry;
  const bundle::TensorInfo *tensor;
  LATHE_TRY(at(self->manifest().entries(), entryIndex, "entry", &entry));
  LATHE_TRY(at(isInput ? entry->inputs() : entry->outputs(), index,
               isInput ? "input" : "output", &tensor));
  const auto &texts = self->entryText(entryIndex);
  Span<const lathe_dim_t> dims =
      (isInput ? texts.inputs : texts.outputs)[index];
  lathe_tensor_info_t value = LATHE_INIT(lathe_tensor_info_t);
  value.name = textOf(tensor->name());
  value.dtype = static_cast<lathe_dtype_t>(tensor->dtype());
  value.rank = static_cast<uint32_t>(dims.size());
  value.dims = dims.data();
  return copyInfo(value, "lathe_tensor_info_t", info);
}

lathe_status_t lathe_bundle_input(const lathe_bundle_t *self, size_t entry,
                                  size_t input, lathe_tensor_info_t *info) {
  return getTensor(self, entry, input, true, info).release();
}

lathe_status_t lathe_bundle_output(const lathe_bundle_t *self, size_t entry,
                                   size_t output, lathe_tensor_info_t *info) {
  return getTensor(self, entry, output, false, info).release();
}

static Status getConstant(const lathe_bundle_t *self, size_t index,
                          lathe_constant_info_t *info) {
  const bundle::Constant *constant;
  LATHE_TRY(at(self->manifest().constants(), index, "constant", &constant));
  lathe_constant_info_t value = LATHE_INIT(lathe_constant_info_t);
  value.name = textOf(constant->name());
  value.encoding = textOf(constant->encoding());
  value.segment = constant->segment();
  value.offset = constant->offset();
  value.size = constant->size();
  return copyInfo(value, "lathe_constant_info_t", info);
}

lathe_status_t lathe_bundle_constant(const lathe_bundle_t *self,
                                     size_t constant,
                                     lathe_constant_info_t *info) {
  return getConstant(self, constant, info).release();
}

static Status getSegment(const lathe_bundle_t *self, size_t index,
                         lathe_segment_info_t *info) {
  const bundle::Segment *segment;
  LATHE_TRY(at(self->manifest().segments(), index, "segment", &segment));
  lathe_segment_info_t value = LATHE_INIT(lathe_segment_info_t);
  value.kind = segment->kind() == bundle::SegmentKind::Code ? "code" : "data";
  value.offset = segment->offset();
  value.size = segment->size();
  value.sha256 = segment->sha256()->data();
  value.data = self->segment(static_cast<uint32_t>(index)).data();
  return copyInfo(value, "lathe_segment_info_t", info);
}

lathe_status_t lathe_bundle_segment(const lathe_bundle_t *self, size_t segment,
                                    lathe_segment_info_t *info) {
  return getSegment(self, segment, info).release();
}

static Status getVariant(const lathe_bundle_t *self, size_t index,
                         lathe_variant_info_t *info) {
  const bundle::Variant *variant;
  LATHE_TRY(at(self->manifest().variants(), index, "variant", &variant));
  lathe_variant_info_t value = LATHE_INIT(lathe_variant_info_t);
  value.target = textOf(variant->target());
  value.level = textOf(variant->level());
  value.rank = variant->rank();
  value.code = variant->code();
  value.num_features = sizeOf(variant->features());
  value.num_kernels = sizeOf(variant->kernels());
  LATHE_TRY(self->findMissing(index, &value.missing));
  value.fits = *value.missing == 0;
  return copyInfo(value, "lathe_variant_info_t", info);
}

lathe_status_t lathe_bundle_variant(const lathe_bundle_t *self, size_t variant,
                                    lathe_variant_info_t *info) {
  return getVariant(self, variant, info).release();
}

const char *lathe_bundle_variant_feature(const lathe_bundle_t *self,
                                         size_t index, size_t feature) {
  if (index >= sizeOf(self->manifest().variants()))
    return nullptr;
  const auto *features = self->manifest()
                             .variants()
                             ->Get(static_cast<uint32_t>(index))
                             ->features();
  if (feature >= sizeOf(features))
    return nullptr;
  return textOf(features->Get(static_cast<uint32_t>(feature)));
}

static Status findKernel(const lathe_bundle_t *self, size_t variantIndex,
                         size_t index, const bundle::Kernel **kernel) {
  const bundle::Variant *variant;
  LATHE_TRY(at(self->manifest().variants(), variantIndex, "variant", &variant));
  return at(variant->kernels(), index, "kernel", kernel);
}

static const char *nameOf(bundle::GridKind kind) {
  switch (kind) {
  case bundle::GridKind::Plain:
    break;
  case bundle::GridKind::Given:
    return "given";
  case bundle::GridKind::Persistent:
    return "persistent";
  }
  return "plain";
}

static Status getKernel(const lathe_bundle_t *self, size_t variant,
                        size_t index, lathe_kernel_info_t *info) {
  const bundle::Kernel *kernel;
  LATHE_TRY(findKernel(self, variant, index, &kernel));
  lathe_kernel_info_t value = LATHE_INIT(lathe_kernel_info_t);
  value.symbol = textOf(kernel->symbol());
  value.schedule = textOf(kernel->schedule());
  value.workload = textOf(kernel->workload());
  value.num_buffers = kernel->buffers();
  value.num_scalars = kernel->scalars();
  value.threads = kernel->threads();
  value.shared_bytes = kernel->shared();
  value.cluster = kernel->cluster();
  value.grid = nameOf(kernel->grid());
  value.num_tensor_maps = sizeOf(kernel->maps());
  return copyInfo(value, "lathe_kernel_info_t", info);
}

static Status getTensorMap(const lathe_bundle_t *self, size_t variant,
                           size_t kernelIndex, size_t index,
                           lathe_tensor_map_info_t *info) {
  const bundle::Kernel *kernel;
  const bundle::TensorMap *map;
  LATHE_TRY(findKernel(self, variant, kernelIndex, &kernel));
  LATHE_TRY(at(kernel->maps(), index, "tensor map", &map));
  lathe_tensor_map_info_t value = LATHE_INIT(lathe_tensor_map_info_t);
  value.buffer = map->buffer();
  value.dtype = static_cast<lathe_dtype_t>(map->dtype());
  value.rank = sizeOf(map->box());
  for (uint32_t d = 0; d < value.rank; ++d)
    value.box[d] = map->box()->Get(d);
  value.swizzle = map->swizzle();
  return copyInfo(value, "lathe_tensor_map_info_t", info);
}

lathe_status_t lathe_bundle_kernel(const lathe_bundle_t *self, size_t variant,
                                   size_t kernel, lathe_kernel_info_t *info) {
  return getKernel(self, variant, kernel, info).release();
}

lathe_status_t lathe_bundle_tensor_map(const lathe_bundle_t *self,
                                       size_t variant, size_t kernel,
                                       size_t map,
                                       lathe_tensor_map_info_t *info) {
  return getTensorMap(self, variant, kernel, map, info).release();
}
