"""zig as compiler and linker, and what we write into and promise of a module."""

from nn2wasm.toolchain.build import (
    build_artifact,
    build_many,
    build_module,
    build_native,
    build_wasm,
)
from nn2wasm.toolchain.module_sizes import ModuleSizes, module_sizes
from nn2wasm.toolchain.promises import check_promises, finish_module, read_metadata

__all__ = [
    "ModuleSizes",
    "build_artifact",
    "build_many",
    "build_module",
    "build_native",
    "build_wasm",
    "check_promises",
    "finish_module",
    "module_sizes",
    "read_metadata",
]
