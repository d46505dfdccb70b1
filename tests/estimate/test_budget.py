"""Builds that exceed a budget are refused before anything is written, with the layer at fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from nn2wasm.api import Options, compile_model, plan_model
from nn2wasm.errors import OverBudget
from nn2wasm.estimate import Budget, estimate
from nn2wasm.plan import find_peak
from nn2wasm.target import find_target

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits" / "digits_int8.onnx"


def build(output: Path, **budget: int) -> None:
    compile_model(DIGITS, output, options=Options(budget=Budget(**budget)))


@pytest.fixture(scope="module")
def plan():
    return plan_model(DIGITS, find_target("c")).plan


def refused(output: Path, **budget: int) -> OverBudget:
    with pytest.raises(OverBudget) as caught:
        build(output, **budget)
    assert list(output.parent.iterdir()) == []
    return caught.value


@pytest.mark.parametrize("name", ["m.wasm", "m.c", "package"])
def test_macs_name_the_busiest_layer(tmp_path, plan, name):
    error = refused(tmp_path / name, macs=plan.macs - 1)
    most = max(plan.calls, key=lambda call: call.node.op.macs(call.node))
    assert f"{plan.macs:,} MAC, 1 above" in error.message
    assert dict(error.facts)["most MAC"] == f"layer {most.index}, {most.node.describe()}"
    build(tmp_path / name, macs=plan.macs)


def test_ram_of_c_is_arena_and_stack(tmp_path, plan):
    need = plan.memory.arena_bytes + estimate(plan).stack_bytes
    error = refused(tmp_path / "m.c", ram_bytes=need - 1)
    assert f"{need:,} bytes of RAM, 1 above" in error.message
    facts = dict(error.facts)
    peak = find_peak(plan)
    assert facts["fullest at"].startswith(f"layer {peak.call.index}, ")
    held = [value for label, value in error.facts if label == "holds"]
    assert held[0].endswith(f"'{peak.storages[0].tensors[0].name}'")
    build(tmp_path / "m.c", ram_bytes=need)


def test_flash_of_c_is_constants_and_code(tmp_path, plan):
    need = estimate(plan).flash_bytes
    assert need > plan.weight_bytes
    error = refused(tmp_path / "m.c", flash_bytes=need - 1)
    heaviest = max(plan.calls, key=lambda call: call.constant_bytes)
    assert dict(error.facts)["most weights"].startswith(f"layer {heaviest.index}, ")
    build(tmp_path / "m.c", flash_bytes=need)


def test_flash_of_a_module_is_its_file(tmp_path):
    build(tmp_path / "m.wasm")
    size = (tmp_path / "m.wasm").stat().st_size
    (tmp_path / "m.wasm").unlink()
    assert f"{size:,} bytes of flash" in refused(tmp_path / "m.wasm", flash_bytes=size - 1).message
    build(tmp_path / "m.wasm", flash_bytes=size)


def test_ram_of_a_module_is_its_linear_memory(tmp_path):
    error = refused(tmp_path / "m.wasm", ram_bytes=65535)
    assert "65,536 bytes of RAM" in error.message
    assert "fullest at" in dict(error.facts)
    build(tmp_path / "m.wasm", ram_bytes=65536)


def test_ram_of_a_library_is_its_arena(tmp_path):
    need = plan_model(DIGITS, find_target("host")).plan.memory.arena_bytes
    assert f"{need:,} bytes of RAM" in refused(tmp_path / "m.so", ram_bytes=need - 1).message
    build(tmp_path / "m.so", ram_bytes=need)


def test_an_old_file_survives(tmp_path):
    (tmp_path / "m.wasm").write_bytes(b"old")
    with pytest.raises(OverBudget):
        build(tmp_path / "m.wasm", flash_bytes=1000)
    assert (tmp_path / "m.wasm").read_bytes() == b"old"
