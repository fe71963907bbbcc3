// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From a dtype at run time to a C++ type.

#ifndef LATHE_RUNTIME_BUILTINS_DISPATCH_H
#define LATHE_RUNTIME_BUILTINS_DISPATCH_H

#include "runtime/builtins/builtin.h"

#include <cstring>

namespace lathe::rt {

/// IEEE half and bfloat16 as they lie in memory. They convert to float.
struct Half {
  uint16_t bits;
  operator float() const;
  static Half from(float value);
};
struct BFloat16 {
  uint16_t bits;
  operator float() const {
    uint32_t wide = uint32_t(bits) << 16;
    float value;
    memcpy(&value, &wide, sizeof(value));
    return value;
  }
  static BFloat16 from(float value);
};

template <typename T> struct Tag {
  using type = T;
};

/// The type that a T is computed with.
template <typename T> struct ComputeType {
  using type = T;
};
template <> struct ComputeType<Half> {
  using type = float;
};
template <> struct ComputeType<BFloat16> {
  using type = float;
};

/// Rounds a computed value to a T.
template <typename T> T store(typename ComputeType<T>::type value) {
  return value;
}
template <> inline Half store<Half>(float value) { return Half::from(value); }
template <> inline BFloat16 store<BFloat16>(float value) {
  return BFloat16::from(value);
}

inline Status unsupportedDtype(bundle::DType dtype) {
  return error(LATHE_UNIMPLEMENTED, "dtype %s is not supported",
               lathe_dtype_name(static_cast<lathe_dtype_t>(dtype)));
}

/// Calls `body` with Tag<T>.
template <typename Body> Status dispatch(bundle::DType dtype, Body body) {
  switch (dtype) {
  case bundle::DType::Bool:
  case bundle::DType::U8:
    return body(Tag<uint8_t>());
  case bundle::DType::I8:
    return body(Tag<int8_t>());
  case bundle::DType::I16:
    return body(Tag<int16_t>());
  case bundle::DType::U16:
    return body(Tag<uint16_t>());
  case bundle::DType::I32:
    return body(Tag<int32_t>());
  case bundle::DType::U32:
    return body(Tag<uint32_t>());
  case bundle::DType::I64:
    return body(Tag<int64_t>());
  case bundle::DType::U64:
    return body(Tag<uint64_t>());
  case bundle::DType::F16:
    return body(Tag<Half>());
  case bundle::DType::BF16:
    return body(Tag<BFloat16>());
  case bundle::DType::F32:
    return body(Tag<float>());
  case bundle::DType::F64:
    return body(Tag<double>());
  case bundle::DType::None:
  case bundle::DType::F8E4M3:
  case bundle::DType::F8E5M2:
    break;
  }
  return unsupportedDtype(dtype);
}

/// Floats only.
template <typename Body> Status dispatchFloat(bundle::DType dtype, Body body) {
  switch (dtype) {
  case bundle::DType::F16:
    return body(Tag<Half>());
  case bundle::DType::BF16:
    return body(Tag<BFloat16>());
  case bundle::DType::F32:
    return body(Tag<float>());
  case bundle::DType::F64:
    return body(Tag<double>());
  default:
    return unsupportedDtype(dtype);
  }
}

/// i32 and i64, the types of indices.
template <typename Body> Status dispatchIndex(bundle::DType dtype, Body body) {
  if (dtype == bundle::DType::I64)
    return body(Tag<int64_t>());
  if (dtype == bundle::DType::I32)
    return body(Tag<int32_t>());
  return unsupportedDtype(dtype);
}

/// Compares elements `a` and `b` of an array: -1, 0 or 1. NaN is larger than
/// all numbers and equal to NaN.
using CompareElements = int (*)(const uint8_t *data, int64_t a, int64_t b);

/// One function for all sorting, so that sorts need no instance per dtype.
CompareElements compareElements(bundle::DType dtype);

} // namespace lathe::rt

#endif // LATHE_RUNTIME_BUILTINS_DISPATCH_H
