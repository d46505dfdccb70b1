"""Measures what each kernel costs on each core, for `nn2wasm fit` to estimate with.

    make mcu-costs        all targets, half an hour; writes transpiler/nn2wasm/estimate/costs.json

Networks of ../shared/models are compiled for each target and run on emulated cores: instructions
of each layer from the core's own clock, bytes of each function from the object, frames from the
compiler, library functions from relocations. Figures are fitted to that kernel by kernel; their
errors come from networks that the fit does not see. To be run again when kernels change.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from cost_figures import FunctionMeasured, LayerMeasured, NetworkMeasured, figures_of
from cost_objects import MeasuredObject, library_bytes, measure_object
from emulated_boards import Board, board_of
from firmware import build_program, run_program, telling_of_layers

import nn2wasm.estimate.costs as reader
from nn2wasm.api import Compiled, Options, generate, plan_model
from nn2wasm.target import Optimize, Target, find_target

HERE = Path(__file__).resolve().parent
MODELS = HERE.parents[2] / "shared" / "models"
PAGE = HERE.parents[1] / "docs" / "fit.md"
TABLE = HERE.parents[1] / "transpiler" / "nn2wasm" / "estimate" / "costs.json"

SEEN = """
digits_cnn_f32 digits_cnn_ptq_qdq_s8 effnet_lite_64_ptq_qdq_s8 effnet_se_64_ptq_qdq_s8
hello_sine_int8_tflite kw_conv1d_ptq_qdq_s8 mbv3_block_64_ptq_qdq_s8 micro_speech_int8_tflite
person_detect_int8_tflite effnet_lite_64_f32 strww_dscnn1d_ptq_qdq_s8 tiny_transformer_f32
unet_small_64_f32 unet_small_64_ptq_qdq_s8
""".split()
"""Networks that the figures come from: no more than 512 KB of flash, many kernels and shapes."""
UNSEEN = """
ic_resnet8_int8_tflite vww_mbv1_025_96_int8_tflite kws_dscnn_int8_tflite ad_autoencoder_int8_tflite
ic_resnet8_f32 kws_dscnn_f32
""".split()
"""The networks of MLPerf Tiny: errors are theirs, figures are not."""

WAYS: tuple[Optimize, ...] = ("speed", "size")
"""What code is made for; both run layer by layer, so that each can be told from the others."""

INNERMOST = re.compile(r"[{\[][^{}\[\]]*[}\]]")
INNERMOST_OF_TWO = re.compile(r'\{\n\s+"code": [^{}]*\{[^{}]*\}[^{}]*\}')

MARKS = ("<!-- errors, written by make mcu-costs -->", "<!-- end of errors -->")

TOLD_BYTES = 4
"""Of a call behind each layer, which tells of its end."""

MEASURED_BY = {
    # target: the target whose board runs it, and the core as people call it
    "cortex-m0": ("cortex-m0", "Cortex-M0"),
    "cortex-m3": ("cortex-m3", "Cortex-M3"),
    "cortex-m4": ("cortex-m4", "Cortex-M4"),
    "cortex-m7": ("cortex-m7", "Cortex-M7"),
    "cortex-m33": ("cortex-m33", "Cortex-M33"),
    "cortex-m55": ("cortex-m55", "Cortex-M55"),
    "cortex-m85": ("cortex-m55", "Cortex-M55"),
    "rv32imc": ("rv32imc", "RV32IMC"),
    "c": ("cortex-m4", "a Cortex-M4, portable C"),
}
TAKEN_FROM = {"esp32": "c"}
"""Cores that cannot be measured, and whose figures stand for theirs."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", default=",".join(MEASURED_BY), help="with commas")
    parser.add_argument("--jobs", type=int, default=2, help="networks at a time")
    arguments = parser.parse_args()
    if not MODELS.is_dir():
        raise SystemExit(f"the networks are missing: {MODELS}")
    table = json.loads(TABLE.read_text()) if TABLE.is_file() else {"targets": {}}
    for name in arguments.targets.split(","):
        table["targets"][name] = {way: measure(name, way, arguments.jobs) for way in WAYS}
    table["targets"] |= TAKEN_FROM
    order = [name for name in (*MEASURED_BY, *TAKEN_FROM) if name in table["targets"]]
    table["targets"] = {name: table["targets"][name] for name in order}
    TABLE.write_text(table_text(table))
    PAGE.write_text(with_errors(PAGE.read_text(), table))


def table_text(table: dict[str, Any]) -> str:
    """JSON with a line for each kernel."""
    text = json.dumps(table, indent=1, ensure_ascii=False)
    text = INNERMOST.sub(lambda match: " ".join(match[0].split()), text)
    return INNERMOST_OF_TWO.sub(lambda match: " ".join(match[0].split()), text) + "\n"


def with_errors(page: str, table: dict[str, Any]) -> str:
    """The page with the errors of the table between its two marks."""
    rows = [
        "| target | measured on | flash | instructions |",
        "|---|---|---|---|",
    ]
    for name, ways in table["targets"].items():
        ways = table["targets"][ways] if isinstance(ways, str) else ways
        errors = [
            " / ".join(f"{figures[key]:.0%}" for figures in ways.values())
            for key in ("flash_error", "instruction_error")
        ]
        core = next(iter(ways.values()))["measured_as"]
        rows.append(f"| `{name}` | {core} | {errors[0]} | {errors[1]} |")
    begin, end = (page.index(mark) for mark in MARKS)
    head = page[: begin + len(MARKS[0])]
    return "\n".join([head, *rows, page[end:]])


