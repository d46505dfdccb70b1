"""Where networks run: Node and Chromium behind a pipe, wasmtime and libraries in this process.

Every host answers the same questions: open a network, settle, time a cell, start cold.
"""

from __future__ import annotations

import ctypes
import json
import statistics
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import wasmtime
from programs import HERE, LOG, CannotRun, log_file

import nn2wasm

Array = np.ndarray[Any, Any]
BATCH_SECONDS, CELL_SECONDS = 0.002, 0.05
WARM_SECONDS, WARM_SECONDS_AT_MOST, WARM_CALLS, SETTLED = 0.3, 6.0, 20, 1.03


@dataclass(frozen=True)
class Job:
    """A contender on a network.

    Attributes:
        key: names the cell.
        module: which of js/contenders (or of the functions below) runs it.
        flavour: a choice within it.
        model: file of the model.
        input: raw float32 input.
        expected: raw float32 output.
        shape: of the input.
    """

    key: str
    module: str
    flavour: str
    model: Path
    input: Path
    expected: Path
    shape: tuple[int, ...] = field(default=())


@dataclass(frozen=True)
class Opened:
    """What a host says about a network that it loaded: distance to the expected answer, a note."""

    difference: float
    note: str = ""


@dataclass(frozen=True)
class Cold:
    """A start from nothing to the first result, and the linear memory that it took."""

    milliseconds: float
    memory: int


class Host(ABC):
    @abstractmethod
    def open(self, job: Job) -> Opened:
        """Loads the network and runs it once; raises CannotRun."""

    @abstractmethod
    def settle(self, job: Job) -> None:
        """Runs it until it gets no faster."""

    @abstractmethod
    def cell(self, job: Job) -> float:
        """Milliseconds of a run: the lower quartile of batches."""

    def cold(self, job: Job) -> Cold:
        """Starts it anew; raises CannotRun where that means nothing on this host."""
        raise CannotRun("cold starts are measured in Node and Chromium")

    def close(self) -> None:
        """Ends what was started; nothing, where that is this process."""
        return


# -- JavaScript ----------------------------------------------------------------------------------


class Pipe:
    """A child process that answers a line of JSON with a line of JSON."""

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log_file(), text=True
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise CannotRun(f"its process ended; see {LOG.relative_to(HERE)}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise CannotRun(answer["error"])
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            self.process.wait()


class JavaScriptHost(Host):
    """A page of Chromium, or a Node process."""

    def __init__(self, pipe: Pipe, page: str = "") -> None:
        self.pipe = pipe
        self.page = page

    def ask(self, do: str, job: Job, **more: Any) -> dict[str, Any]:
        return self.pipe.ask(do=do, key=job.key, page=self.page, **more)

    def open(self, job: Job) -> Opened:
        answer = self.question("open", job)
        return Opened(answer["difference"], answer["note"])

    def question(self, do: str, job: Job) -> dict[str, Any]:
        """Asks something that takes all of a job."""
        files = {name: url(getattr(job, name)) for name in ("model", "input", "expected")}
        about = {"contender": job.module, "flavour": job.flavour, "files": files}
        return self.ask(do, job, shape=job.shape, **about)

    def settle(self, job: Job) -> None:
        self.ask("settle", job)

    def cell(self, job: Job) -> float:
        return float(self.ask("cell", job)["milliseconds"])

    def cold(self, job: Job) -> Cold:
        if self.page:
            answer = self.question("cold", job)
        else:
            fresh = JavaScriptHost(Pipe(self.pipe.command))
            answer = fresh.question("cold", job)
            fresh.close()
        return Cold(answer["milliseconds"], answer["bytes"])

    def close(self) -> None:
        self.pipe.close()


def url(path: Path) -> str:
    """Where the browser finds a file, and Node below the folder of the benchmarks."""
    return f"/{path.relative_to(HERE).as_posix()}"


# -- Python --------------------------------------------------------------------------------------


class PythonHost(Host):
    """wasmtime, shared libraries and onnxruntime: run from Python, whose call costs some µs.

    Its cells also tell how much of the core other programs had meanwhile.
    """

    def __init__(self) -> None:
        self.runs: dict[str, Callable[[], Any]] = {}
        self.calls: dict[str, int] = {}
        self.wall_seconds = self.own_seconds = 0.0

    def open(self, job: Job) -> Opened:
        feed = np.fromfile(job.input, np.float32).reshape(job.shape)
        expected = np.fromfile(job.expected, np.float32)
        try:
            run = {"ours": self._ours, "ort": self._ort}[job.module](job, feed)
            actual = np.asarray(run()).reshape(-1)
        except Exception as problem:
            raise CannotRun(str(problem)) from problem
        self.runs[job.key] = run
        return Opened(float(np.abs(actual - expected).max() / (np.ptp(expected) or 1)))

    def _ours(self, job: Job, feed: Array) -> Callable[[], Any]:
        given = feed.reshape(-1)
        count = job.expected.stat().st_size // 4
        if job.model.suffix == ".wasm":
            call, x, y = _wasmtime(job.model, given.size, count)
        else:
            session = nn2wasm.load(job.model)
            call = session._execute
            x, y = (v[0].view(np.float32) for v in (session._input_views, session._output_views))

        def run() -> Any:
            x[:] = given
            call()
            return y.copy()

        return run

    def _ort(self, job: Job, feed: Array) -> Callable[[], Any]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            job.model, options, providers=["CPUExecutionProvider"]
        )
        feeds = {session.get_inputs()[0].name: feed}
        return lambda: session.run(None, feeds)[0]

    def settle(self, job: Job) -> None:
        run, history, total = self.runs[job.key], list[float](), 0
        calls, start = 1, time.perf_counter()
        while (spent := time.perf_counter() - start) < WARM_SECONDS_AT_MOST:
            each = _batch(run, calls)
            history.append(each)
            total += calls
            calls = max(1, round(BATCH_SECONDS / each))
            if spent < WARM_SECONDS or total < WARM_CALLS or len(history) < 10:
                continue
            if statistics.median(history[-10:-5]) < statistics.median(history[-5:]) * SETTLED:
                break
        self.calls[job.key] = calls

    def cell(self, job: Job) -> float:
        calls, values, spent = self.calls[job.key], list[float](), 0.0
        wall, own = time.perf_counter(), time.process_time()
        while spent < CELL_SECONDS or (len(values) < 3 and spent < 3 * CELL_SECONDS):
            values.append(_batch(self.runs[job.key], calls))
            spent += values[-1] * calls
        self.wall_seconds += time.perf_counter() - wall
        self.own_seconds += time.process_time() - own
        return sorted(values)[(len(values) - 1) // 4] * 1e3


def _wasmtime(path: Path, inputs: int, outputs: int) -> tuple[Callable[[], Any], Array, Array]:
    """nn_run of a module, and its first input and output in place."""
    config = wasmtime.Config()
    config.wasm_custom_page_sizes = True
    store = wasmtime.Store(wasmtime.Engine(config))
    module = wasmtime.Module.from_file(store.engine, str(path))
    exports = wasmtime.Instance(store, module, []).exports(store)
    start = ctypes.addressof(exports["memory"].data_ptr(store).contents)

    def view(name: str, count: int) -> Array:
        floats = (ctypes.c_float * count).from_address(start + exports[name](store, 0))
        return np.ctypeslib.as_array(floats)

    return lambda: exports["nn_run"](store), view("nn_input", inputs), view("nn_output", outputs)


def _batch(run: Callable[[], Any], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) / calls
