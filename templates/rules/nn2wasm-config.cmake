# What find_package(nn2wasm CONFIG) reads.
include("${CMAKE_CURRENT_LIST_DIR}/nn2wasm.cmake")
