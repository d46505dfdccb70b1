"""Programs for emulated cores, built by what the benchmarks on microcontrollers build them with."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path += [str(TESTS.parent / "benchmarks" / "mcu"), str(TESTS / "targets")]

from emulated_boards import Board  # noqa: E402
from engines import run_in_wasmtime  # noqa: E402
from firmware import GCC, Run, build_program, run_program  # noqa: E402
from target_models import TargetModel  # noqa: E402

from nn2wasm.api import Options, generate, plan_model  # noqa: E402
from nn2wasm.target import find_target  # noqa: E402
from nn2wasm.toolchain import build_artifact  # noqa: E402

Outputs = list[Mapping[str, np.ndarray[Any, Any]]]
Runner = Callable[..., list[Run]]


def needs_emulator(board: Board) -> None:
    """Skips the test without the board's emulator."""
    if not board.is_present:
        pytest.skip(f"{board.emulator} is not installed: sh tests/install_qemu.sh")


def needs_arm_gcc() -> None:
    """Skips the test without Arm's gcc."""
    if shutil.which(GCC) is None:
        pytest.skip(f"{GCC} is not installed: sh tests/install_qemu.sh")


@pytest.fixture(scope="session")
def reference() -> Callable[[TargetModel], Outputs]:
    """reference(model): its outputs from scalar kernels in wasmtime."""
    known: dict[TargetModel, Outputs] = {}
    wasm = find_target("wasm")

    def outputs(model: TargetModel) -> Outputs:
        if model not in known:
            module = build_artifact(generate(plan_model(model.path, wasm)), wasm)
            known[model] = [run_in_wasmtime(module, feeds) for feeds in model.feeds]
        return known[model]

    return outputs


@pytest.fixture
def run_on(tmp_path: Path) -> Runner:
    """run_on(board, model, optimize="speed", compiler="zig", layers=False): one run a sample."""

    def run(board: Board, model: TargetModel, optimize: Any = "speed", **how: Any) -> list[Run]:
        needs_emulator(board)
        if how.get("compiler") == "gcc":
            needs_arm_gcc()
        plan = plan_model(model.path, board.target, Options(optimize=optimize))
        tree, target = generate(plan), plan.plan.target
        program = build_program(tree, target, board, model.feeds, tmp_path, **how)
        return run_program(program, board, tree)

    return run
