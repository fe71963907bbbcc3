// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// NumPy's .npy format: one array with a header that is a Python dict
// (numpy/lib/_format_impl.py). Versions 1.0 to 3.0, C and Fortran order, the
// plain numeric types of little-endian machines, and the opaque bytes (V1, V2)
// that bfloat16 and smaller floats of the package ml_dtypes are saved as.

#ifndef LATHE_TOOLS_LATHE_NPY_H
#define LATHE_TOOLS_LATHE_NPY_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Error.h"
#include <cstdlib>
#include <memory>
#include <string>

namespace lathe::tool {

/// Bytes at a multiple of 64, so that vector loads are aligned.
class Buffer {
public:
  Buffer() = default;
  /// Uninitialized. `data()` is null if memory is short or `size` is 0.
  explicit Buffer(size_t size);

  char *data() const { return memory.get(); }
  size_t size() const { return length; }

private:
  struct Free {
    void operator()(char *memory) const { std::free(memory); }
  };
  std::unique_ptr<char, Free> memory;
  size_t length = 0;
};

/// An element type as NumPy writes it: 'f' float, 'i' and 'u' integer, 'b'
/// bool, 'V' opaque; and its size in bytes.
struct NpyType {
  char kind = 0;
  unsigned size = 0;
};

/// What an .npy header says.
struct NpyHeader {
  NpyType type;
  bool fortranOrder = false;
  llvm::SmallVector<int64_t> dims;
  size_t dataOffset = 0; ///< Bytes from the start of the file.
  size_t dataSize = 0;   ///< Bytes; the product does not overflow.
};

/// Reads the header at the start of `bytes`. Messages say what was found and
/// what is allowed, not where: the caller knows the file.
llvm::Expected<NpyHeader> parseNpyHeader(llvm::StringRef bytes);

/// A version 1.0 header, padded so that the data starts at a multiple of 64.
std::string makeNpyHeader(NpyType type, llvm::ArrayRef<int64_t> dims);

/// Copies `data`, which has header.dataSize bytes, into C order.
Buffer toRowMajor(const NpyHeader &header, const char *data);

} // namespace lathe::tool

#endif // LATHE_TOOLS_LATHE_NPY_H
