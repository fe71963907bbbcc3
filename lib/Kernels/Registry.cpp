// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "lib/Kernels/Strategy.h"

using namespace lathe::kernels;

std::vector<std::unique_ptr<Strategy>> lathe::kernels::createStrategies() {
  std::vector<std::unique_ptr<Strategy>> strategies;
  strategies.push_back(createScatterStrategy());
  strategies.push_back(createPointwiseStrategy());
  strategies.push_back(createReduceStrategy());
  strategies.push_back(createPoolStrategy());
  strategies.push_back(createScanStrategy());
  strategies.push_back(createContractStrategy());
  strategies.push_back(createAttentionStrategy());
  strategies.push_back(createConvStrategy());
  return strategies;
}
