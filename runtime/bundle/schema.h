// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The code that flatc makes of bundle.fbs, without its warnings. Link
// LatheBundleSchema to include it.

#ifndef LATHE_RUNTIME_BUNDLE_SCHEMA_H
#define LATHE_RUNTIME_BUNDLE_SCHEMA_H

#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wcovered-switch-default"
#endif

#include "runtime/bundle/bundle_generated.h"

#if defined(__clang__)
#pragma clang diagnostic pop
#endif

#endif // LATHE_RUNTIME_BUNDLE_SCHEMA_H
