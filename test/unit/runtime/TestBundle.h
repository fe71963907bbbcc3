// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Bundles made by hand: a manifest through FlatBuffers' object API, kernels
// written in C and compiled by clang when the test runs.

#ifndef LATHE_TEST_UNIT_RUNTIME_TESTBUNDLE_H
#define LATHE_TEST_UNIT_RUNTIME_TESTBUNDLE_H

#include "lathe-c/runtime.h"
#include "runtime/bundle/format.h"
#include "runtime/bundle/schema.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lathe::test {

using Bytes = std::vector<uint8_t>;

/// A shared object with the given C source, compiled with `flags`.
Bytes compileC(const std::string &source,
               const std::string &flags = "-O2 -nostdlib");

/// Kernels that most tests share, compiled once:
///   add(x, y -> z), scale(x -> y; factor), both per element with n as scalar;
///   iota(-> x), fill(-> x; value): i64.
const Bytes &commonKernels();

/// Bytes at a multiple of 64, as lathe_bundle_from_memory wants them.
class AlignedBytes {
public:
  AlignedBytes() = default;
  explicit AlignedBytes(const Bytes &bytes);
  uint8_t *data() const { return memory.get(); }
  size_t size() const { return count; }

private:
  struct Free {
    void operator()(uint8_t *memory) const { free(memory); }
  };
  std::unique_ptr<uint8_t[], Free> memory;
  size_t count = 0;
};

/// A bundle with one entry and one variant under construction. Members are
/// public: tests of refusals break them.
class TestBundle {
public:
  TestBundle();

  // Expressions.
  int32_t constant(int64_t value);
  int32_t symbol(const std::string &name);
  int32_t binary(bundle::ExprOp op, int32_t lhs, int32_t rhs);

  // The entry's signature; both return the buffer.
  uint32_t input(const std::string &name, bundle::DType dtype,
                 std::vector<int32_t> dims);
  uint32_t transient(bundle::DType dtype, std::vector<int32_t> dims);
  uint32_t alias(uint32_t source, bundle::DType dtype,
                 std::vector<int32_t> dims, int32_t offset = -1);
  uint32_t weight(bundle::DType dtype, std::vector<int32_t> dims,
                  const void *data, size_t size);
  void output(const std::string &name, uint32_t buffer);

  // Steps.
  uint32_t kernel(const std::string &symbol, uint32_t buffers,
                  uint32_t scalars);
  bundle::LaunchT &launch(uint32_t kernel, int32_t programs,
                          std::vector<int32_t> scalars,
                          std::vector<uint32_t> reads,
                          std::vector<uint32_t> writes,
                          const std::string &label = "step");
  bundle::BuiltinCallT &builtin(const std::string &callee,
                                std::vector<uint32_t> reads,
                                std::vector<uint32_t> writes,
                                std::vector<uint32_t> binds = {});
  void bind(uint32_t symbol, uint32_t source, uint64_t element);
  bundle::CheckT &check(std::vector<int32_t> conditions,
                        const std::string &message);

  /// Runs the first of `callees`, with conditions each, that holds.
  bundle::CallT &
  call(std::vector<std::pair<uint32_t, std::vector<int32_t>>> callees,
       std::vector<int32_t> symbols, std::vector<uint32_t> reads,
       std::vector<uint32_t> writes, std::vector<uint32_t> binds = {});
  bundle::LoopT &loop(uint32_t body, std::vector<int32_t> symbols,
                      std::vector<uint32_t> carried,
                      std::vector<uint32_t> reads, std::vector<uint32_t> writes,
                      std::vector<uint32_t> binds = {});

  /// From here on everything goes to a new internal entry, which is returned.
  uint32_t beginEntry(uint32_t given);
  uint32_t current = 0; ///< The entry that is built.

  bundle::EntryT &entry() { return *manifest.entries[current]; }
  bundle::VariantT &variant() { return *manifest.variants[0]; }
  bundle::ProgramT &program() { return *variant().programs[current]; }

