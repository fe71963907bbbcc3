# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Runtime code: C11 and C++17 without exceptions, RTTI or LLVM.

# lathe_add_runtime_library(Name [STATIC|SHARED|OBJECT] SOURCES...
#   [LINK_LIBS ...])
function(lathe_add_runtime_library name)
  cmake_parse_arguments(ARG "STATIC;SHARED;OBJECT" "" "LINK_LIBS" ${ARGN})
  set(kind STATIC)
  foreach(candidate STATIC SHARED OBJECT)
    if(ARG_${candidate})
      set(kind ${candidate})
    endif()
  endforeach()
  add_library(${name} ${kind} ${ARG_UNPARSED_ARGUMENTS})
  target_compile_options(${name} PRIVATE -Wall -Wextra -Werror
    -fvisibility=hidden $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti>)
  target_link_libraries(${name} PUBLIC ${ARG_LINK_LIBS})
endfunction()
