"""Run a WebAssembly module with wasmtime."""

from __future__ import annotations

import ctypes
import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nn2wasm.errors import InstallError, RunError, quote
from nn2wasm.loaders.session import Session, bytes_at, check_weights, outside
from nn2wasm.toolchain.promises import broken_promises, read_metadata

if TYPE_CHECKING:
    import wasmtime

# Proposals that no module of ours uses. Older wasmtime lack some of the switches.
_SWITCHED_OFF = (
    "wasm_threads",
    "wasm_tail_call",
    "wasm_memory64",
    "wasm_multi_memory",
    "wasm_gc",
    "wasm_function_references",
    "wasm_exceptions",
    "wasm_stack_switching",
    "wasm_component_model",
    "wasm_relaxed_simd_deterministic",  # a module asks the machine, and wants its own answer
)
_SWITCHED_ON = ("wasm_simd", "wasm_relaxed_simd", "wasm_bulk_memory", "wasm_custom_page_sizes")


class WasmtimeSession(Session):
    """A module in a wasmtime store of its own."""

    def __init__(self, module: bytes, weights: bytes = b"") -> None:
        """Compile and instantiate.

        Args:
            module: its bytes.
            weights: the file beside it, where it was compiled with weights from the host.

        Raises:
            RunError: not a module of nn2wasm, one that keeps none of its promises, or one that
                wasmtime does not compute exactly on this machine.
            InstallError: wasmtime is not installed.
        """
        super().__init__(read_metadata(module))
        broken = broken_promises(module)
        if broken:
            raise RunError(
                "this module is not what nn2wasm writes, it will not be run",
                facts=[("it", text) for text in broken],
                hint="compile the ONNX model again",
            )
        check_weights(self.metadata, weights)
        engine = _import()
        self._engine = engine
        self._store, exports = _instantiate(engine, module, weights)
        self._memory_export = exports["memory"]
        self._exports = exports
        self._refuse_if_inexact()
        self._find_tensors(self._call("nn_input_count"), self._call("nn_output_count"))

    def _refuse_if_inexact(self) -> None:
        asks = isinstance(self._exports.get("nn_check"), self._engine.Func)
        if asks and self._call("nn_check") != 0:
            raise RunError(
                "wasmtime would not compute this module exactly on this machine",
                facts=[("compiled for", quote(str(self.metadata["target"])))],
                hint="compile the model again with --target wasm-simd128-cranelift",
            )

    def _call(self, name: str, *arguments: int) -> int:
        try:
            return int(self._exports[name](self._store, *arguments) or 0)
        except (self._engine.Trap, self._engine.WasmtimeError) as problem:
            lines = str(problem).strip().splitlines() or [type(problem).__name__]
            reason = re.sub(r"^\s*\d+: ", "", lines[-1])
            raise RunError(f"{name} trapped: {reason.strip()}") from problem

    def _memory(self, kind: str, index: int, byte_count: int) -> NDArray[np.uint8]:
        address = self._call(f"nn_{kind}", index) & 0xFFFFFFFF
        memory = self._memory_export
        if address == 0 or address + byte_count > memory.data_len(self._store):
            raise outside(kind, index)
        start = ctypes.addressof(memory.data_ptr(self._store).contents)
        return bytes_at(start + address, byte_count)

    def _execute(self) -> int:
        return self._call("nn_run")

    def close(self) -> None:
        with self._lock:
            self._closed()
            self._exports = {}
            self._memory_export = self._store = None


def _import() -> Any:
    try:
        import wasmtime
    except ImportError:
        raise InstallError("wasmtime is not installed", hint="pip install wasmtime") from None
    return wasmtime


def _reader(engine: Any, weights: bytes) -> Any:
    """The host's function nn2wasm.read: copies a part of the weights into the caller's memory."""

    def read(caller: Any, to: int, offset: int, byte_count: int) -> None:
        part = weights[offset & 0xFFFFFFFF : (offset & 0xFFFFFFFF) + (byte_count & 0xFFFFFFFF)]
        if len(part) != byte_count & 0xFFFFFFFF:
            raise RunError("the module reads behind the end of its weights")
        caller["memory"].write(caller, part, to & 0xFFFFFFFF)

    return read


def _instantiate(
    engine: Any, module: bytes, weights: bytes
) -> tuple[wasmtime.Store, dict[str, Any]]:
    config = engine.Config()
    for names, value in ((_SWITCHED_OFF, False), (_SWITCHED_ON, True)):
        for name in names:
            if hasattr(type(config), name):
                setattr(config, name, value)
    try:
        store = engine.Store(engine.Engine(config))
        compiled = engine.Module(store.engine, module)
        imports = []
        if compiled.imports:  # the promises were checked: there is one at most
            signature = engine.FuncType([engine.ValType.i32()] * 3, [])
            read = _reader(engine, weights)
            imports.append(engine.Func(store, signature, read, access_caller=True))
        instance = engine.Instance(store, compiled, imports)
    except (engine.WasmtimeError, engine.Trap) as problem:
        raise RunError(
            f"wasmtime refuses the module: {str(problem).strip().splitlines()[-1].strip()}"
        ) from problem
    exports = instance.exports(store)
    return store, {e.name: exports[e.name] for e in compiled.exports}
