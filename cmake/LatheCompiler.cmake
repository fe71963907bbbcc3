# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# What holds for every compiled file, ours with LLVM and the runtime without.

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()

# ccache accepts a precompiled header only when its time stamps are ignored.
find_program(LATHE_CCACHE ccache)
if(LATHE_CCACHE)
  set(launcher ${CMAKE_COMMAND} -E env
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
    ${LATHE_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()

find_program(LATHE_LLD NAMES ld.lld-22 ld.lld)
if(LATHE_LLD AND CMAKE_CXX_COMPILER_ID STREQUAL Clang)
  add_link_options(--ld-path=${LATHE_LLD})
endif()

# A failed check of ASan or UBSan ends the process: a test must not pass by
# printing a diagnosis nobody reads.
set(LATHE_SANITIZE "" CACHE STRING "Sanitizers, as in address,undefined")
if(LATHE_SANITIZE)
  add_compile_options(-fsanitize=${LATHE_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${LATHE_SANITIZE})
endif()
