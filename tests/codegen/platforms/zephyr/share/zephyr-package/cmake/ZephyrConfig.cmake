# find_package(Zephyr): the target app, and the modules of EXTRA_ZEPHYR_MODULES, linked into one program. CONF_VALUES, a
# CMake file, stands for what Kconfig made of prj.conf.
include("${CONF_VALUES}")
enable_language(C)

add_library(zephyr_interface INTERFACE)
# As Zephyr compiles in its default configuration.
target_compile_options(zephyr_interface INTERFACE -std=c99 -Os -fno-strict-aliasing -Wall -Wextra
  -Werror -Wno-unused-parameter -Wno-sign-compare)

macro(zephyr_library_named name)
  set(ZEPHYR_CURRENT_LIBRARY ${name})
  add_library(${name} STATIC)
  set_property(GLOBAL APPEND PROPERTY zephyr_libraries ${name})
  target_link_libraries(${name} PUBLIC zephyr_interface)
endmacro()

function(zephyr_library_sources)
  target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endfunction()

function(zephyr_library_compile_options)
  target_compile_options(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endfunction()

function(zephyr_include_directories)
  target_include_directories(zephyr_interface INTERFACE ${ARGN})
endfunction()

add_library(app STATIC)
target_link_libraries(app PUBLIC zephyr_interface)

foreach(module IN LISTS EXTRA_ZEPHYR_MODULES)
  file(STRINGS "${module}/zephyr/module.yml" lines REGEX "^  cmake: ")
  string(REGEX REPLACE "^  cmake: " "" folder "${lines}")
  file(STRINGS "${module}/zephyr/module.yml" lines REGEX "^name: ")
  string(REGEX REPLACE "^name: " "" name "${lines}")
  add_subdirectory("${module}/${folder}" "modules/${name}")
endforeach()

function(zephyr_link)
  get_property(libraries GLOBAL PROPERTY zephyr_libraries)
  file(WRITE "${CMAKE_BINARY_DIR}/empty.c" "")
  add_executable(zephyr_final "${CMAKE_BINARY_DIR}/empty.c")
  target_link_libraries(zephyr_final PRIVATE app ${libraries})
endfunction()
cmake_language(DEFER CALL zephyr_link)
