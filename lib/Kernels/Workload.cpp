// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/Workload.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Support/xxhash.h"

using namespace mlir;
using namespace lathe;

/// What getOpsName says for the ops that it leaves out.
static constexpr StringLiteral kEtc = "_etc";

/// "int4<group = 128>": the attribute, but for where the columns lie, which is
/// the same to a kernel.
static std::string getFormat(Attribute encoding) {
  std::string text;
  llvm::raw_string_ostream(text) << encoding;
  StringRef all = text;
  all.consume_front("#graph.");
  auto [name, fields] = all.rtrim('>').split('<');
  SmallVector<StringRef> kept;
  fields.split(kept, ", ");
  llvm::erase_if(kept, [](StringRef field) {
    return field.starts_with("axis =") || field.starts_with("density =");
  });
  std::string rest = llvm::join(kept, ", ");
  return rest.empty() ? name.str() : name.str() + "<" + rest + ">";
}

/// In what a group's floats are stored that are no plain f32, each once.
static std::string getFormats(graph::GroupOp group) {
  SmallVector<std::string> formats;
  for (Value input : group.getInputs()) {
    auto type = cast<RankedTensorType>(input.getType());
    Type element = type.getElementType();
    std::string format;
    if (Attribute encoding = type.getEncoding())
      format = getFormat(encoding);
    else if (isa<FloatType>(element) && !element.isF32())
      llvm::raw_string_ostream(format) << element;
    if (!format.empty() && !llvm::is_contained(formats, format))
      formats.push_back(format);
  }
  return llvm::join(formats, " ");
}

std::string lathe::kernels::getWorkload(graph::GroupOp group, StringRef name) {
  std::string workload = name.str();
  if (size_t at = workload.find(kEtc); at != std::string::npos) {
    std::string ops;
    for (Operation &op : group.getBody().front())
      ops += (op.getName().getStringRef() + " ").str();
    std::string hash = llvm::utohexstr(llvm::xxh3_64bits(ops), true);
    workload.insert(at + kEtc.size(), "_" + hash.substr(0, 8));
  }
  std::string formats = getFormats(group);
  return formats.empty() ? workload : workload + ", " + formats;
}
