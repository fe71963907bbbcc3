# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Compiler libraries, tools, dialects and passes. (The runtime uses plain
# CMake: nothing here is available to it.)

# One precompiled header for every library that includes MLIR. It pays from
# the fourth file on with Clang and never with GCC.
if(CMAKE_CXX_COMPILER_ID STREQUAL Clang)
  add_library(LathePCH OBJECT ${PROJECT_SOURCE_DIR}/cmake/pch.cpp)
  llvm_update_compile_flags(LathePCH)
  target_compile_options(LathePCH PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
  target_precompile_headers(LathePCH PRIVATE ${PROJECT_SOURCE_DIR}/cmake/pch.h)
endif()

function(lathe_use_pch target)
  if(TARGET LathePCH)
    target_compile_options(${target} PRIVATE
      "SHELL:-Xclang -fno-pch-timestamp")
    target_precompile_headers(${target} REUSE_FROM LathePCH)
  endif()
endfunction()

# lathe_add_library(Name SOURCES...
#   [NO_PCH]        compile without the shared header: needed by a target that
#                   has definitions or options of its own
#   [DEPENDS ...]   tablegen targets whose output the sources include
#   [LINK_LIBS ...] our libraries, and other non-MLIR ones
#   [MLIR_LIBS ...] MLIR libraries; they all become libMLIR.so, but in portable
#                   programs)
function(lathe_add_library name)
  cmake_parse_arguments(ARG "NO_PCH" "" "DEPENDS;LINK_LIBS;MLIR_LIBS" ${ARGN})
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  llvm_update_compile_flags(${name})
  if(NOT ARG_NO_PCH)
    lathe_use_pch(${name})
  endif()
  if(ARG_DEPENDS)
    add_dependencies(${name} ${ARG_DEPENDS})
  endif()
  lathe_depend_on_headers(${name})
  target_link_libraries(${name} PUBLIC ${ARG_LINK_LIBS})
  lathe_link_mlir(${name} PUBLIC ${ARG_MLIR_LIBS})
endfunction()

# lathe_add_tool(name SOURCES... [LINK_LIBS ...] [MLIR_LIBS ...]): a program in
# build/bin, installed by `cmake --install`.
function(lathe_add_tool name)
  cmake_parse_arguments(ARG "NO_PCH" "" "LINK_LIBS;MLIR_LIBS" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  llvm_update_compile_flags(${name})
  if(NOT ARG_NO_PCH)
    lathe_use_pch(${name})
  endif()
  lathe_depend_on_headers(${name})
  target_link_libraries(${name} PRIVATE ${ARG_LINK_LIBS})
  lathe_link_mlir(${name} PRIVATE ${ARG_MLIR_LIBS})
  install(TARGETS ${name} RUNTIME)
endfunction()

# Every generated header of the project hangs on this target, and every library
# and tool depends on it: no one has to name another room's tablegen target.
add_custom_target(lathe-headers)
function(lathe_depend_on_headers target)
  add_dependencies(${target} lathe-headers)
endfunction()

# lathe_tablegen(<td>, <output stem>, <flag stem>, extra...): the pair
# <output>.h.inc, <output>.cpp.inc from -gen-<flag>-decls and -defs.
function(lathe_tablegen td output flag)
  set(LLVM_TARGET_DEFINITIONS ${td})
  mlir_tablegen(${output}.h.inc -gen-${flag}-decls ${ARGN})
  mlir_tablegen(${output}.cpp.inc -gen-${flag}-defs ${ARGN})
  set(TABLEGEN_OUTPUT ${TABLEGEN_OUTPUT} PARENT_SCOPE)
endfunction()

# lathe_add_dialect(Graph): tablegen and documentation of the dialect `graph`
# whose .td files stand in the current folder. All but GraphOps.td are optional.
#
#   GraphDialect.td    (or GraphOps.td)   GraphDialect.{h,cpp}.inc
#   GraphOps.td                           GraphOps.{h,cpp}.inc, includes Graph<Kind>Ops.td
#   GraphTypes.td                         GraphTypes.{h,cpp}.inc
#   GraphAttrs.td                         GraphAttrs.{h,cpp}.inc
#   GraphEnums.td                         GraphEnums.{h,cpp}.inc
#   GraphInterfaces.td                    Graph{Op,Attr,Type}Interfaces.{h,cpp}.inc
#
# The target LatheGraphIncGen builds them all.
function(lathe_add_dialect name)
  string(TOLOWER ${name} mnemonic)
  set(here ${CMAKE_CURRENT_SOURCE_DIR})

  set(dialect_td ${name}Ops.td)
  if(EXISTS ${here}/${name}Dialect.td)
    set(dialect_td ${name}Dialect.td)
  endif()
  lathe_tablegen(${dialect_td} ${name}Dialect dialect -dialect=${mnemonic})
  lathe_tablegen(${name}Ops.td ${name}Ops op -dialect=${mnemonic})

  if(EXISTS ${here}/${name}Types.td)
    lathe_tablegen(${name}Types.td ${name}Types typedef
      -typedefs-dialect=${mnemonic})
  endif()
  if(EXISTS ${here}/${name}Attrs.td)
    lathe_tablegen(${name}Attrs.td ${name}Attrs attrdef
      -attrdefs-dialect=${mnemonic})
  endif()
  if(EXISTS ${here}/${name}Enums.td)
    lathe_tablegen(${name}Enums.td ${name}Enums enum)
  endif()
  if(EXISTS ${here}/${name}Interfaces.td)
    foreach(kind Op Attr Type)
      string(TOLOWER ${kind} flag)
      lathe_tablegen(${name}Interfaces.td ${name}${kind}Interfaces
        ${flag}-interface)
    endforeach()
  endif()

  add_mlir_dialect_tablegen_target(Lathe${name}IncGen)
  add_dependencies(lathe-headers Lathe${name}IncGen)
  add_mlir_doc(${name}Ops ${name} dialects/ -gen-dialect-doc
    -dialect=${mnemonic})
endfunction()

# lathe_add_passes(Graph): Passes.h.inc from Passes.td in the
# current folder, with registerGraphPasses(). Also for lib/Conversion and
# lib/Pipeline. The target LatheGraphPassIncGen builds it.
function(lathe_add_passes name)
  set(LLVM_TARGET_DEFINITIONS Passes.td)
  mlir_tablegen(Passes.h.inc -gen-pass-decls -name ${name})
  add_mlir_dialect_tablegen_target(Lathe${name}PassIncGen)
  add_dependencies(lathe-headers Lathe${name}PassIncGen)
  add_mlir_doc(Passes ${name}Passes passes/ -gen-pass-doc)
endfunction()
