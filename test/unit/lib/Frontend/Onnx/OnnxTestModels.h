// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Small ONNX models made without Python.

#ifndef LATHE_TEST_UNIT_LIB_FRONTEND_ONNX_ONNXTESTMODELS_H
#define LATHE_TEST_UNIT_LIB_FRONTEND_ONNX_ONNXTESTMODELS_H

#include <string>
#include <vector>

namespace lathe::test {

/// Serialized models that between them have dynamic dims, raw, packed and
/// unpacked tensors, constants that decide shapes, attributes of each kind, a
/// branch and a function.
std::vector<std::string> makeSeedModels();

} // namespace lathe::test

#endif // LATHE_TEST_UNIT_LIB_FRONTEND_ONNX_ONNXTESTMODELS_H
