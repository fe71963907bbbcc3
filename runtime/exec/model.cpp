// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/exec/model.h"

#include "runtime/base/options.h"
#include "runtime/base/text.h"
#include "runtime/exec/context.h"

#include <cstring>

using namespace lathe::rt;
namespace bundle = lathe::bundle;

Status lathe_model_t::create(const lathe_bundle_t *bundle,
                             const lathe_model_options_t *options,
                             lathe_model_t **result) {
  lathe_model_options_t copy;
  LATHE_TRY(copyOptions(options, "lathe_model_options_t", &copy));
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
  for (Context *&list : idle)
    while (Context *context = list) {
      list = context->next;
      context->destroy();
    }
  if (code)
    code->destroy();
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
  threads = options.num_threads ? options.num_threads : type->defaultThreads();
  alternativeIndex = options.alternative;
  LATHE_TRY(
      annotate(loadCode(), "variant '%s'", textOf(variantTable().level())));
  const auto *entries = source->manifest().entries();
  LATHE_TRY(plans.allocate(allocator, sizeOf(entries)));
  LATHE_TRY(idle.allocate(allocator, sizeOf(entries)));
  for (uint32_t i = 0; i < sizeOf(entries); ++i)
    LATHE_TRY(annotate(plans[i].create(allocator, *entries->Get(i),
                                       *variantTable().programs()->Get(i)),
                       "entry '%s'", textOf(entries->Get(i)->name())));
  return ok();
}

Status lathe_model_t::chooseVariant(const lathe_model_options_t &options) {
  const auto *variants = source->manifest().variants();
  for (const DeviceType *device : deviceTypes()) {
    if (options.device && strcmp(options.device, device->name) != 0)
      continue;
    for (uint32_t i = 0; i < sizeOf(variants); ++i) {
      const bundle::Variant &variant = *variants->Get(i);
      if (strcmp(textOf(variant.target()), device->target) != 0 ||
          *source->missing(i) != 0 ||
          (options.variant &&
           strcmp(options.variant, textOf(variant.level())) != 0))
        continue;
      if (type && variant.rank() <= variantTable().rank())
        continue;
      type = device;
      variantIndex = i;
    }
    if (type)
      return ok();
  }
  return noVariantFits(options);
}

/// Says which devices or variants there are, and what each lacks here.
Status
lathe_model_t::noVariantFits(const lathe_model_options_t &options) const {
  Text<256> devices;
  bool known = !options.device;
  for (const DeviceType *device : deviceTypes()) {
    known |= options.device && strcmp(options.device, device->name) == 0;
    devices.separate();
    devices.add("'%s'", device->name);
  }
  if (!known)
    return error(LATHE_NOT_FOUND, "no device '%s'; there are: %s",
                 options.device, devices.c_str());

  Text<1024> there;
  const auto *variants = source->manifest().variants();
  for (uint32_t i = 0; i < sizeOf(variants); ++i) {
    const char *missing = source->missing(i);
    there.separate();
    there.add("%s '%s' (%s%s)", textOf(variants->Get(i)->target()),
              textOf(variants->Get(i)->level()),
              *missing ? "lacking here: " : "fits", missing);
  }
  if (there.empty())
    there.add("none");
  if (options.variant)
    return error(LATHE_INCOMPATIBLE,
                 "variant '%s' is not there or does not fit; there are: %s",
                 options.variant, there.c_str());
  return error(LATHE_INCOMPATIBLE,
               "no variant fits this machine; there are: %s", there.c_str());
}

Status lathe_model_t::loadCode() {
  const bundle::Variant &variant = variantTable();
  for (uint32_t i = 0; i < sizeOf(variant.features()); ++i)
    LATHE_TRY(type->enableFeature(textOf(variant.features()->Get(i))));
  LATHE_TRY(type->load(allocator, source->segment(variant.code()),
                       sizeOf(variant.kernels()), threads, &code));
  for (uint32_t i = 0; i < sizeOf(variant.kernels()); ++i)
    LATHE_TRY(code->bindKernel(i, textOf(variant.kernels()->Get(i)->symbol())));
  return ok();
}

//===----------------------------------------------------------------------===//
// Contexts
//===----------------------------------------------------------------------===//

Status lathe_model_t::acquire(size_t entry, Context **result) const {
  if (entry >= numEntries())
    return error(LATHE_INVALID_ARGUMENT, "entry %zu of %zu", entry,
                 numEntries());
  {
    Lock lock(mutex);
    if (Context *context = idle[entry]) {
      idle[entry] = context->next;
      *result = context;
      return ok();
    }
  }
  return createContext(entry, result);
}

Status lathe_model_t::createContext(size_t entry, Context **result) const {
  Context *context;
  LATHE_TRY(newObject(allocator, &context, *this, entry));
  Status status = context->create();
  if (status.failed()) {
    context->destroy();
    return status;
  }
  *result = context;
  return ok();
}

void lathe_model_t::giveBack(Context *context) const {
  Lock lock(mutex);
  context->next = idle[context->entry()];
  idle[context->entry()] = context;
}
