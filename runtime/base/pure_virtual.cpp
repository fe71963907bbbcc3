// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The one thing that classes with pure virtual functions need of the C++
// library. Weak: in a C++ program the library's own is used.

extern "C" __attribute__((weak)) void __cxa_pure_virtual() { __builtin_trap(); }
