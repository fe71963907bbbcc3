// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/exec/model.h"

#include "runtime/base/options.h"
#include "runtime/base/text.h"
#include "runtime/bundle/bundle.h"
#include "runtime/exec/context.h"

#include <cstring>

using namespace lathe::rt;
namespace bundle = lathe::bundle;

Status lathe_model_t::create(const lathe_bundle_t *bundle,
                             const lathe_model_options_t *options,
                             lathe_model_t **result) {
  lathe_model_options_t copy;
  LATHE_TRY(readOptions(options, "lathe_model_options_t", &copy));
  Allocator allocator;
  LATHE_TRY(Allocator::fromC(copy.allocator, &allocator));
  lathe_model_t *model;
  LATHE_TRY(newObject(allocator, &model));
  bundle->retain();
  model->source = bundle;
  Status status = model->load(copy);
  if (status.failed()) {
    model->release();
    return annotate(static_cast<Status &&>(status), "%s", bundle->name());
  }
  *result = model;
  return ok();
}

lathe_model_t::~lathe_model_t() {
  for (auto *lists : {&idle, &held})
    for (Context *&list : *lists)
      while (Context *context = list) {
        list = context->next;
        context->destroy();
      }
  if (uploads) {
    uploads->deallocate(uploaded);
    // Pools of a device keep what nobody waited for.
    Status done = uploads->wait();
    (void)done;
    uploads->destroy();
  }
  if (code)
    code->destroy();
  if (opened)
    opened->destroy();
  source->release();
}

void lathe_model_t::release() const {
  if (holders.release())
    deleteObject(allocator, const_cast<lathe_model_t *>(this));
}

const bundle::Variant &lathe_model_t::variantTable() const {
  return *source->manifest().variants()->Get(variantIndex);
}

//===----------------------------------------------------------------------===//
// Loading
//===----------------------------------------------------------------------===//

Status lathe_model_t::load(const lathe_model_options_t &options) {
  LATHE_TRY(chooseVariant(options));
  guarded = options.guard != 0;
  if (guarded && opened->memory != LATHE_MEMORY_HOST)
    return error(LATHE_UNIMPLEMENTED,
                 "device '%s': launches can be guarded in host memory only; "
                 "the vendor's tool (compute-sanitizer) does it here",
                 type->name);
  alternativeIndex = options.alternative;
  LATHE_TRY(
      annotate(loadCode(), "variant '%s'", textOf(variantTable().level())));
  const auto *entries = source->manifest().entries();
  LATHE_TRY(plans.allocate(allocator, sizeOf(entries)));
  LATHE_TRY(idle.allocate(allocator, sizeOf(entries)));
  LATHE_TRY(held.allocate(allocator, sizeOf(entries)));
  for (uint32_t i = 0; i < sizeOf(entries); ++i)
    LATHE_TRY(annotate(plans[i].create(allocator, *entries->Get(i),
                                       *variantTable().programs()->Get(i)),
                       "entry '%s'", textOf(entries->Get(i)->name())));
  // Internal entries stand after those that call them.
  for (size_t i = plans.size(); i-- > 0;)
    plans[i].addHostStepsOfCallees({plans.data(), plans.size()});
  LATHE_TRY(opened->createQueue(&uploads));
  return uploads ? annotate(uploadConstants(), "weights") : ok();
}

/// Takes the first device, in the order of preference, that a variant fits.
/// Only drivers of devices that the bundle has code for are loaded.
Status lathe_model_t::chooseVariant(const lathe_model_options_t &options) {
  const DeviceType *wanted = nullptr;
  DeviceOptions how;
  how.index = -1;
  how.numThreads = options.num_threads;
  how.adoptContext = options.adopt_context != 0;
  if (options.device)
    LATHE_TRY(parseDeviceName(options.device, &wanted, &how.index));
  for (const DeviceType *candidate : deviceTypes()) {
    // Launches can be guarded in host memory only.
    bool isUnfit = options.guard && candidate->memory != LATHE_MEMORY_HOST;
    if (wanted ? wanted != candidate : isUnfit)
      continue;
    if (!hasCodeFor(*candidate, options.variant))
      continue;
    Status status = tryDevices(*candidate, how, options.variant);
    if (opened)
      return ok();
    if (status.failed() && (wanted || status.code() == LATHE_OUT_OF_MEMORY))
      return status;
  }
  return noVariantFits(options, wanted, how);
}

/// Opens devices of a type, that one or one after the other, until a variant
/// fits one.
Status lathe_model_t::tryDevices(const DeviceType &candidate, DeviceOptions how,
                                 const char *level) {
  uint32_t end = 1;
  if (how.index >= 0)
    end = static_cast<uint32_t>(how.index) + 1;
  else
    LATHE_TRY(candidate.count(&end));
  for (how.index = how.index < 0 ? 0 : how.index;
       static_cast<uint32_t>(how.index) < end; ++how.index) {
    Device *device = nullptr;
    LATHE_TRY(candidate.open(allocator, how, &device));
    if (takeBestVariant(candidate, *device, level)) {
      opened = device;
      return ok();
    }
    device->destroy();
  }
  return ok();
}

