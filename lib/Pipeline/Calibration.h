// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What is known about the inputs of linear layers: the second moments
// E[x x^T] of each, [k, k] f32 tensors in a safetensors file, named as the
// layer's node or its weight in the model (tools/calibrate/moments.py writes
// one). Encodings that round use them to let products err less.

#ifndef LATHE_LIB_PIPELINE_CALIBRATION_H
#define LATHE_LIB_PIPELINE_CALIBRATION_H

#include "dialects/Plan/IR/Plan.h"
#include "lib/Frontend/HuggingFace/Safetensors.h"
#include "llvm/ADT/SetVector.h"

namespace lathe {

class Calibration {
public:
  /// The buffers of an encoded weight.
  using Buffers = llvm::SmallVector<llvm::SmallVector<char, 0>>;

  /// Reads the file. Errors name it and the tensor: one that is not square, or
  /// not of f32.
  static llvm::Expected<std::unique_ptr<Calibration>>
  read(llvm::StringRef path, mlir::MLIRContext &context);

  /// The moments of the layer whose weight stands at `loc`, of `k` rows;
  /// nothing if there are none. An error if their size is another one.
  llvm::Expected<llvm::ArrayRef<float>> find(mlir::Location loc, int64_t k);

  /// Whether any layer had moments.
  bool isUsed() const { return used; }

  llvm::StringRef getPath() const { return path; }

  /// Layers that have moments and an encoding that does not look at them.
  llvm::SetVector<mlir::Location> ignored;

  /// Weights that were encoded with moments, by value and encoding: that takes
  /// long, and each variant asks. They stay until the bundle is written: with a
  /// calibration, memory holds what it stores of them. A weight of several
  /// layers is rounded by the moments of the first.
  llvm::DenseMap<std::pair<mlir::Attribute, mlir::Attribute>, Buffers> encoded;

private:
  std::string path;
  huggingface::Checkpoint tensors;
  bool used = false;
};

} // namespace lathe

#endif // LATHE_LIB_PIPELINE_CALIBRATION_H
