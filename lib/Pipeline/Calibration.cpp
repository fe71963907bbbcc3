// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Pipeline/Calibration.h"
#include "dialects/Graph/IR/Graph.h"

using namespace mlir;
using namespace lathe;
using llvm::Expected;

Expected<std::unique_ptr<Calibration>> Calibration::read(StringRef path,
                                                         MLIRContext &context) {
  auto result = std::make_unique<Calibration>();
  result->path = path.str();
  if (llvm::Error error =
          huggingface::readSafetensors(path, context, result->tensors))
    return std::move(error);
  for (const auto &[name, tensor] : result->tensors) {
    ArrayRef<int64_t> shape = tensor.type.getShape();
    if (shape.size() == 2 && shape[0] == shape[1] &&
        tensor.type.getElementType().isF32() &&
        reinterpret_cast<uintptr_t>(tensor.bytes.data()) % alignof(float) == 0)
      continue;
    std::string type;
    llvm::raw_string_ostream(type) << tensor.type;
    return makeError(path + ": '" + name +
                     "': moments are square and of f32, "
                     "aligned, not " +
                     type);
  }
  return result;
}

Expected<ArrayRef<float>> Calibration::find(Location loc, int64_t k) {
  for (StringRef name : graph::getNodeNames(loc)) {
    auto found = tensors.find(name);
    if (found == tensors.end())
      continue;
    const huggingface::StoredTensor &tensor = found->second;
    if (tensor.type.getDimSize(0) != k)
      return makeError(path + ": '" + name + "' has moments of " +
                       Twine(tensor.type.getDimSize(0)) +
                       " inputs; the layer's weight has " + Twine(k));
    used = true;
    return ArrayRef(reinterpret_cast<const float *>(tensor.bytes.data()),
                    k * k);
  }
  return ArrayRef<float>();
}
