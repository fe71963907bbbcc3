// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Target/Target.h"
#include "llvm/ADT/StringExtras.h"
#include <cassert>

using namespace lathe;

Target::~Target() = default;

llvm::Expected<const TargetLevel &>
Target::getLevel(llvm::StringRef name) const {
  for (const TargetLevel &level : getLevels())
    if (level.name == name)
      return level;
  std::vector<std::string> names;
  for (const TargetLevel &level : getLevels())
    names.push_back(level.name);
  return llvm::createStringError(std::errc::invalid_argument,
                                 "target '%s' has no level '%s'; it has %s",
                                 getName().str().c_str(), name.str().c_str(),
                                 llvm::join(names, ", ").c_str());
}

void TargetRegistry::add(std::unique_ptr<Target> target) {
  assert(!lookup(target->getName()) && "a target of this name exists");
  targets.push_back(std::move(target));
}

const Target *TargetRegistry::lookup(llvm::StringRef name) const {
  for (const std::unique_ptr<Target> &target : targets)
    if (target->getName() == name)
      return target.get();
  return nullptr;
}
