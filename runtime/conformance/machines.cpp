// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "runtime/conformance/conformance.h"
#include "test/unit/runtime/FakeDriver.h"

#include <cstdlib>

namespace lathe::test {

/// "cuda" is a GPU if LATHE_TEST_GPU is set, and else a driver that is none, as
/// "hip" is always.
std::vector<Machine> getMachines() {
  Machine cpu = {"cpu", "x86", commonKernels, 0, true, nullptr, false};
  Machine cuda = {"cuda", "cuda", ptxKernels, 16, false, ptxGridKernels, true};
  if (!getenv("LATHE_TEST_GPU")) {
    FakeDriver::cuda();
    cuda.kernels = cuda.gridKernels = fakeKernels;
  }
  FakeDriver::hip();
  Machine hip = {"hip", "rocm", fakeKernels, 64, false, fakeKernels, false};
  return {cpu, cuda, hip};
}

INSTANTIATE_TEST_SUITE_P(Devices, Conformance, testing::ValuesIn(getMachines()),
                         [](const testing::TestParamInfo<Machine> &info) {
                           return std::string(info.param.device);
                         });

} // namespace lathe::test
