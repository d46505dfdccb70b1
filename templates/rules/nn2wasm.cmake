# nn2wasm.cmake - compiles ONNX models as a part of your build:
#
#   execute_process(COMMAND nn2wasm rules OUTPUT_VARIABLE nn2wasm_DIR OUTPUT_STRIP_TRAILING_WHITESPACE)
#   find_package(nn2wasm CONFIG REQUIRED)
#
#   nn2wasm_add_model(digits models/digits_int8.onnx)
#   target_link_libraries(firmware PRIVATE digits)
#
# nn2wasm_add_model(<name> <model.onnx> [TARGET <target>] [OPTIONS <option>...])
#
#   Adds the static library <name>: <name>.c, made by nn2wasm when the model, or its external data, is newer.
#   Whoever links it includes <name>.h, whose functions begin with <name>_.
#   TARGET    what to compile for, see `nn2wasm targets`
#   OPTIONS   further options of nn2wasm, e.g. --io int8
#
# NN2WASM_EXECUTABLE is the command, found on PATH unless you set it.
include_guard(GLOBAL)

if(CMAKE_VERSION VERSION_LESS 3.20)
  message(FATAL_ERROR "nn2wasm.cmake needs CMake 3.20 or newer")
endif()

find_program(NN2WASM_EXECUTABLE nn2wasm DOC "The compiler of neural networks")

function(nn2wasm_add_model name model)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "TARGET" "OPTIONS")
  if(DEFINED arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "nn2wasm_add_model(${name}): what is ${arg_UNPARSED_ARGUMENTS}?")
  endif()
  if(NOT NN2WASM_EXECUTABLE)
    message(FATAL_ERROR "nn2wasm is not on PATH: install it with pip, or set NN2WASM_EXECUTABLE")
  endif()
  get_filename_component(model "${model}" ABSOLUTE)
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/nn2wasm/${name}")
  file(MAKE_DIRECTORY "${folder}")
  if(DEFINED arg_TARGET)
    list(PREPEND arg_OPTIONS --target "${arg_TARGET}")
  endif()
  set(outputs "${folder}/${name}.c" "${folder}/${name}.h")
  set(touch "")
  if(NOT CMAKE_GENERATOR MATCHES "Ninja")
    # nn2wasm leaves outputs that did not change alone. Ninja sees that; the others go by times, also by those of files
    # that CMake writes for them.
    set(touch COMMAND "${CMAKE_COMMAND}" -E touch ${outputs})
  endif()
  add_custom_command(
    OUTPUT ${outputs}
    COMMAND "${NN2WASM_EXECUTABLE}" "${model}" -o "${folder}/${name}.c"
      --quiet --depfile "${folder}/${name}.d" ${arg_OPTIONS}
    ${touch}
    DEPENDS "${model}"
    DEPFILE "${folder}/${name}.d"
    COMMENT "Compiling the neural network ${name}"
    VERBATIM
  )
  add_library(${name} STATIC ${outputs})
  target_include_directories(${name} PUBLIC "${folder}")
  set_target_properties(${name} PROPERTIES
    C_STANDARD 11
    C_STANDARD_REQUIRED ON
    C_EXTENSIONS OFF
  )
  if(CMAKE_C_COMPILER_ID MATCHES "GNU|Clang")
    # Fused or reordered float operations round differently: keep to the written ones.
    target_compile_options(${name} PRIVATE
      -ffp-contract=off -fno-math-errno -fno-strict-aliasing)
  endif()
endfunction()
