// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_RUNTIME_EXEC_MODEL_H
#define LATHE_RUNTIME_EXEC_MODEL_H

#include "runtime/base/sync.h"
#include "runtime/bundle/bundle.h"
#include "runtime/device/device.h"
#include "runtime/exec/program.h"

namespace lathe::rt {
class Context;
}

/// A bundle with the code of one variant loaded. Held by its creator and by
/// results that are out. Immutable but for the list of idle contexts.
struct lathe_model_t {
public:
  static lathe::rt::Status create(const lathe_bundle_t *bundle,
                                  const lathe_model_options_t *options,
                                  lathe_model_t **model);
  void retain() const { holders.retain(); }
  void release() const;

  const lathe_bundle_t &bundle() const { return *source; }
  const lathe::rt::Allocator &memory() const { return allocator; }
  const lathe::rt::Executable &executable() const { return *code; }
  const lathe::rt::DeviceType &deviceType() const { return *type; }
  lathe::rt::Device &device() const { return *opened; }
  uint32_t variant() const { return variantIndex; }
  const lathe::bundle::Variant &variantTable() const;
  uint32_t numThreads() const { return opened->numThreads; }
  /// Where kernels read a constant.
  uint8_t *constant(uint32_t index) const {
    // Verified: no step writes to constants.
    return constants.size() ? constants[index]
                            : const_cast<uint8_t *>(source->constant(index));
  }
  uint64_t constantBytes() const { return uploadedBytes; }
  bool isGuarded() const { return guarded; }
  /// Which of several kernels for the same sizes a launch takes.
  uint32_t alternative() const { return alternativeIndex; }
  /// Entries that callers see; internal ones stand after them.
  size_t numEntries() const { return source->numEntries(); }
  const lathe::rt::ProgramPlan &plan(size_t entry) const {
    return plans[entry];
  }

  /// A context for one run of an entry, used before if one is idle. A run that
  /// is queued to `stream` may take one that the stream's capture has already.
  lathe::rt::Status acquire(size_t entry, void *stream,
                            lathe::rt::Context **context) const;
  void giveBack(lathe::rt::Context *context) const;
  /// A context that is its caller's to destroy. It queues to `queue`; without
  /// one, to one of its own if the device has queues.
  lathe::rt::Status createContext(size_t entry, lathe::rt::Queue *queue,
                                  lathe::rt::Context **context) const;

  // For newObject.
  explicit lathe_model_t(const lathe::rt::Allocator &allocator)
      : allocator(allocator) {}
  ~lathe_model_t();

private:
  lathe::rt::Status load(const lathe_model_options_t &options);
  lathe::rt::Status chooseVariant(const lathe_model_options_t &options);
  bool hasCodeFor(const lathe::rt::DeviceType &candidate,
                  const char *level) const;
  lathe::rt::Status tryDevices(const lathe::rt::DeviceType &candidate,
                               lathe::rt::DeviceOptions how, const char *level);
  bool takeBestVariant(const lathe::rt::DeviceType &candidate,
                       const lathe::rt::Device &device, const char *level);
  lathe::rt::Status noVariantFits(const lathe_model_options_t &options,
                                  const lathe::rt::DeviceType *wanted,
                                  const lathe::rt::DeviceOptions &how) const;
  lathe::rt::Status findMissing(uint32_t variant,
                                const lathe::rt::DeviceType *wanted,
                                const lathe::rt::DeviceOptions &how,
                                lathe::rt::Text<512> *missing) const;
  lathe::rt::Status loadCode();
  lathe::rt::Status uploadConstants();

  lathe::rt::Allocator allocator;
  lathe::rt::RefCount holders;
  const lathe_bundle_t *source = nullptr;
  const lathe::rt::DeviceType *type = nullptr;
  lathe::rt::Device *opened = nullptr;
  uint32_t variantIndex = 0;
  bool guarded = false;
  uint32_t alternativeIndex = 0;
  lathe::rt::Executable *code = nullptr;
  lathe::rt::Array<lathe::rt::ProgramPlan> plans;
  // Of a device with memory of its own.
  lathe::rt::Queue *uploads = nullptr;
  void *uploaded = nullptr;
  uint64_t uploadedBytes = 0;
  lathe::rt::Array<uint8_t *> constants;

  mutable lathe::rt::Mutex mutex;
  // Lists, one per entry.
  mutable lathe::rt::Array<lathe::rt::Context *> idle;
  mutable lathe::rt::Array<lathe::rt::Context *> held; // by graphs
};

#endif // LATHE_RUNTIME_EXEC_MODEL_H
