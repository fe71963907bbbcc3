// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/conformance/conformance.h"

namespace lathe::test {

std::vector<Machine> getMachines() { return {{"cpu", "x86", commonKernels}}; }

INSTANTIATE_TEST_SUITE_P(Devices, Conformance, testing::ValuesIn(getMachines()),
                         [](const testing::TestParamInfo<Machine> &info) {
                           return std::string(info.param.device);
                         });

} // namespace lathe::test