def measure(name: str, optimize: Optimize, jobs: int) -> dict[str, Any]:
    """The figures of a target made for one thing."""
    by, core = MEASURED_BY[name]
    board = board_of(by)
    target = _compiled_as(name, by).optimized(optimize)
    paths = [MODELS / f"{stem}.onnx" for stem in [*SEEN, *UNSEEN]]
    with ThreadPoolExecutor(jobs) as pool:
        done = list(pool.map(lambda path: _network(path, target, board), paths))
    networks = [network for _, network in done]
    names = {n for network in networks for layer in network.layers for n in layer.library}
    with tempfile.TemporaryDirectory() as folder:
        library = library_bytes(sorted(names), target, board, Path(folder))
    figures = figures_of(networks[: len(SEEN)], library, core)
    figures |= {"flash_error": 0.0, "instruction_error": 0.0}
    errors = [_errors(*each, figures, name) for each in done[len(SEEN) :]]
    for index, key in enumerate(("flash_error", "instruction_error")):
        figures[key] = -(-max(each[index] for each in errors) * 100 // 1) / 100
    flash, instructions = figures["flash_error"], figures["instruction_error"]
    say(f"{name} for {optimize}: flash within {flash:.0%}, instructions within {instructions:.0%}")
    return figures


def _compiled_as(name: str, by: str) -> Target:
    """The target, with another's compiler where it has none of its own."""
    target, other = find_target(name), find_target(by)
    if target.zig_triple:
        return target
    return replace(target, zig_triple=other.zig_triple, zig_flags=other.zig_flags)


def _network(path: Path, target: Target, board: Board) -> tuple[Compiled, NetworkMeasured]:
    compiled = plan_model(path, target, Options(name="network", optimize=target.optimize))
    tree = telling_of_layers(generate(compiled))
    feeds = _feeds(path, compiled)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measured = measure_object(tree, target, folder)
        built = folder / "network.o"
        program = build_program(tree, target, board, [feeds], folder, network=built)
        (run,) = run_program(program, board, tree)
    network = NetworkMeasured(path.stem, instructions=run.instructions, stack_bytes=run.stack_bytes)
    _describe(network, compiled, measured, run.layers)
    return compiled, network


def _feeds(path: Path, compiled: Compiled) -> dict[str, Any]:
    """The first recorded sample."""
    with np.load(path.with_suffix(".npz")) as arrays:
        inputs = compiled.plan.graph.inputs
        return {tensor.name: arrays[f"in_{i}"][0] for i, tensor in enumerate(inputs)}


def _describe(
    network: NetworkMeasured, compiled: Compiled, made: MeasuredObject, instructions: list[int]
) -> None:
    """Turns sizes and frames of C functions into those of layers and kernels."""
    plan = compiled.plan
    functions = reader.KernelSet(plan.calls)
    counted: set[str] = set()
    frames = []
    for call, count in zip(plan.calls, instructions, strict=True):
        layer = next(n for n in made.sizes if n.startswith(f"network_{call.index:02d}_"))
        kernel, kind = functions.name_of(call), reader.kind_of(call)
        inside = kernel not in made.sizes
        if inside or kernel not in counted:
            size = made.sizes[layer if inside else kernel]
            walk = reader.walk_of(call) if inside else ""
            network.functions.append(FunctionMeasured(kind, size, walk))
        counted.add(kernel)
        stack = made.frames[layer] + made.frames.get(kernel, 0)
        frames.append(stack)
        called = made.library[layer] | made.library.get(kernel, frozenset())
        network.layers.append(
            LayerMeasured(
                kind, reader.walk_of(call), reader.work_of(call), count,
                None if inside else made.sizes[layer], stack, called,
            )
        )  # fmt: skip
    network.run_bytes = made.sizes["network_run"] - TOLD_BYTES * len(plan.calls)
    network.interface_bytes = made.sizes["network_input"] + made.sizes["network_output"]
    network.run_stack = max(0, network.stack_bytes - max(frames))
    network.flash_bytes = made.total_bytes - TOLD_BYTES * len(plan.calls)
    network.code_bytes = network.flash_bytes - plan.weight_bytes


def _errors(
    compiled: Compiled, network: NetworkMeasured, figures: dict[str, Any], name: str
) -> tuple[float, float]:
    """Relative errors of flash and instructions, the library taken as it is estimated."""
    plan = replace(compiled.plan, target=replace(compiled.plan.target, name=name))
    costs = reader.estimate(plan, {"targets": {name: {plan.target.optimize: figures}}})
    flash = costs.flash_bytes - costs.library_bytes
    line = (f"  {network.name}: flash {flash:,} for {network.flash_bytes:,}, code "
            f"{costs.code_bytes:,} for {network.code_bytes:,}, library {costs.library_bytes:,}, "
            f"instructions {costs.instructions:,} for {network.instructions:,}, stack "
            f"{costs.stack_bytes:,} for {network.stack_bytes:,}")  # fmt: skip
    say(line)
    return (
        abs(flash / network.flash_bytes - 1),
        abs(costs.instructions / network.instructions - 1),
    )


def say(*lines: str) -> None:
    print(*lines, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
