"""Estimates add up, and every kernel of the bundled networks has been measured."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest

import nn2wasm.estimate.costs as costs
from nn2wasm.api import Options, plan_model
from nn2wasm.errors import TargetError
from nn2wasm.estimate import estimate
from nn2wasm.target import OPTIMIZE, TARGETS, ArtifactKind, find_target

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "examples" / "digits"
TABLE = json.loads(Path(costs.__file__).with_name("costs.json").read_text(encoding="utf-8"))
BORROWED = {name: like for name, like in TABLE["targets"].items() if isinstance(like, str)}
C_TARGETS = [target.name for target in TARGETS if target.kind is ArtifactKind.C]


def plan_of(name: str = "digits_int8", target: str = "cortex-m4", **options):
    return plan_model(DIGITS / f"{name}.onnx", find_target(target), Options(**options)).plan


def test_every_target_that_makes_c_has_figures():
    assert sorted(costs.estimated_targets()) == sorted(C_TARGETS)
    for name in C_TARGETS:
        assert set(TABLE["targets"][BORROWED.get(name, name)]) >= {"speed", "size"}


def test_figures_are_borrowed_only_where_no_compiler_is():
    """Nor an emulator: Xtensa."""
    assert {name for name in C_TARGETS if not find_target(name).zig_triple} == {"c", *BORROWED}
    for name, like in BORROWED.items():
        usual, borrowed = estimate(plan_of(target=like)), estimate(plan_of(target=name))
        assert borrowed.instructions == usual.instructions
        assert borrowed.measured_as == usual.measured_as


@pytest.mark.parametrize("target", C_TARGETS)
@pytest.mark.parametrize("optimize", OPTIMIZE)
@pytest.mark.parametrize("name", ["digits_int8", "digits_f32"])
def test_every_kernel_was_measured(target, optimize, name):
    """Where this fails, kernels are newer than their figures: run `make mcu-costs`."""
    found = estimate(plan_of(name, target, optimize=optimize))
    assert found.unmeasured == ()


@pytest.mark.parametrize("target", C_TARGETS)
@pytest.mark.parametrize("optimize", ["speed", "size"])
def test_figures_are_plausible(target, optimize):
    figures = TABLE["targets"][BORROWED.get(target, target)][optimize]
    assert 0 < figures["flash_error"] <= 0.25
    assert 0 < figures["instruction_error"] <= 0.4
    for symbol, kernel in figures["kernels"].items():
        assert 0 <= kernel["code"] < 20_000, symbol
        assert kernel["instructions"], symbol
        assert all(factor > 0 for factor in kernel["instructions"].values()), symbol
        assert 0 <= kernel["stack"] < 2_000, symbol
        assert set(kernel["library"]) <= set(figures["library"]), symbol
    assert all(0 < size < 20_000 for size in figures["library"].values())


def test_an_estimate_adds_up():
    plan = plan_of()
    found = estimate(plan)
    assert found.weight_bytes + found.table_bytes == plan.weight_bytes
    assert found.table_bytes < found.weight_bytes
    parts = (found.weight_bytes, found.table_bytes, found.code_bytes, found.library_bytes)
    assert found.flash_bytes == sum(parts)
    assert len(found.layers) == len(plan.calls)
    assert abs(sum(found.layers) - found.instructions) <= len(plan.calls)
    assert plan.macs < found.instructions < 100 * plan.macs


def test_size_is_smaller():
    speed, size = (estimate(plan_of(optimize=way)) for way in ("speed", "size"))
    assert size.code_bytes < speed.code_bytes


def test_floats_cost_more_without_an_fpu():
    with_fpu = estimate(plan_of("digits_f32", "cortex-m4"))
    without = estimate(plan_of("digits_f32", "cortex-m3"))
    assert without.instructions > 3 * with_fpu.instructions
    assert without.library_bytes > with_fpu.library_bytes


def test_a_kernel_without_figures_takes_those_of_its_family():
    plan = plan_of()
    convolutions = {s for c in plan.calls if (s := c.choice.kernel.symbol).startswith("nn_conv_s8")}
    same, family, other = (copy.deepcopy(TABLE) for _ in range(3))
    tables = [each["targets"]["cortex-m4"]["speed"]["kernels"] for each in (same, family, other)]
    figures = {"code": 700, "instructions": {"macs": 11.0}, "stack": 8, "library": []}
    for kernels in tables:
        for known in [k for k in kernels if k.startswith("nn_conv_")]:
            del kernels[known]
    tables[0].update(dict.fromkeys(convolutions, figures))
    tables[1]["nn_conv_s8_9x9__newer"] = figures
    measured, similar, foreign = (estimate(plan, each) for each in (same, family, other))
    assert measured.unmeasured == ()
    assert set(similar.unmeasured) == set(foreign.unmeasured) == convolutions
    assert similar.instructions == measured.instructions
    assert similar.code_bytes == measured.code_bytes
    assert foreign.instructions != measured.instructions


def test_modules_have_no_figures():
    plan = plan_of()
    with pytest.raises(TargetError, match="no figures to estimate target wasm"):
        estimate(replace(plan, target=find_target("wasm")))
