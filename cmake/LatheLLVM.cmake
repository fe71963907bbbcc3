# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Finds LLVM, MLIR and lld, and applies their flags to everything added later.

list(APPEND CMAKE_PREFIX_PATH /usr/lib/llvm-22)
find_package(MLIR 22.1 REQUIRED CONFIG)
find_package(LLD REQUIRED CONFIG)
message(STATUS "LLVM ${LLVM_PACKAGE_VERSION} in ${LLVM_DIR}")
list(APPEND CMAKE_MODULE_PATH ${MLIR_CMAKE_DIR} ${LLVM_CMAKE_DIR})

# One shared libMLIR.so and libLLVM.so, or in portable programs neither of them.
# Mixing in libLLVM*.a, which some of Debian's exported archives invite, gives
# two copies of LLVM's globals.
set(MLIR_LINK_MLIR_DYLIB ON)
set(LLVM_LINK_LLVM_DYLIB ON)
include(LathePortable)

# Installed programs find libMLIR.so where it was linked from.
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)
# So that a build folder may be moved.
set(CMAKE_BUILD_RPATH_USE_ORIGIN ON)

set(LLVM_RUNTIME_OUTPUT_INTDIR ${PROJECT_BINARY_DIR}/bin)
set(LLVM_LIBRARY_OUTPUT_INTDIR ${PROJECT_BINARY_DIR}/lib)
# add_mlir_doc writes to ${MLIR_BINARY_DIR}/docs.
set(MLIR_BINARY_DIR ${PROJECT_BINARY_DIR})

include(TableGen)
include(AddLLVM)
include(AddMLIR)
include(HandleLLVMOptions)

include_directories(SYSTEM ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS}
  ${LLD_INCLUDE_DIRS})
separate_arguments(definitions NATIVE_COMMAND ${LLVM_DEFINITIONS})
add_definitions(${definitions})

add_compile_options("$<$<AND:$<CONFIG:Debug>,$<COMPILE_LANGUAGE:CXX>>:SHELL:\
-include ${PROJECT_SOURCE_DIR}/cmake/statistics.h>")
