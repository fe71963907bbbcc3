// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Encodings/Encodings.h"
#include "lib/Encodings/Block/Block.h"
#include "lib/Encodings/Int4/Int4.h"
#include "lib/Encodings/Int8/Int8.h"
#include "lib/Encodings/Narrow/Narrow.h"
#include "lib/Encodings/Ternary/Ternary.h"

void lathe::registerEncodings(mlir::DialectRegistry &registry) {
  registerBlockEncoding(registry);
  registerInt4Encoding(registry);
  registerInt8Encoding(registry);
  registerNarrowEncoding(registry);
  registerTernaryEncoding(registry);
}
