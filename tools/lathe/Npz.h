// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// .npz files as numpy.savez and savez_compressed write them: ZIP archives of
// .npy arrays (APPNOTE.TXT of PKWARE; stored or deflated, ZIP64 where needed).
// Every size and offset of a file is checked before it is used, and every
// array's CRC is.

#ifndef LATHE_TOOLS_LATHE_NPZ_H
#define LATHE_TOOLS_LATHE_NPZ_H

#include "tools/lathe/Npy.h"
#include <vector>

namespace lathe::tool {

/// An array of a file, row-major.
struct NpzArray {
  std::string name; ///< Without the ".npy".
  NpyType type;
  llvm::SmallVector<int64_t> dims;
  Buffer data;
};

/// Reads all arrays in the file's order. An error names file and array.
llvm::Expected<std::vector<NpzArray>> readNpz(llvm::StringRef path);

/// The same for a file in memory. An error names the array.
llvm::Expected<std::vector<NpzArray>> parseNpz(llvm::StringRef bytes);

/// An array to write, row-major; the memory is borrowed.
struct NpzItem {
  llvm::StringRef name;
  NpyType type;
  llvm::ArrayRef<int64_t> dims;
  const void *data;
};

/// Writes an uncompressed archive, whole or not at all: it appears under `path`
/// by renaming. The same items give the same bytes.
llvm::Error writeNpz(llvm::StringRef path, llvm::ArrayRef<NpzItem> items);

} // namespace lathe::tool

#endif // LATHE_TOOLS_LATHE_NPZ_H