/// For this level, or for any if it is NULL.
bool lathe_model_t::hasCodeFor(const DeviceType &candidate,
                               const char *level) const {
  const auto *variants = source->manifest().variants();
  for (uint32_t i = 0; i < sizeOf(variants); ++i)
    if (strcmp(textOf(variants->Get(i)->target()), candidate.target) == 0 &&
        (!level || strcmp(textOf(variants->Get(i)->level()), level) == 0))
      return true;
  return false;
}

bool lathe_model_t::takeBestVariant(const DeviceType &candidate,
                                    const Device &device, const char *level) {
  const auto *variants = source->manifest().variants();
  for (uint32_t i = 0; i < sizeOf(variants); ++i) {
    const bundle::Variant &variant = *variants->Get(i);
    if (strcmp(textOf(variant.target()), candidate.target) != 0 ||
        !listMissing(variant, device).empty() ||
        (level && strcmp(level, textOf(variant.level())) != 0))
      continue;
    if (type && variant.rank() <= variantTable().rank())
      continue;
    type = &candidate;
    variantIndex = i;
  }
  return type != nullptr;
}

/// What a variant lacks on the device that was asked for, or on the first of
/// its kind.
Status lathe_model_t::findMissing(uint32_t index, const DeviceType *wanted,
                                  const DeviceOptions &how,
                                  Text<512> *missing) const {
  const bundle::Variant &variant = *source->manifest().variants()->Get(index);
  if (!wanted || how.index < 0 ||
      wanted != findDeviceForTarget(textOf(variant.target()))) {
    const char *text;
    LATHE_TRY(source->findMissing(index, &text));
    missing->add("%s", text);
    return ok();
  }
  Device *device = nullptr;
  LATHE_TRY(wanted->open(allocator, how, &device));
  *missing = listMissing(variant, *device);
  device->destroy();
  return ok();
}

/// Says which variants there are, and what each lacks here.
Status lathe_model_t::noVariantFits(const lathe_model_options_t &options,
                                    const DeviceType *wanted,
                                    const DeviceOptions &how) const {
  Text<1024> there;
  const auto *variants = source->manifest().variants();
  for (uint32_t i = 0; i < sizeOf(variants); ++i) {
    Text<512> missing;
    LATHE_TRY(findMissing(i, wanted, how, &missing));
    there.separate();
    there.add("%s '%s' (%s%s)", textOf(variants->Get(i)->target()),
              textOf(variants->Get(i)->level()),
              missing.empty() ? "fits" : "lacking here: ", missing.c_str());
  }
  if (there.empty())
    there.add("none");
  if (wanted && !hasCodeFor(*wanted, nullptr))
    return error(LATHE_INCOMPATIBLE,
                 "no variant is for device '%s'; there are: %s", wanted->name,
                 there.c_str());
  if (options.variant)
    return error(
        LATHE_INCOMPATIBLE,
        "variant '%s' is not there%s%s%s or does not fit; there are: %s",
        options.variant, wanted ? " for device '" : "",
        wanted ? wanted->name : "", wanted ? "'" : "", there.c_str());
  return error(
      LATHE_INCOMPATIBLE, "no variant fits this machine%s; there are: %s",
      options.guard ? " and works in host memory, which 'guard' takes" : "",
      there.c_str());
}

Status lathe_model_t::loadCode() {
  const bundle::Variant &variant = variantTable();
  for (uint32_t i = 0; i < sizeOf(variant.features()); ++i)
    LATHE_TRY(opened->enableFeature(textOf(variant.features()->Get(i))));
  LATHE_TRY(opened->load(source->segment(variant.code()),
                         sizeOf(variant.kernels()), &code));
  for (uint32_t i = 0; i < sizeOf(variant.kernels()); ++i)
    LATHE_TRY(code->bindKernel(i, *variant.kernels()->Get(i)));
  return ok();
}

//===----------------------------------------------------------------------===//
// Contexts
//===----------------------------------------------------------------------===//

Status lathe_model_t::acquire(size_t entry, void *stream,
                              Context **result) const {
  if (entry >= numEntries())
    return error(LATHE_INVALID_ARGUMENT, "entry %zu of %zu", entry,
                 numEntries());
  {
    Lock lock(mutex);
    for (Context **link = &held[entry]; stream && *link;
         link = &(*link)->next) {
      Context *context = *link;
      if (!context->isHeldFor(stream))
        continue;
      *link = context->next;
      *result = context;
      return ok();
    }
    if (Context *context = idle[entry]) {
      idle[entry] = context->next;
      *result = context;
      return ok();
    }
  }
  return createContext(entry, nullptr, result);
}

Status lathe_model_t::createContext(size_t entry, Queue *queue,
                                    Context **result) const {
  Context *context;
  LATHE_TRY(newObject(allocator, &context, *this, entry));
  Status status = context->create(queue);
  if (status.failed()) {
    context->destroy();
    return status;
  }
  *result = context;
  return ok();
}

void lathe_model_t::giveBack(Context *context) const {
  Lock lock(mutex);
  auto &list = (context->isHeld() ? held : idle)[context->entry()];
  context->next = list;
  list = context;
}
