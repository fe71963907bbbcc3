// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Empty: CMake builds the precompiled header beside an object of some target.
