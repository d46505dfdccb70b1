"""A network on a core, made small or fast: what it takes of the machine."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from emulated_boards import Board
from firmware import Feeds, build_object, build_program, run_program

import nn2wasm
from nn2wasm.api import Compiled, Options, generate, plan_model
from nn2wasm.target import Optimize, find_target
from nn2wasm.toolchain import build_artifact

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared" / "models"
BUNDLED = REPOSITORY / "examples" / "digits"
NETWORKS = (
    "ic_resnet8_int8_tflite",
    "vww_mbv1_025_96_int8_tflite",
    "kws_dscnn_int8_tflite",
    "ad_autoencoder_int8_tflite",
)


class WrongBytes(AssertionError):
    """A program on a board gave something else than the network in WebAssembly."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What is measured."""

    network: Path
    board: Board
    optimize: Optimize


@dataclass(frozen=True, slots=True)
class Figures:
    """What a network takes on a core.

    Attributes:
        network: its file's stem.
        core: as people call it.
        optimize: speed or size.
        macs: multiply-accumulates that are left of it.
        instructions: of one run.
        code: bytes of instructions.
        constants: bytes of weights and all else that is only read.
        weights: bytes of constants that layers take.
        arena: bytes that the caller provides.
        stack: bytes below the caller's frame.
        libraries: functions that it calls.
    """

    network: str
    core: str
    optimize: str
    macs: int
    instructions: int
    code: int
    constants: int
    weights: int
    arena: int
    stack: int
    libraries: list[str]


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer's share."""

    name: str
    kernel: str
    macs: int
    outputs: int
    instructions: int


@dataclass(frozen=True, slots=True)
class Measured:
    figures: Figures
    layers: list[Layer] = field(default_factory=list)


def usual_networks() -> tuple[list[Path], str]:
    """The networks to measure, and what there is to say about missing ones."""
    paths = [SHARED / f"{name}.onnx" for name in NETWORKS]
    present = [path for path in paths if path.is_file()]
    if present:
        missing = [path.stem for path in paths if path not in present]
        return present, f"missing, and left out: {', '.join(missing)}" if missing else ""
    remark = f"no models in {SHARED.name}/: only the bundled digits network is measured"
    return [BUNDLED / "digits_int8.onnx"], remark


def measure_all(
    cells: Sequence[Cell], *, layers: bool, on_done: Callable[[Measured], None]
) -> list[Measured]:
    """All cells, as many at a time as there are processors: counts do not depend on it."""

    def one(cell: Cell) -> Measured:
        measured = measure(cell, layers=layers)
        on_done(measured)
        return measured

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(one, cells))


def measure(cell: Cell, *, layers: bool = False) -> Measured:
    """One cell, its output compared with that of the network in WebAssembly.

    Raises:
        WrongBytes: they differ.
    """
    compiled = plan_model(cell.network, cell.board.target, Options(optimize=cell.optimize))
    plan, tree = compiled.plan, generate(compiled)
    feeds = sample(cell.network)
    with tempfile.TemporaryDirectory(prefix="nn2wasm-mcu-") as name:
        folder = Path(name)
        made = build_object(tree, plan.target, folder / "object")
        program = build_program(
            tree, plan.target, cell.board, [feeds], folder / "program", layers=layers
        )
        (run,) = run_program(program, cell.board, tree)
    for port, expected in reference(cell.network).items():
        if run.outputs[port].tobytes() != expected.tobytes():
            raise WrongBytes(f"{cell.network.stem} on {cell.board.core}: output {port!r}")
    figures = Figures(
        network=cell.network.stem,
        core=cell.board.core,
        optimize=cell.optimize,
        macs=plan.macs,
        instructions=run.instructions,
        code=made.code,
        constants=made.constants,
        weights=plan.weight_bytes,
        arena=plan.memory.arena_bytes,
        stack=run.stack_bytes,
        libraries=sorted(made.undefined),
    )
    return Measured(figures, layers_of(compiled, run.layers) if layers else [])


def layers_of(compiled: Compiled, counts: Sequence[int]) -> list[Layer]:
    """The layers of a plan with what was counted for each."""
    return [
        Layer(
            f"{call.index:02d} {call.node.op.kind}",
            call.choice.kernel.symbol,
            call.node.op.macs(call.node),
            call.node.output.element_count,
            count,
        )
        for call, count in zip(compiled.plan.calls, counts, strict=True)
    ]


def sample(network: Path) -> Feeds:
    """One real input where there are recorded ones, an image of the bundled example else."""
    if network.parent == BUNDLED:
        pixels = np.load(BUNDLED / "test_images.npz")["pixels"][0]
        return {"image": pixels[None].astype(np.float32) / 16}
    recorded = np.load(network.with_suffix(".npz"))
    graph = onnx.load(str(network)).graph
    constants = {tensor.name for tensor in graph.initializer}
    names = [value.name for value in graph.input if value.name not in constants]
    return {name: recorded[f"in_{k}"][0] for k, name in enumerate(names)}


@cache
def reference(network: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The outputs of the sample in wasmtime, from scalar kernels."""
    target = find_target("wasm")
    module = build_artifact(generate(plan_model(network, target)), target)
    with nn2wasm.load(module) as session:
        return dict(session.run(sample(network)))


def to_json(figures: Sequence[Figures], remark: str) -> str:
    """Everything that the page is written from."""
    return json.dumps({"remark": remark, "figures": [asdict(each) for each in figures]}, indent=1)


def from_json(text: str) -> tuple[list[Figures], str]:
    """What `to_json` wrote."""
    read = json.loads(text)
    return [Figures(**each) for each in read["figures"]], read["remark"]
