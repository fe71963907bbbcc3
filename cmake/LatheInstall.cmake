# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# What another project needs to run bundles:
#
#   cmake --install build --component runtime --prefix DIR

include(CMakePackageConfigHelpers)

function(lathe_install_runtime)
  set(package ${CMAKE_INSTALL_LIBDIR}/cmake/Lathe)
  set(here ${PROJECT_BINARY_DIR}/install)
  set_target_properties(LatheRuntimeShared PROPERTIES EXPORT_NAME runtime)
  set_target_properties(LatheRuntimeStatic PROPERTIES
    EXPORT_NAME runtime_static)
  install(TARGETS LatheRuntimeShared LatheRuntimeStatic EXPORT LatheTargets
    ARCHIVE COMPONENT runtime
    LIBRARY COMPONENT runtime NAMELINK_COMPONENT runtime)
  install(EXPORT LatheTargets NAMESPACE Lathe:: DESTINATION ${package}
    COMPONENT runtime)

  configure_package_config_file(
    ${PROJECT_SOURCE_DIR}/cmake/install/LatheConfig.cmake.in
    ${here}/LatheConfig.cmake INSTALL_DESTINATION ${package})
  # Before 1.0, a minor version may break the ABI (as the SONAME says).
  write_basic_package_version_file(${here}/LatheConfigVersion.cmake
    COMPATIBILITY SameMinorVersion)
  install(FILES ${here}/LatheConfig.cmake ${here}/LatheConfigVersion.cmake
    DESTINATION ${package} COMPONENT runtime)

  file(RELATIVE_PATH LATHE_PC_PREFIX
    ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
  configure_file(${PROJECT_SOURCE_DIR}/cmake/install/lathe.pc.in
    ${here}/lathe.pc @ONLY)
  install(FILES ${here}/lathe.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
    COMPONENT runtime)

  install(FILES ${PROJECT_SOURCE_DIR}/include/lathe-c/status.h
    ${PROJECT_SOURCE_DIR}/include/lathe-c/runtime.h
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lathe-c COMPONENT runtime)
  install(FILES ${PROJECT_SOURCE_DIR}/include/lathe/runtime.hpp
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lathe COMPONENT runtime)
endfunction()
