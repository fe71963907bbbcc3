// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/builtins/dispatch.h"

namespace lathe::rt {

static uint32_t bitsOf(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

static float floatOf(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

Half::operator float() const {
  uint32_t sign = uint32_t(bits & 0x8000) << 16;
  uint32_t magnitude = bits & 0x7FFF;
  if (magnitude >= 0x7C00) // Infinity and NaN.
    return floatOf(sign | 0x7F800000 | (magnitude & 0x3FF) << 13);
  // Scaling by a power of two is exact, for subnormals too.
  return floatOf(sign | bitsOf(floatOf(magnitude << 13) * 0x1p112f));
}

Half Half::from(float value) {
  uint32_t wide = bitsOf(value);
  auto sign = static_cast<uint16_t>(wide >> 16 & 0x8000);
  wide &= 0x7FFFFFFF;
  if (wide > 0x7F800000)
    return {static_cast<uint16_t>(sign | 0x7E00)};
  if (wide >= 0x477FF000) // Rounds to 2^16 or is infinite.
    return {static_cast<uint16_t>(sign | 0x7C00)};
  if (wide < 0x38800000) { // Subnormal: the addition rounds at bit 2^-24.
    uint32_t rounded = bitsOf(floatOf(wide) + 0.5f) - bitsOf(0.5f);
    return {static_cast<uint16_t>(sign | rounded)};
  }
  wide += 0xFFF + (wide >> 13 & 1); // To nearest, ties to even.
  return {static_cast<uint16_t>(sign | (wide - 0x38000000) >> 13)};
}

BFloat16 BFloat16::from(float value) {
  uint32_t wide = bitsOf(value);
  if ((wide & 0x7FFFFFFF) > 0x7F800000)
    return {static_cast<uint16_t>(wide >> 16 | 0x40)};
  wide += 0x7FFF + (wide >> 16 & 1);
  return {static_cast<uint16_t>(wide >> 16)};
}

template <typename T>
static int compareAs(const uint8_t *data, int64_t a, int64_t b) {
  using C = typename ComputeType<T>::type;
  const T *elements = reinterpret_cast<const T *>(data);
  C x = elements[a], y = elements[b];
  bool xNaN = x != x, yNaN = y != y;
  if (xNaN || yNaN)
    return int(xNaN) - int(yNaN);
  return int(x > y) - int(x < y);
}

CompareElements compareElements(bundle::DType dtype) {
  CompareElements result = nullptr;
  // A dtype that is no dtype has been refused before.
  Status status = dispatch(dtype, [&](auto tag) {
    result = compareAs<typename decltype(tag)::type>;
    return ok();
  });
  return result;
}

} // namespace lathe::rt
