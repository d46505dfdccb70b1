"""What every module of nn2wasm promises, checked by reading our own output.

No imports (but `READ_IMPORT`, where weights come from the host), one memory of fixed size, no
table, no start function, no memory.grow, the exports of `EXPORTS`, and a section ``nn2wasm`` with
JSON that tells loaders everything they need.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from nn2wasm.errors import InternalError, RunError
from nn2wasm.target import FROM_HOST
from nn2wasm.toolchain.instructions import MEMORY_GROW, walk
from nn2wasm.toolchain.wasm_file import (
    ExportKind,
    Memory,
    SectionId,
    WasmFile,
    first_export,
    unsigned_leb,
)

ABI_VERSION = 1
SECTION_NAME = "nn2wasm"
METADATA_KEYS = (
    "abi",
    "model",
    "version",
    "target",
    "inputs",
    "outputs",
    "arena_bytes",
    "weight_bytes",
    "macs",
    "model_sha256",
)
EXPORTS: Mapping[str, ExportKind] = {
    "memory": ExportKind.MEMORY,
    "nn_abi_version": ExportKind.FUNCTION,
    "nn_input_count": ExportKind.FUNCTION,
    "nn_output_count": ExportKind.FUNCTION,
    "nn_input": ExportKind.FUNCTION,
    "nn_output": ExportKind.FUNCTION,
    "nn_run": ExportKind.FUNCTION,
    "__heap_base": ExportKind.GLOBAL,
    "__data_end": ExportKind.GLOBAL,
}

READ_IMPORT = ("nn2wasm", "read")
"""The only import that there may be, and only where weights come from the host."""

# memory.grow of memory 0, its index possibly padded. A body without such bytes needs no walk:
# they are rare, so the check costs next to nothing.
_MAY_GROW = re.compile(rb"\x40\x80{0,4}\x00", re.DOTALL)


def metadata_text(metadata: Mapping[str, object]) -> str:
    """Compact JSON in a stable order: the keys of `METADATA_KEYS`, then the others by name.

    Raises:
        InternalError: a value is not JSON, or not finite.
    """
    known = [key for key in METADATA_KEYS if key in metadata]
    others = sorted(set(metadata) - set(known))
    try:
        return json.dumps(
            {key: metadata[key] for key in (*known, *others)},
            separators=(",", ":"),
            ensure_ascii=False,
            allow_nan=False,
        )
    except (TypeError, ValueError) as problem:
        raise InternalError(f"metadata of the module is not JSON: {problem}") from problem


def parse_metadata(text: bytes) -> dict[str, Any]:
    """The metadata of a module or library.

    Raises:
        RunError: not JSON, a key is missing, or a newer interface than this version knows.
    """
    try:
        found = json.loads(text.decode("utf-8"))
    except ValueError as problem:
        raise RunError(f"the metadata of the model is damaged: {problem}") from problem
    missing = [key for key in METADATA_KEYS if not isinstance(found, dict) or key not in found]
    if missing:
        raise RunError("the metadata of the model lacks " + ", ".join(missing))
    if found["abi"] != ABI_VERSION:
        raise RunError(
            f"the model has interface version {found['abi']}, this nn2wasm knows {ABI_VERSION}",
            hint="compile the model again, or update nn2wasm",
        )
    return dict(found)


def read_metadata(module: bytes) -> dict[str, Any]:
    """What a module tells about itself.

    Raises:
        RunError: not WebAssembly, or not made by nn2wasm.
    """
    section = WasmFile.parse(module).custom(SECTION_NAME)
    if section is None:
        raise RunError(
            "this WebAssembly module was not made by nn2wasm",
            facts=[("missing", f"custom section '{SECTION_NAME}'")],
            hint="compile the ONNX model with nn2wasm; a tool may also have stripped the section",
        )
    return parse_metadata(section)


def broken_promises(module: bytes) -> list[str]:
    """Every promise that a module does not keep, in words; RunError if it cannot be read."""
    wasm = WasmFile.parse(module)
    from_host = bool(wasm.imports) and reads_from_host(module)
    broken = [
        f"imports '{i.module}.{i.name}'"
        for i in wasm.imports
        if not (from_host and (i.module, i.name) == READ_IMPORT)
    ]
    broken += _memory_promises(wasm.memories)
    broken += [
        f"has a {section.name.lower()} section"
        for section in (SectionId.TABLE, SectionId.ELEMENT, SectionId.START, SectionId.TAG)
        if wasm.body(section) is not None
    ]
    exports = wasm.exports
    broken += [
        f"does not export the {kind.name.lower()} '{name}'"
        for name, kind in EXPORTS.items()
        if first_export(exports, name, kind) is None
    ]
    broken += _growing_functions(wasm)
    try:
        read_metadata(module)
    except RunError as problem:
        broken.append(problem.message)
    return broken


def reads_from_host(module: bytes) -> bool:
    """Whether a module says that its weights come from the host."""
    section = WasmFile.parse(module).custom(SECTION_NAME)
    return section is not None and parse_metadata(section).get("weights") == FROM_HOST


def _memory_promises(memories: tuple[Memory, ...]) -> Iterator[str]:
    if len(memories) != 1:
        yield f"has {len(memories)} memories, not one"
    for memory in memories:
        if memory.minimum != memory.maximum:
            yield f"memory may grow from {memory.minimum} pages to {memory.maximum}"
        if memory.shared:
            yield "memory is shared"


def _growing_functions(wasm: WasmFile) -> Iterator[str]:
    for index, body in enumerate(wasm.function_bodies):
        if _MAY_GROW.search(body) and any(i.opcode == MEMORY_GROW for i in walk(body)):
            yield f"function {index} contains memory.grow"


def check_promises(module: bytes) -> None:
    """Raise InternalError that lists every promise the module breaks."""
    broken = broken_promises(module)
    if broken:
        raise InternalError(
            "the module breaks a promise of nn2wasm",
            facts=[("broken", text) for text in broken],
            hint="this is a bug of nn2wasm, please report it",
        )


def finish_module(raw: bytes, metadata: Mapping[str, object]) -> bytes:
    """A linked module with our sections in place of the linker's and the smallest fixed memory.

    Args:
        raw: what wasm-ld wrote.
        metadata: the keys of `METADATA_KEYS` (``abi`` is filled in) and further ones;
            ``memory_bytes``, how much of the memory is used, is added.

    Raises:
        InternalError: the module does not keep our promises.
    """
    wasm = WasmFile.parse(raw).without(SectionId.CUSTOM)
    if wasm.body(SectionId.ELEMENT) is None:  # wasm-ld writes a table even if nothing is in it
        wasm = wasm.without(SectionId.TABLE)
    used: dict[str, int] = {}
    if len(wasm.memories) == 1:
        memory = wasm.memories[0]
        used = {"memory_bytes": wasm.exported_global("__heap_base")}
        pages = -(-used["memory_bytes"] // memory.page_bytes)
        wasm = wasm.with_memory(Memory(pages, pages, memory.page_bytes))
    text = metadata_text({"abi": ABI_VERSION, **metadata, **used})
    wasm = wasm.with_custom(SECTION_NAME, text.encode("utf-8"))
    wasm = wasm.with_custom("producers", _producers(str(metadata.get("version", ""))))
    module = wasm.to_bytes()
    check_promises(module)
    return module


def _producers(version: str) -> bytes:
    """The standard section that says which tool a module came from."""

    def text(value: str) -> bytes:
        data = value.encode("utf-8")
        return unsigned_leb(len(data)) + data

    return b"\1" + text("processed-by") + b"\1" + text("nn2wasm") + text(version)
