// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The runtime's C API (lathe-c/runtime.h) for C++17: owners instead of destroy
// calls, exceptions instead of statuses. Nothing else is added; the C header
// says what each call does. Header-only: link the runtime's C library.
//
//   lathe::Bundle bundle("model.lathe");
//   lathe::Model model(bundle);
//   std::vector<float> x(128);
//   lathe::Results y = model.run({lathe::Tensor(x.data(), {1, 128})});
//   const float *first = y[0].data<float>();

#ifndef LATHE_RUNTIME_HPP
#define LATHE_RUNTIME_HPP

#include "lathe-c/runtime.h"

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace lathe {

/// A call that failed: what() is the message, code() the kind.
class Error : public std::runtime_error {
public:
  Error(lathe_code_t code, const std::string &message)
      : std::runtime_error(message), kind(code) {}
  lathe_code_t code() const { return kind; }

private:
  lathe_code_t kind;
};

/// Throws what `status` says, if anything, and destroys it.
inline void check(lathe_status_t status) {
  if (!status)
    return;
  Error error(lathe_status_code(status), lathe_status_message(status));
  lathe_status_destroy(status);
  throw error;
}

/// The dtype of a C++ type. f16 and bf16 have none: give them by number.
template <typename T> struct DtypeOf;
#define LATHE_DTYPE_OF(type, name)                                             \
  template <> struct DtypeOf<type> {                                           \
    static constexpr lathe_dtype_t value = LATHE_DTYPE_##name;                 \
  };
LATHE_DTYPE_OF(bool, BOOL)
LATHE_DTYPE_OF(int8_t, I8)
LATHE_DTYPE_OF(uint8_t, U8)
LATHE_DTYPE_OF(int16_t, I16)
LATHE_DTYPE_OF(uint16_t, U16)
LATHE_DTYPE_OF(int32_t, I32)
LATHE_DTYPE_OF(uint32_t, U32)
LATHE_DTYPE_OF(int64_t, I64)
LATHE_DTYPE_OF(uint64_t, U64)
LATHE_DTYPE_OF(float, F32)
LATHE_DTYPE_OF(double, F64)
#undef LATHE_DTYPE_OF

/// Somebody else's elements, row-major, with a shape of its own.
class Tensor {
public:
  template <typename T>
  Tensor(T *data, std::vector<int64_t> dims)
      : Tensor(const_cast<std::remove_const_t<T> *>(data),
               DtypeOf<std::remove_const_t<T>>::value, std::move(dims)) {}
  Tensor(void *data, lathe_dtype_t dtype, std::vector<int64_t> dims)
      : address(data), type(dtype), shape(std::move(dims)) {}

  /// The same elements, said to be in memory of a device.
  Tensor in(lathe_memory_t kind, int32_t index = 0) && {
    where = kind;
    deviceIndex = index;
    return std::move(*this);
  }
  lathe_memory_t memory() const { return where; }

  lathe_dtype_t dtype() const { return type; }
  const std::vector<int64_t> &dims() const { return shape; }
  /// How many elements there are.
  int64_t size() const {
    int64_t count = 1;
    for (int64_t dim : shape)
      count *= dim;
    return count;
  }
  void *data() const { return address; }
  /// Throws unless T is the type of the elements and the host can read them.
  template <typename T> T *data() const {
    if (where != LATHE_MEMORY_HOST)
      throw Error(LATHE_INVALID_ARGUMENT,
                  "the tensor is in the memory of a device");
    if (DtypeOf<std::remove_const_t<T>>::value != type)
      throw Error(LATHE_INVALID_ARGUMENT,
                  std::string("the tensor holds ") + lathe_dtype_name(type));
    return static_cast<T *>(address);
  }

  /// Valid as long as this object is neither changed nor moved.
  lathe_tensor_t raw() const {
    return {address,      type,  static_cast<uint32_t>(shape.size()),
            shape.data(), where, deviceIndex};
  }

private:
  void *address;
  lathe_dtype_t type;
  std::vector<int64_t> shape;
  lathe_memory_t where = LATHE_MEMORY_HOST;
  int32_t deviceIndex = 0;
};

namespace detail {
struct Destroy {
  void operator()(lathe_bundle_t *p) const { lathe_bundle_destroy(p); }
  void operator()(lathe_model_t *p) const { lathe_model_destroy(p); }
  void operator()(lathe_results_t *p) const { lathe_results_destroy(p); }
  void operator()(lathe_profile_t *p) const { lathe_profile_destroy(p); }
};
template <typename T> using Owner = std::unique_ptr<T, Destroy>;

inline std::vector<lathe_tensor_t> raw(const std::vector<Tensor> &tensors) {
  std::vector<lathe_tensor_t> result;
  for (const Tensor &tensor : tensors)
    result.push_back(tensor.raw());
  return result;
}
} // namespace detail

/// A verified file.
class Bundle {
public:
  explicit Bundle(const std::string &path,
                  const lathe_bundle_options_t *options = nullptr) {
    lathe_bundle_t *raw = nullptr;
    check(lathe_bundle_open(path.c_str(), options, &raw));
    owner.reset(raw);
  }

  lathe_bundle_t *get() const { return owner.get(); }
  lathe_bundle_info_t info() const {
    auto result = LATHE_INIT(lathe_bundle_info_t);
    check(lathe_bundle_info(get(), &result));
    return result;
  }
  lathe_entry_info_t entry(size_t index = 0) const {
    auto result = LATHE_INIT(lathe_entry_info_t);
    check(lathe_bundle_entry(get(), index, &result));
    return result;
  }
  size_t findEntry(const std::string &name) const {
    size_t index = 0;
    check(lathe_bundle_find_entry(get(), name.c_str(), &index));
    return index;
  }
  lathe_tensor_info_t input(size_t index, size_t entry = 0) const {
    auto result = LATHE_INIT(lathe_tensor_info_t);
    check(lathe_bundle_input(get(), entry, index, &result));
    return result;
  }
  lathe_tensor_info_t output(size_t index, size_t entry = 0) const {
    auto result = LATHE_INIT(lathe_tensor_info_t);
    check(lathe_bundle_output(get(), entry, index, &result));
    return result;
  }

private:
  detail::Owner<lathe_bundle_t> owner;
};

/// The outputs of a run. Tensors point into it.
class Results {
public:
  explicit Results(lathe_results_t *raw) : owner(raw) {}
  size_t size() const { return lathe_results_count(owner.get()); }
  Tensor operator[](size_t index) const {
    const lathe_tensor_t *tensor = lathe_results_tensor(owner.get(), index);
    if (!tensor)
      throw Error(LATHE_INVALID_ARGUMENT, "there is no such output");
    return Tensor(tensor->data, tensor->dtype,
                  {tensor->dims, tensor->dims + tensor->rank})
        .in(tensor->memory, tensor->device_index);
  }

private:
  detail::Owner<lathe_results_t> owner;
};

/// A bundle on a device. const members may be called by any number of threads.
class Model {
public:
  explicit Model(const Bundle &bundle,
                 const lathe_model_options_t *options = nullptr) {
    lathe_model_t *raw = nullptr;
    check(lathe_model_create(bundle.get(), options, &raw));
    owner.reset(raw);
  }

  lathe_model_t *get() const { return owner.get(); }
  lathe_model_info_t info() const {
    auto result = LATHE_INIT(lathe_model_info_t);
    check(lathe_model_info(get(), &result));
    return result;
  }

  Results run(const std::vector<Tensor> &inputs,
              const lathe_run_options_t *options = nullptr) const {
    std::vector<lathe_tensor_t> raw = detail::raw(inputs);
    lathe_results_t *results = nullptr;
    check(lathe_model_run(get(), options, raw.size(), raw.data(), &results));
    return Results(results);
  }

  /// Writes the outputs into memory of the caller.
  void runInto(const std::vector<Tensor> &inputs,
               const std::vector<Tensor> &outputs,
               const lathe_run_options_t *options = nullptr) const {
    std::vector<lathe_tensor_t> in = detail::raw(inputs);
    std::vector<lathe_tensor_t> out = detail::raw(outputs);
    check(lathe_model_run_into(get(), options, in.size(), in.data(), out.size(),
                               out.data()));
  }

  /// The dims of an output; -1 where they depend on the inputs' values.
  std::vector<int64_t> outputShape(const std::vector<Tensor> &inputs,
                                   size_t output, size_t entry = 0) const {
    std::vector<lathe_tensor_t> raw = detail::raw(inputs);
    int64_t dims[LATHE_MAX_RANK];
    uint32_t rank = 0;
    check(lathe_model_output_shape(get(), entry, raw.size(), raw.data(), output,
                                   dims, &rank));
    return {dims, dims + rank};
  }

private:
  detail::Owner<lathe_model_t> owner;
};

} // namespace lathe

#endif // LATHE_RUNTIME_HPP
