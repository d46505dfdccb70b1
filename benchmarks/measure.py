"""One run: opens cells, goes round them, and measures what is not latency."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import programs
from bench_networks import CACHE, Prepared
from ceiling import build_ceiling, ceiling_job, instruction_set
from contenders import Contender
from hosts import Host, JavaScriptHost, Job, Pipe, PythonHost
from lowered import Unsupported
from programs import HERE, CannotRun
from results import Results
from to_tfjs import write_tfjs
from to_tflite import write_tflite

import nn2wasm
from nn2wasm.errors import Nn2wasmError

COLD_STARTS = 5
COLD = (
    "chromium/wasm-simd128",
    "chromium/onnxruntime",
    "chromium/litert-relaxed",
    "chromium/tfjs-wasm",
    "node/wasm-simd128",
    "node/onnxruntime",
)
COMPILED = "wasm-simd128"  # the target whose compilations are timed
PROBLEMS = (CannotRun, Unsupported, Nn2wasmError)


@dataclass
class Cell:
    """A contender on a network in one form, or a ceiling."""

    job: Job
    host: Host
    samples: list[float] = field(default_factory=list)

    @property
    def milliseconds(self) -> float:
        return statistics.median(self.samples)

    @property
    def spread(self) -> float:
        low, _, high = statistics.quantiles(self.samples, n=4)
        return (high - low) / self.milliseconds


class Run:
    """Fills a `Results`."""

    def __init__(self, chosen: list[Contender], results: Results) -> None:
        self.chosen = chosen
        self.results = results
        self.cells: list[Cell] = []
        self.hosts: dict[str, Host] = {}
        self.broken: dict[str, CannotRun] = {}
        self.chromium: Pipe | None = None

    def attempt(self, key: str, action: Callable[..., None], *arguments: Any) -> None:
        """Does something; where it cannot be done, notes why."""
        try:
            action(*arguments)
        except PROBLEMS as reason:
            self.results.failures[key] = " ".join(str(reason).split())[:160]
            say(f"  {key}: {self.results.failures[key]}")

    # -- hosts -------------------------------------------------------------------------------------

    def host(self, contender: Contender, network: str) -> Host:
        """Where a contender runs a network: a peer has a process of its own for each network.

        An engine compiles a runtime by what it has seen it do: in a process with other networks,
        LiteRT.js is up to a third slower. Our modules have no code in common.
        """
        key = f"{contender.host}/{contender.name}/{network}"
        if contender.is_ours:
            key = f"{contender.host}/ours"
        if contender.host not in ("node", "chromium"):
            key = "python"
        if contender.host in self.broken:
            raise self.broken[contender.host]
        if key not in self.hosts:
            try:
                self.hosts[key] = self.start(contender.host, key)
            except CannotRun as reason:
                self.broken[contender.host] = reason
                raise
        return self.hosts[key]

    def start(self, name: str, page: str) -> Host:
        node = programs.node_path()
        if name == "node":
            return JavaScriptHost(Pipe([node, str(HERE / "js" / "node.mjs")]))
        if name != "chromium":
            return PythonHost()
        if self.chromium is None:
            script = str(HERE / "js" / "chromium.mjs")
            self.chromium = Pipe([node, script, programs.chromium_path()])
            self.results.versions["Chromium"] = self.chromium.ask(do="version")["version"]
        return JavaScriptHost(self.chromium, page)

    def close(self) -> None:
        for host in self.hosts.values():
            host.close()

    # -- cells -------------------------------------------------------------------------------------

    def open(self, prepared: Prepared) -> None:
        """Opens a network for every contender; those that cannot are noted with the reason."""
        for contender in self.chosen:
            for variant in variants(contender, prepared):
                key = f"{contender.key}/{prepared.network.name}/{variant}"
                job = prepared_job(key, contender, prepared, variant)
                self.attempt(key, self.open_cell, contender, job)

    def open_cell(self, contender: Contender, job: Job) -> None:
        write_model(contender, job)
        host = self.host(contender, job.key.split("/")[2])
        opened = host.open(job)
        self.cells.append(Cell(job, host))
        self.results.difference[job.key] = opened.difference
        if opened.note:
            self.results.notes[job.key] = opened.note

    def open_ceilings(self) -> None:
        """Dot products alone, wherever one of ours runs with that instruction set."""
        wanted = {
            f"{c.host}/ceiling/{instruction_set(c.flavour)}": c
            for c in self.chosen
            if c.is_ours and instruction_set(c.flavour)
        }
        for key, contender in wanted.items():
            self.attempt(key, self.open_ceiling, key, contender)

    def open_ceiling(self, key: str, contender: Contender) -> None:
        job = ceiling_job(key, instruction_set(contender.flavour))
        host = self.host(contender, "ceiling")
        host.open(job)
        self.cells.append(Cell(job, host))

    def go_round(self, rounds: int) -> None:
        """Warms every cell, then visits all of them, round by round."""
        say(f"warming {len(self.cells)} cells")
        for cell in self.cells:
            cell.host.settle(cell.job)
        for turn in range(rounds + 1):
            say(f"round {turn} of {rounds}")
            for cell in self.cells:
                milliseconds = cell.host.cell(cell.job)
                if turn:  # compilers may still have been at work in the first
                    cell.samples.append(milliseconds)
        self.results.rounds = rounds
        python = self.hosts.get("python")
        if isinstance(python, PythonHost) and python.wall_seconds:
            self.results.disturbed = 1 - python.own_seconds / python.wall_seconds
        self.results.spread = statistics.median(cell.spread for cell in self.cells)
        for cell in self.cells:
            host, name, target = cell.job.key.split("/")[:3]
            if name == "ceiling":
                macs = build_ceiling(target).macs
                self.results.ceiling[f"{host}/{target}"] = macs / cell.milliseconds / 1e6
            else:
                self.results.latency[cell.job.key] = cell.milliseconds

    # -- cold starts, compilations -----------------------------------------------------------------

    def start_cold(self) -> None:
        """Every contender of `COLD` on every network, several times in turn."""
        (CACHE / "loader.mjs").write_bytes(LOADER.read_bytes())
        started = {cell.job.key.rsplit("/", 2)[0]: cell for cell in self.cells}
        names = {facts.name for facts in self.results.networks}
        cells = [c for c in self.cells if is_cold(c, started.keys() & set(COLD), names)]
        samples: dict[str, list[float]] = {}
        for turn in range(COLD_STARTS):
            say(f"cold starts {turn + 1} of {COLD_STARTS}")
            for cell in cells:
                job = cell.job
                if job.module == "ours":
                    job = replace(job, module="loader")
                self.attempt(f"{job.key} cold", self.cold, cell, job, samples)
        for key, values in samples.items():
            self.results.cold[key] = statistics.median(values)

    def cold(self, cell: Cell, job: Job, samples: dict[str, list[float]]) -> None:
        started = cell.host.cold(job)
        samples.setdefault(job.key, []).append(started.milliseconds)
        self.results.memory[job.key] = started.memory

    def time_compilations(self, prepared: Prepared) -> None:
        """From the ONNX file to the module on disk, with the toolchain's cache filled."""
        for variant in ("f32", "int8"):
            model = prepared.onnx[variant]
            path = model.with_suffix(".again.wasm")
            for _ in range(2):
                start = time.perf_counter()
                nn2wasm.compile_model(model, path, target=COMPILED)
                seconds = time.perf_counter() - start
            key = f"{COMPILED}/{prepared.network.name}/{variant}"
            self.results.compile_seconds[key] = seconds


