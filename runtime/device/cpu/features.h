// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What this CPU, and the system on it, can run.

#ifndef LATHE_RUNTIME_DEVICE_CPU_FEATURES_H
#define LATHE_RUNTIME_DEVICE_CPU_FEATURES_H

namespace lathe::rt {

/// True when the CPU has the feature and the system saves its registers. Names
/// are LLVM's (`-mattr`): "avx2", "avx512vnni", "amx-int8"; a name that is not
/// known here is not there.
bool cpuHasFeature(const char *name);

/// AMX must be asked for once per process; the rest needs nothing. False when
/// the system refuses.
bool enableCpuFeature(const char *name);

} // namespace lathe::rt

#endif // LATHE_RUNTIME_DEVICE_CPU_FEATURES_H
