// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "tools/lathe/Inputs.h"

#include "tools/lathe/Command.h"
#include "tools/lathe/DimText.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/bit.h"
#include "llvm/Support/CheckedArithmetic.h"
#include <cstring>

using namespace llvm;

namespace lathe::tool {

NpyType getNpyType(lathe_dtype_t dtype) {
  unsigned size = lathe_dtype_size(dtype);
  switch (dtype) {
  case LATHE_DTYPE_BOOL:
    return {'b', size};
  case LATHE_DTYPE_I8:
  case LATHE_DTYPE_I16:
  case LATHE_DTYPE_I32:
  case LATHE_DTYPE_I64:
    return {'i', size};
  case LATHE_DTYPE_U8:
  case LATHE_DTYPE_U16:
  case LATHE_DTYPE_U32:
  case LATHE_DTYPE_U64:
    return {'u', size};
  case LATHE_DTYPE_F16:
  case LATHE_DTYPE_F32:
  case LATHE_DTYPE_F64:
    return {'f', size};
  case LATHE_DTYPE_BF16:
  case LATHE_DTYPE_F8E4M3:
  case LATHE_DTYPE_F8E5M2:
  case LATHE_DTYPE_NONE:
    break;
  }
  return {'V', size};
}

static std::string formatNpyType(NpyType type) {
  for (int dtype = LATHE_DTYPE_BOOL; dtype <= LATHE_DTYPE_F64; ++dtype) {
    NpyType other = getNpyType(lathe_dtype_t(dtype));
    if (other.kind == type.kind && other.size == type.size)
      return lathe_dtype_name(lathe_dtype_t(dtype));
  }
  return "opaque bytes";
}

static std::string listInputs(const Session &session) {
  std::vector<std::string> names;
  for (size_t i = 0; i < session.info.num_inputs; ++i) {
    auto info = get<lathe_tensor_info_t>(
        lathe_bundle_input, session.bundle.get(), session.entry, i);
    names.push_back((Twine(info.name) + ": " + formatType(info)).str());
  }
  return join(names, ", ");
}

static void addArray(Inputs &inputs, lathe_dtype_t dtype, NpzArray array) {
  inputs.arrays.push_back(std::move(array));
  const NpzArray &kept = inputs.arrays.back();
  inputs.tensors.push_back({kept.data.data(), dtype, uint32_t(kept.dims.size()),
                            nullptr, LATHE_MEMORY_HOST, 0});
}

/// Dims live in the arrays, which must have stopped moving.
static void finish(Inputs &inputs) {
  for (auto [tensor, array] : zip_equal(inputs.tensors, inputs.arrays))
    tensor.dims = array.dims.data();
}

Expected<Inputs> loadInputs(const Session &session, StringRef path) {
  Expected<std::vector<NpzArray>> arrays = readNpz(path);
  if (!arrays)
    return arrays.takeError();
  Inputs inputs;
  for (size_t i = 0; i < session.info.num_inputs; ++i) {
    auto info = get<lathe_tensor_info_t>(
        lathe_bundle_input, session.bundle.get(), session.entry, i);
    auto found = find_if(*arrays, [&](const NpzArray &array) {
      return array.name == info.name;
    });
    if (found == arrays->end())
      return failure(path + ": no array '" + info.name + "'; the model takes " +
                     listInputs(session));
    NpyType wanted = getNpyType(info.dtype);
    if (found->type.kind != wanted.kind || found->type.size != wanted.size)
      return failure(path + ": '" + info.name + "' is " +
                     formatNpyType(found->type) + ", the model takes " +
                     formatType(info));
    addArray(inputs, info.dtype, std::move(*found));
    arrays->erase(found);
  }
  if (!arrays->empty())
    return failure(path + ": '" + arrays->front().name +
                   "' is no input; the model takes " + listInputs(session));
  finish(inputs);
  return inputs;
}

Expected<SymbolSizes> parseSymbolSizes(ArrayRef<std::string> options) {
  SymbolSizes sizes;
  for (StringRef option : options) {
    // NAME may hold a '=' of its own, V can't.
    auto [name, value] = option.rsplit('=');
    int64_t size;
    if (name.empty() || value.getAsInteger(10, size) || size < 0)
      return usageError("'" + option +
                        "': expected NAME=V with a size V, as in seq=128");
    if (!sizes.emplace(name.str(), size).second)
      return usageError("'" + name + "' is given twice");
  }
  return sizes;
}

namespace {
/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
class Random {
public:
  explicit Random(uint64_t seed) : state(seed) {}

