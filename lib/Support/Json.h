// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// JSON from untrusted files. In the header, so that `lathe`, which links LLVM's
// support library alone, reads its files by the same rules.

#ifndef LATHE_LIB_SUPPORT_JSON_H
#define LATHE_LIB_SUPPORT_JSON_H

#include "llvm/Support/JSON.h"

namespace lathe {

/// The deepest nesting of brackets outside of strings.
inline int getJsonDepth(llvm::StringRef text) {
  int depth = 0, deepest = 0;
  bool inString = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (inString) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        inString = false;
    } else if (c == '"') {
      inString = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return deepest;
}

/// Parses `text`; the error says where it is no JSON. Nesting is bounded, since
/// the parser recurses.
inline llvm::Expected<llvm::json::Value> parseJson(llvm::StringRef text) {
  // Far above what any of our files nests, far below the stack.
  constexpr int maxDepth = 64;
  if (getJsonDepth(text) > maxDepth)
    return llvm::createStringError("JSON nests deeper than " +
                                   llvm::Twine(maxDepth) + " levels");
  return llvm::json::parse(text);
}

} // namespace lathe

#endif // LATHE_LIB_SUPPORT_JSON_H
