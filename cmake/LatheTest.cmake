# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Unit tests. lit finds the programs in build/test/unit and runs them.

find_package(GTest REQUIRED)

# What `make test` must have built.
add_custom_target(lathe-test-depends)

# lathe_add_unittest(NameTests SOURCES... [LINK_LIBS ...]): a GoogleTest program
# with a main. The name must end in Tests: lit looks for that.
function(lathe_add_unittest name)
  cmake_parse_arguments(ARG "" "" "LINK_LIBS" ${ARGN})
  if(NOT name MATCHES "Tests$")
    message(FATAL_ERROR "lathe_add_unittest(${name}): must end in 'Tests'")
  endif()
  add_executable(${name} EXCLUDE_FROM_ALL ${ARG_UNPARSED_ARGUMENTS})
  if(COMMAND llvm_update_compile_flags)
    llvm_update_compile_flags(${name})
  endif()
  if(TARGET lathe-headers)
    add_dependencies(${name} lathe-headers)
  endif()
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/test/unit)
  target_link_libraries(${name} PRIVATE ${ARG_LINK_LIBS} GTest::gtest_main)
  add_dependencies(lathe-test-depends ${name})
  set_property(GLOBAL APPEND PROPERTY LATHE_UNITTESTS ${name})
endfunction()
