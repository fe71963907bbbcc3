// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From a `plan.constant` to the bytes that the bundle stores: encode, then
// pack, one constant at a time.

#ifndef LATHE_LIB_PIPELINE_CONSTANTS_H
#define LATHE_LIB_PIPELINE_CONSTANTS_H

#include "dialects/Plan/IR/Plan.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Error.h"

namespace lathe {

class Calibration;

/// The dense row-major bytes of `value`: a view of the mapped file where that
/// is possible, otherwise of `storage`, which is filled. `i1` elements are one
/// byte each.
llvm::Expected<llvm::ArrayRef<char>>
getDenseBytes(mlir::ElementsAttr value, llvm::SmallVectorImpl<char> &storage);

/// Re-lays row-major elements as `pack` says, with zeros in the padding; what
/// it says of Winograd has been done. `stored` is resized to the stored size.
void packElements(llvm::ArrayRef<char> dense, llvm::ArrayRef<int64_t> logical,
                  unsigned elementBytes, plan::PackAttr pack,
                  llvm::SmallVectorImpl<char> &stored);

/// Turns constants into bytes. Keeps the last encoded weight, since the buffers
/// of one encoding are asked for one after the other.
class ConstantMaterializer {
public:
  /// With `emitRemarks`, the bits of an encoded weight that the bundle holds
  /// are stated, and its error: the Frobenius norm of what decoding its bytes
  /// gives less the weight, over the weight's. With `calibration`, weights
  /// round by it.
  ConstantMaterializer(bool emitRemarks, Calibration *calibration)
      : emitRemarks(emitRemarks), calibration(calibration) {}

  /// The bytes of `op` as the kernel reads them; valid until the next call.
  llvm::Expected<llvm::ArrayRef<char>> materialize(plan::ConstantOp op);

private:
  llvm::Error encode(plan::ConstantOp op);
  void stateError(plan::ConstantOp op, llvm::ArrayRef<char> bytes);

  llvm::Error encodeValue(plan::ConstantOp op, llvm::ArrayRef<char> bytes);

  bool emitRemarks;
  Calibration *calibration;
  mlir::Attribute encodedValue, encodedWith;
  llvm::SmallVector<llvm::SmallVector<char, 0>> encoded;
  llvm::SmallVector<char, 0> dense, packed;
};

} // namespace lathe

#endif // LATHE_LIB_PIPELINE_CONSTANTS_H