  /// The file: header, data segment, code segment, manifest, with right hashes.
  Bytes write() const;

  bundle::ManifestT manifest;
  std::optional<Bytes> code; ///< commonKernels() if none is given.
  Bytes data;

private:
  int32_t add(const bundle::Expr &expr);
  /// A step that reads, writes and binds.
  template <typename Step>
  Step &addCall(Step step, std::vector<uint32_t> reads,
                std::vector<uint32_t> writes, std::vector<uint32_t> binds,
                const std::string &label);
};

/// Hashes the manifest anew, after a test has changed a byte of it.
void rehashManifest(uint8_t *file, size_t size);

/// Adds an option to a built-in call.
void setOption(bundle::BuiltinCallT &call, const std::string &name,
               int64_t value);
void setOption(bundle::BuiltinCallT &call, const std::string &name,
               const std::string &value);
void setOption(bundle::BuiltinCallT &call, const std::string &name,
               std::vector<int64_t> values);
void setOption(bundle::BuiltinCallT &call, const std::string &name,
               std::vector<double> values);

//===----------------------------------------------------------------------===//
// The C API with owners
//===----------------------------------------------------------------------===//

struct Destroy {
  void operator()(lathe_bundle_t *p) const { lathe_bundle_destroy(p); }
  void operator()(lathe_model_t *p) const { lathe_model_destroy(p); }
  void operator()(lathe_results_t *p) const { lathe_results_destroy(p); }
  void operator()(lathe_profile_t *p) const { lathe_profile_destroy(p); }
};
using BundlePtr = std::unique_ptr<lathe_bundle_t, Destroy>;
using ModelPtr = std::unique_ptr<lathe_model_t, Destroy>;
using ResultsPtr = std::unique_ptr<lathe_results_t, Destroy>;
using ProfilePtr = std::unique_ptr<lathe_profile_t, Destroy>;

/// The message of a status, "" for success; destroys it.
std::string take(lathe_status_t status);

/// A bundle that owns its bytes, every hash checked; failures fail the test.
struct OpenedBundle {
  explicit OpenedBundle(const TestBundle &source);
  AlignedBytes bytes;
  BundlePtr bundle;
};

/// And a model of it.
struct LoadedModel : OpenedBundle {
  explicit LoadedModel(const TestBundle &source, uint32_t threads = 1);
  ModelPtr model;
};

/// What making a model of `bundle` comes to; the model is thrown away.
lathe_status_t createModel(const OpenedBundle &bundle,
                           const lathe_model_options_t *options = nullptr);

/// A tensor with its own data and dims.
template <typename T> struct Tensor {
  std::vector<int64_t> dims;
  std::vector<T> data;
  lathe_tensor_t view();
};

template <typename T> lathe_dtype_t dtypeOf();
template <> inline lathe_dtype_t dtypeOf<float>() { return LATHE_DTYPE_F32; }
template <> inline lathe_dtype_t dtypeOf<double>() { return LATHE_DTYPE_F64; }
template <> inline lathe_dtype_t dtypeOf<int64_t>() { return LATHE_DTYPE_I64; }
template <> inline lathe_dtype_t dtypeOf<int32_t>() { return LATHE_DTYPE_I32; }
template <> inline lathe_dtype_t dtypeOf<uint8_t>() { return LATHE_DTYPE_U8; }

template <typename T> lathe_tensor_t Tensor<T>::view() {
  return {data.data(), dtypeOf<T>(),      static_cast<uint32_t>(dims.size()),
          dims.data(), LATHE_MEMORY_HOST, 0};
}

/// The elements of a result.
template <typename T> std::vector<T> elements(const lathe_tensor_t &tensor) {
  int64_t count = 1;
  for (uint32_t i = 0; i < tensor.rank; ++i)
    count *= tensor.dims[i];
  const T *data = static_cast<const T *>(tensor.data);
  return std::vector<T>(data, data + count);
}

} // namespace lathe::test

#endif // LATHE_TEST_UNIT_RUNTIME_TESTBUNDLE_H
