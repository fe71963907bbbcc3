# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Rooms are folders that hold a CMakeLists.txt. They are found, not listed, so
# that adding one touches no shared file.

# lathe_add_room(dir): add `dir` if it is a room.
function(lathe_add_room dir)
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${dir}/CMakeLists.txt)
    add_subdirectory(${dir})
  endif()
endfunction()

# lathe_add_rooms(pattern...): add every room that matches, in name order.
# The order has no effect on linking: targets may be named before they exist.
function(lathe_add_rooms)
  foreach(pattern IN LISTS ARGN)
    file(GLOB lists CONFIGURE_DEPENDS
      RELATIVE ${CMAKE_CURRENT_SOURCE_DIR}
      ${CMAKE_CURRENT_SOURCE_DIR}/${pattern}/CMakeLists.txt)
    foreach(list IN LISTS lists)
      get_filename_component(dir ${list} DIRECTORY)
      add_subdirectory(${dir})
    endforeach()
  endforeach()
endfunction()