  uint64_t next() {
    uint64_t z = state += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
  /// In [-1, 1), a multiple of 2^-7, so that floats of 16 bits and more hold
  /// it; or of 2^-2, for those of 8.
  double nextFloat() { return double(int64_t(next()) >> 56) / 128; }
  double nextQuarter() { return double(int64_t(next()) >> 61) / 4; }

private:
  uint64_t state;
};
} // namespace

/// The bits of a float that equals `value`, which it can hold.
static uint16_t toNarrowFloat(double value, unsigned exponentBits,
                              unsigned mantissaBits) {
  if (value == 0)
    return 0;
  uint64_t bits = bit_cast<uint64_t>(value);
  uint64_t bias = (1u << (exponentBits - 1)) - 1;
  uint64_t exponent = ((bits >> 52) & 0x7FF) - 1023 + bias;
  uint64_t mantissa = (bits & ((1ull << 52) - 1)) >> (52 - mantissaBits);
  return (bits >> 63) << (exponentBits + mantissaBits) |
         exponent << mantissaBits | mantissa;
}

template <typename T> static void put(char *at, T value) {
  std::memcpy(at, &value, sizeof(T));
}

static void fill(lathe_dtype_t dtype, Buffer &buffer, Random &random) {
  size_t size = lathe_dtype_size(dtype);
  char *end = buffer.data() + buffer.size();
  for (char *at = buffer.data(); at != end; at += size) {
    if (dtype == LATHE_DTYPE_F64)
      put(at, random.nextFloat());
    else if (dtype == LATHE_DTYPE_F32)
      put(at, float(random.nextFloat()));
    else if (dtype == LATHE_DTYPE_F16)
      put(at, toNarrowFloat(random.nextFloat(), 5, 10));
    else if (dtype == LATHE_DTYPE_BF16)
      put(at, toNarrowFloat(random.nextFloat(), 8, 7));
    else if (dtype == LATHE_DTYPE_F8E5M2)
      put(at, char(toNarrowFloat(random.nextQuarter(), 5, 2)));
    else if (dtype == LATHE_DTYPE_F8E4M3)
      put(at, char(toNarrowFloat(random.nextQuarter(), 4, 3)));
    else {
      std::memset(at, 0, size);
      *at = char(random.next() >> 63);
    }
  }
}

static Error checkSymbols(const Session &session, const SymbolSizes &sizes,
                          StringRef otherwise) {
  std::vector<std::string> known, open;
  for (size_t i = 0; i < session.info.num_input_symbols; ++i) {
    known.push_back(
        lathe_bundle_symbol(session.bundle.get(), session.entry, i));
    if (!sizes.count(known.back()))
      open.push_back(known.back());
  }
  for (const auto &[name, size] : sizes)
    if (!is_contained(known, name))
      return usageError("--shape: the model has no dim '" + name + "'" +
                        (known.empty()
                             ? "; all its dims are fixed"
                             : "; its dims are " + join(known, ", ")));
  if (!open.empty())
    return usageError("the size of '" + join(open, "', '") +
                      "' is open: pass --shape " + join(open, "=V,") + "=V" +
                      otherwise);
  return Error::success();
}

static Expected<NpzArray> makeArray(const lathe_tensor_info_t &info,
                                    const SymbolSizes &sizes, Random &random) {
  NpzArray array;
  array.name = info.name;
  array.type = getNpyType(info.dtype);
  int64_t bytes = lathe_dtype_size(info.dtype);
  for (uint32_t i = 0; i < info.rank; ++i) {
    std::optional<int64_t> dim = info.dims[i].size;
    if (*dim < 0)
      dim = evaluateDim(info.dims[i].text, sizes);
    if (!dim || *dim < 0)
      return failure(Twine("input '") + info.name + "': dim " + Twine(i) +
                     " (" + info.dims[i].text +
                     ") has no size for these symbols: pass --inputs IN.npz");
    std::optional<int64_t> product = checkedMul(bytes, *dim);
    if (!product)
      return failure(Twine("input '") + info.name +
                     "': its size cannot be represented");
    bytes = *product;
    array.dims.push_back(*dim);
  }
  array.data = Buffer(bytes);
  if (bytes && !array.data.data())
    return failure(Twine("input '") + info.name + "': not enough memory for " +
                   Twine(bytes) + " bytes");
  fill(info.dtype, array.data, random);
  return array;
}

Expected<Inputs> makeRandomInputs(const Session &session,
                                  const SymbolSizes &sizes, uint64_t seed,
                                  StringRef otherwise) {
  if (Error error = checkSymbols(session, sizes, otherwise))
    return std::move(error);
  Inputs inputs;
  Random random(seed);
  for (size_t i = 0; i < session.info.num_inputs; ++i) {
    auto info = get<lathe_tensor_info_t>(
        lathe_bundle_input, session.bundle.get(), session.entry, i);
    Expected<NpzArray> array = makeArray(info, sizes, random);
    if (!array)
      return array.takeError();
    addArray(inputs, info.dtype, std::move(*array));
  }
  finish(inputs);
  return inputs;
}

//===----------------------------------------------------------------------===//
// Memory of devices
//===----------------------------------------------------------------------===//

Error moveToDevice(const Session &session, Inputs &inputs) {
  auto model = get<lathe_model_info_t>(lathe_model_info, session.model.get());
  if (model.memory == LATHE_MEMORY_HOST)
    return Error::success();
  for (auto [tensor, array] : zip_equal(inputs.tensors, inputs.arrays)) {
    lathe_buffer_t *buffer = nullptr;
    if (Error error = toError(lathe_buffer_create(session.model.get(),
                                                  array.data.size(), &buffer)))
      return error;
    inputs.buffers.emplace_back(buffer);
    if (Error error = toError(lathe_buffer_write(buffer, 0, array.data.data(),
                                                 array.data.size())))
      return error;
    tensor.data = lathe_buffer_data(buffer);
    tensor.memory = model.memory;
    tensor.device_index = model.device_index;
  }
  return Error::success();
}

} // namespace lathe::tool
