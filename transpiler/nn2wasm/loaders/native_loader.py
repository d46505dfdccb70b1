"""Run a model that was compiled to a shared library. Loading one executes its code: trust it."""

from __future__ import annotations

import ctypes
import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nn2wasm.errors import RunError
from nn2wasm.loaders.session import Session, bytes_at, outside
from nn2wasm.toolchain.promises import ABI_VERSION, parse_metadata

_COUNTS = ("nn_abi_version", "nn_input_count", "nn_output_count", "nn_run")


class NativeSession(Session):
    """A shared library, loaded from a private copy: two sessions never share an arena."""

    def __init__(self, library: bytes) -> None:
        """Load the library.

        Raises:
            RunError: it is for another machine, or was not made by nn2wasm.
        """
        self._functions = _load(library)
        text = self._functions.nn_metadata()
        super().__init__(parse_metadata(text or b""))
        if self._functions.nn_abi_version() != ABI_VERSION:
            raise RunError("the library has another interface version than its metadata")
        self._find_tensors(self._functions.nn_input_count(), self._functions.nn_output_count())

    def _memory(self, kind: str, index: int, byte_count: int) -> NDArray[np.uint8]:
        address = getattr(self._functions, f"nn_{kind}")(index)
        if not address:
            raise outside(kind, index)
        return bytes_at(address, byte_count)

    def _call(self, name: str, *arguments: int) -> int:
        return int(getattr(self._functions, name)(*arguments) or 0)

    def _execute(self) -> int:
        return int(self._functions.nn_run())

    def close(self) -> None:
        """The library stays mapped until the process ends: unmapping under a caller is worse."""
        with self._lock:
            self._closed()


def _load(library: bytes) -> ctypes.CDLL:
    handle, name = tempfile.mkstemp(prefix="nn2wasm-", suffix=".dll" if os.name == "nt" else ".so")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(library)
        os.chmod(name, 0o700)
        functions = ctypes.CDLL(name)
        for function in _COUNTS:
            getattr(functions, function).restype = ctypes.c_int
        for function in ("nn_input", "nn_output"):
            getattr(functions, function).restype = ctypes.c_void_p
            getattr(functions, function).argtypes = [ctypes.c_int]
        functions.nn_metadata.restype = ctypes.c_char_p
    except OSError as problem:
        raise RunError(
            f"this machine cannot load the library: {problem}",
            hint="compile the model for this machine with --target host",
        ) from problem
    except AttributeError as problem:
        raise RunError(
            "this library was not made by nn2wasm", facts=[("problem", str(problem))]
        ) from problem
    finally:
        if os.name != "nt":  # Windows keeps the file of a loaded library open
            Path(name).unlink(missing_ok=True)
    return functions