LOADER = HERE.parent / "templates" / "model" / "loader.mjs"


def is_cold(cell: Cell, contenders: set[str], names: set[str]) -> bool:
    """One form of each network: int8, or float32 for those that have nothing else."""
    *contender, network, variant = cell.job.key.split("/")
    key = "/".join(contender)
    form = "f32" if "tfjs" in key else "int8"
    return key in contenders and network in names and variant == form


def variants(contender: Contender, prepared: Prepared) -> list[str]:
    named = [v for v in contender.variants if v in prepared.onnx]
    rest = [v for v in prepared.onnx if v not in ("f32", "int8")]
    return named + (rest if "*" in contender.variants else [])


def prepared_job(key: str, contender: Contender, prepared: Prepared, variant: str) -> Job:
    model = prepared.onnx[variant]
    file = model.with_suffix(f".{contender.format}")
    expected = model.with_suffix(".expected.bin")
    shape = tuple(prepared.feed.shape)
    return Job(key, contender.module, contender.flavour, file, prepared.input, expected, shape)


def write_model(contender: Contender, job: Job) -> None:
    """The file that a contender takes, where it is not there yet."""
    file = job.model
    if file.exists():
        return
    source = file.with_name(file.name.replace(f".{contender.format}", ".onnx"))
    if contender.format == "tflite":
        write_tflite(source, file)
    elif contender.format == "tfjs.json":
        write_tfjs(source, file)
    else:
        nn2wasm.compile_model(source, file, target=contender.flavour)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
