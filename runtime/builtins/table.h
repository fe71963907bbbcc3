// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The functions behind the table in builtin.cpp, by file.

#ifndef LATHE_RUNTIME_BUILTINS_TABLE_H
#define LATHE_RUNTIME_BUILTINS_TABLE_H

#include "runtime/builtins/builtin.h"

namespace lathe::rt {

// detection.cpp
Status shapeNonMaxSuppression(const BuiltinArgs &args);
Status runNonMaxSuppression(const BuiltinArgs &args);

// indices.cpp
Status runCheckIndices(const BuiltinArgs &args);

// matrix.cpp
Status runCol2Im(const BuiltinArgs &args);
Status runDet(const BuiltinArgs &args);

// pool.cpp
Status runMaxPoolWithIndices(const BuiltinArgs &args);
Status runMaxUnpool(const BuiltinArgs &args);

// recurrent.cpp
Status runGru(const BuiltinArgs &args);
Status runLstm(const BuiltinArgs &args);
Status runRnn(const BuiltinArgs &args);

// resize.cpp
Status runResize(const BuiltinArgs &args);

// sample.cpp
Status runGridSample(const BuiltinArgs &args);
Status runRoiAlign(const BuiltinArgs &args);

// scan.cpp
Status runCumulativeProduct(const BuiltinArgs &args);

// select.cpp
Status shapeCompress(const BuiltinArgs &args);
Status runCompress(const BuiltinArgs &args);
Status shapeNonzero(const BuiltinArgs &args);
Status runNonzero(const BuiltinArgs &args);
Status shapeTopK(const BuiltinArgs &args);
Status runTopK(const BuiltinArgs &args);

// unique.cpp
Status shapeUnique(const BuiltinArgs &args);
Status runUnique(const BuiltinArgs &args);

} // namespace lathe::rt

#endif // LATHE_RUNTIME_BUILTINS_TABLE_H
