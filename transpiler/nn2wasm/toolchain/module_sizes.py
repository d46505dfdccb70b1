"""Where the bytes of a module go."""

from __future__ import annotations

from dataclasses import dataclass

from nn2wasm.toolchain.wasm_file import SectionId, WasmFile


@dataclass(frozen=True, slots=True)
class ModuleSizes:
    """Where the bytes of a module go.

    Attributes:
        total: the whole file.
        code: bodies of all functions.
        data: contents of all data segments, mostly weights.
        custom: custom sections with their headers: metadata.
        function_count: functions that the module defines.
        memory_bytes: linear memory, which the runtime allocates.
    """

    total: int
    code: int
    data: int
    custom: int
    function_count: int
    memory_bytes: int


def module_sizes(module: bytes) -> ModuleSizes:
    """Where the bytes of a module go."""
    wasm = WasmFile.parse(module)
    bodies = wasm.function_bodies
    return ModuleSizes(
        total=len(module),
        code=sum(map(len, bodies)),
        data=wasm.data_bytes,
        custom=len(module) - len(wasm.without(SectionId.CUSTOM).to_bytes()),
        function_count=len(bodies),
        memory_bytes=sum(m.minimum * m.page_bytes for m in wasm.memories),
    )
