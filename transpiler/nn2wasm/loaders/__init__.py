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


def load(model: str | os.PathLike[str] | bytes, weights: bytes | None = None) -> Session:
    """A session for a module or a shared library that nn2wasm compiled.

    Args:
        model: a path or the content; what it is decides the content, not the name.
        weights: of a module that reads them from the host; where left out, the file beside the path
            with the ending .weights.

    Raises:
        RunError: the file cannot be read or is not a compiled model.
    """
    if isinstance(model, bytes | bytearray | memoryview):
        content, where, beside = bytes(model), "bytes", None
    else:
        path = Path(model)
        where, beside = str(path), path.with_suffix(".weights")
        try:
            content = path.read_bytes()
        except OSError as problem:
            raise RunError(f"cannot read '{path}': {problem.strerror or problem}") from problem
    if content.startswith(_WASM):
        if weights is None and beside is not None and beside.is_file():
            weights = beside.read_bytes()
        return WasmtimeSession(content, weights or b"")
    if content.startswith(_NATIVE):
        return NativeSession(content)
    raise RunError(
        f"not a compiled model: {where}",
        facts=[("begins with", repr(content[:8]))],
        hint="compile it first: nn2wasm compile model.onnx"
        if where.endswith(".onnx")
        else "expected a .wasm module or a shared library",
    )
