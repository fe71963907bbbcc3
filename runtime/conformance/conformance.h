// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What every device must do, through the C API alone: the same tests for each,
// unchanged. A new device brings a line in machines.cpp and the kernels below
// in its own code.
//
// The kernels, by symbol, each program working on 16 elements from
// 16 * program on, with the number of all elements as first scalar:
//
//   add(x, y -> z)          f32, z = x + y
//   scale(x -> y; factor)   f32, y = x * factor, an integer
//   iota(-> x)              i64, x[i] = i
//   fill(-> x; value)       i64
//   below(x -> y)           y = x + 1 < the scalar: i64, one; bool
//
// and, where programs have threads, which are given their grid:
//
//   position(-> y)          y[program] = its number, row-major; i64. Then, in
//                           y[number of programs], how many blocks there were
//   add                     as above, beginning with a wait for those before it
//   rank(-> y)              the same with the place in its cluster of 2
//   box(x -> y)             a program copies the box of 8 rows of 16 of f32 x
//                           at 8 * y, 16 * x, by a tensor map, to its 128 of y

#ifndef LATHE_RUNTIME_CONFORMANCE_CONFORMANCE_H
#define LATHE_RUNTIME_CONFORMANCE_CONFORMANCE_H

#include "test/unit/runtime/TestModels.h"

#include <gtest/gtest.h>

namespace lathe::test {

/// A device that this machine has.
struct Machine {
  const char *device; ///< As in lathe_model_options_t.
  const char *target; ///< As in a bundle's variants.
  const Bytes &(*kernels)();
  uint32_t threads; ///< of a program; 0: the device has none
  bool canGuard;    ///< It works in host memory.
  /// Of what programs with threads do beyond buffers and scalars; NULL: that
  /// is not there.
  const Bytes &(*gridKernels)();
  /// Blocks run in clusters, overlap with the next kernel's, and copy by tensor
  /// maps.
  bool hasClusters;
};

std::vector<Machine> getMachines();

class Conformance : public testing::TestWithParam<Machine> {
protected:
  /// The bundle, with its code for this device.
  TestBundle port(TestBundle bundle) const {
    bundle.variant().target = GetParam().target;
    bundle.code = GetParam().kernels();
    for (auto &kernel : bundle.variant().kernels)
      kernel->threads = GetParam().threads;
    return bundle;
  }

  /// A model of `bundle` on this device.
  LoadedModel load(TestBundle bundle, uint32_t threads = 1) const {
    return LoadedModel(port(std::move(bundle)), threads);
  }

  lathe_model_options_t getOptions() const {
    auto options = LATHE_INIT(lathe_model_options_t);
    options.device = GetParam().device;
    options.num_threads = 1;
    return options;
  }
};

} // namespace lathe::test

#endif // LATHE_RUNTIME_CONFORMANCE_CONFORMANCE_H
