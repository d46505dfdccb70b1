"""Load a compiled model, whatever it was compiled to."""

from __future__ import annotations

import os
from pathlib import Path

from nn2wasm.errors import RunError
from nn2wasm.loaders.native_loader import NativeSession
from nn2wasm.loaders.session import Session
from nn2wasm.loaders.tensor_info import TensorInfo
from nn2wasm.loaders.wasmtime_loader import WasmtimeSession

__all__ = ["NativeSession", "Session", "TensorInfo", "WasmtimeSession", "load"]

_WASM = b"\0asm"
_NATIVE = (
    b"\x7fELF",
    b"MZ",
    b"\xcf\xfa\xed\xfe",  # Mach-O, 64 bits, little endian
    b"\xca\xfe\xba\xbe",  # Mach-O for several processors
)


def load(model: str | os.PathLike[str] | bytes) -> Session:
    """A session for a module or a shared library that nn2wasm compiled.

    Args:
        model: a path or the content; what it is decides the content, not the name.

    Raises:
        RunError: the file cannot be read or is not a compiled model.
    """
    if isinstance(model, bytes | bytearray | memoryview):
        content, where = bytes(model), "bytes"
    else:
        path = Path(model)
        where = str(path)
        try:
            content = path.read_bytes()
        except OSError as problem:
            raise RunError(f"cannot read '{path}': {problem.strerror or problem}") from problem
    if content.startswith(_WASM):
        return WasmtimeSession(content)
    if content.startswith(_NATIVE):
        return NativeSession(content)
    raise RunError(
        f"not a compiled model: {where}",
        facts=[("begins with", repr(content[:8]))],
        hint="compile it first: nn2wasm compile model.onnx"
        if where.endswith(".onnx")
        else "expected a .wasm module or a shared library",
    )
