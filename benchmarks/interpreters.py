"""nn2wasm's modules in the interpreter wasm3; writes docs/benchmarks-interpreters.md.

Each layer and network is compiled twice, with the kernels for interpreters and with the scalar
ones, and visited in turn with plain loops, round by round. Times are the thread's own.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import wasm3
from bench_networks import CACHE, SHARED
from instructions import COUNTER
from interpreter_layers import LAYERS, Layer
from programs import HERE, CannotRun
from tables import table, times

from nn2wasm.api import Compiled, ModelSource, generate, plan_model
from nn2wasm.target import find_target
from nn2wasm.toolchain import build_artifact
from nn2wasm.version import __version__

PAGE = HERE.parent / "docs" / "benchmarks-interpreters.md"
INTERP = find_target("wasm")
SCALAR = replace(INTERP, traits=frozenset())
NETWORKS = (
    "ic_resnet8_int8_tflite",
    "vww_mbv1_025_96_int8_tflite",
    "kws_dscnn_int8_tflite",
    "ad_autoencoder_int8_tflite",
    "mobilenet_v2_035_96_ptq_qdq_s8",
)
STACK_BYTES = 65536
ROUNDS = 15
PLAIN_FLAGS = ("-mcpu=lime1", "-Os", "-nostdlib", "-Wl,--no-entry", "-Wl,--strip-all")

HEAD = """# Interpreters

Written by `make bench-interpreters`; do not edit. More: [benchmarks/](../benchmarks).
**Figures of a shared machine: trust the ratios of one page, not nanoseconds across pages.**

{machine}; wasm3 as pywasm3 {wasm3} builds it, nn2wasm {version}, {rounds} rounds.
Nanoseconds are of the thread, the least of all rounds, for each multiply-accumulate{instructions}.

*interp* is target `wasm`. *scalar* are the kernels of target `c` compiled with the same flags: four
sums at a time. *plain* is [plain_loops.c](../benchmarks/plain_loops.c): one product after another.

"""


@dataclass
class Contender:
    """Something that runs, and the best that it did.

    Attributes:
        run: once.
        macs: multiply-accumulates of a run.
        nanoseconds: for each.
        instructions: for each, 0 where they are not known.
    """

    run: Callable[[], Any]
    macs: int
    nanoseconds: float = float("inf")
    instructions: float = float("inf")


def measure(contenders: Sequence[Contender], rounds: int) -> None:
    """Visits them in turn."""
    for _ in range(rounds):
        for each in contenders:
            before, begin = COUNTER.read(), time.thread_time_ns()
            each.run()
            spent, executed = time.thread_time_ns() - begin, COUNTER.read() - before
            each.nanoseconds = min(each.nanoseconds, spent / each.macs)
            each.instructions = min(each.instructions, executed / each.macs)


def load(module: bytes) -> Callable[[str], Callable[..., Any]]:
    """Finds functions of a module in an interpreter of its own."""
    runtime = wasm3.Environment().new_runtime(STACK_BYTES)
    runtime.load(wasm3.Environment().parse_module(module))
    return runtime.find_function  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Built:
    """A model for one target."""

    compiled: Compiled
    module: bytes

    @property
    def beside_weights(self) -> int:
        return len(self.module) - self.compiled.plan.weight_bytes

    def contender(self) -> Contender:
        run = load(self.module)("nn_run")
        return Contender(run, self.compiled.plan.macs)


def build(model: ModelSource) -> tuple[Built, Built]:
    """With kernels for interpreters, with scalar ones."""
    plans = [plan_model(model, target) for target in (INTERP, SCALAR)]
    interp, scalar = (Built(p, build_artifact(generate(p), p.plan.target)) for p in plans)
    return interp, scalar


def plain_loops() -> Callable[[str], Callable[..., Any]]:
    """The functions of plain_loops.c; raises CannotRun where zig does not compile them."""
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / "plain_loops.wasm"
    zig = (sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-freestanding")
    command = [*zig, *PLAIN_FLAGS, "-o", str(path), str(HERE / "plain_loops.c")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotRun(f"zig: {done.stderr.strip()[:300]}")
    return load(path.read_bytes())


def layer_table(layers: Sequence[Layer], rounds: int) -> str:
    """A row for each layer."""
    find = plain_loops()
    rows = []
    for layer in layers:
        interp, scalar = (built.contender() for built in build(layer.model()))
        function, arguments = layer.plain
        call = find(function)
        plain = Contender(lambda call=call, given=arguments: call(*given), interp.macs)
        measure([interp, scalar, plain], rounds)
        rows.append([layer.name, *figures(interp, scalar, plain)])
    return table(["layer", *heads(("interp", "scalar", "plain"))], rows)


def heads(names: Sequence[str]) -> list[str]:
    ratios = [f"{name} / interp" for name in names[1:]]
    counted = [f"{names[0]}, instructions", *(f"{ratio}, instructions" for ratio in ratios)]
    known = counted if COUNTER.available else []
    return [*(f"{name}, ns" for name in names), *ratios, *known]


def figures(*contenders: Contender) -> list[str]:
    first, *others = contenders
    cells = [f"{each.nanoseconds:.2f}" for each in contenders]
    cells += [times(each.nanoseconds / first.nanoseconds) for each in others]
    if COUNTER.available:
        cells.append(f"{first.instructions:.1f}")
        cells += [times(each.instructions / first.instructions) for each in others]
    return cells


def network_tables(paths: Mapping[str, Path], rounds: int) -> str:
    """Speed, and bytes."""
    speed, sizes = [], []
    for name, path in paths.items():
        interp, scalar = build(path)
        contenders = [interp.contender(), scalar.contender()]
        measure(contenders, rounds)
        milliseconds = contenders[0].nanoseconds * contenders[0].macs / 1e6
        speed.append([name, f"{milliseconds:.1f}", *figures(*contenders)])
        sizes.append(
            [
                name,
                f"{interp.compiled.plan.weight_bytes:,}",
                f"{interp.beside_weights:,}",
                f"{scalar.beside_weights:,}",
                f"{interp.compiled.plan.memory.arena_bytes:,}",
                f"{scalar.compiled.plan.memory.arena_bytes:,}",
            ]
        )
    beside = ["beside the weights", "the same, scalar", "arena", "the same, scalar"]
    return "\n".join(
        [
            table(["network", "interp, ms", *heads(("interp", "scalar"))], speed),
            table(["bytes", "weights", *beside], sizes),
        ]
    )


def head(rounds: int) -> str:
    from importlib.metadata import version

    machine = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        machine = lines[0].partition(": ")[2] if lines else machine
    counted = COUNTER.available
    return HEAD.format(
        machine=machine,
        wasm3=version("pywasm3"),
        version=__version__,
        rounds=rounds,
        instructions=", and so are the instructions that the processor executed" if counted else "",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--layers-only", action="store_true", help="no networks, no page")
    arguments = parser.parse_args()
    layers = layer_table(LAYERS, arguments.rounds)
    print(layers)
    if arguments.layers_only:
        return
    paths = {name: SHARED / f"{name}.onnx" for name in NETWORKS}
    networks = network_tables({n: p for n, p in paths.items() if p.exists()}, arguments.rounds)
    print(networks)
    PAGE.write_text(head(arguments.rounds) + f"## Layers\n\n{layers}\n## Networks\n\n{networks}")


if __name__ == "__main__":
    main()
