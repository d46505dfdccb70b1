"""The fullest step is one at which the arena is full."""

from __future__ import annotations

from pathlib import Path

import pytest

from nn2wasm.api import plan_model
from nn2wasm.ir import Graph
from nn2wasm.plan import Plan, find_peak, make_plan
from nn2wasm.target import find_target

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


@pytest.fixture(params=["digits_int8", "digits_f32"])
def plan(request) -> Plan:
    return plan_model(DIGITS / f"{request.param}.onnx", find_target("host")).plan


def test_the_peak_is_the_arena_where_the_search_reached_its_floor(plan):
    assert plan.memory.arena_bytes == plan.memory.floor_bytes
    peak = find_peak(plan)
    assert peak is not None
    assert peak.bytes == plan.memory.arena_bytes


def test_the_peak_holds_what_its_layer_reads_and_writes(plan):
    peak = find_peak(plan)
    held = [tensor for storage in peak.storages for tensor in storage.tensors]
    assert peak.call.node.output in held
    assert all(tensor in held for tensor in peak.call.node.activations)
    sizes = [storage.bytes for storage in peak.storages]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) >= peak.bytes


def test_every_tensor_has_a_storage_at_its_offset(plan):
    for storage in plan.memory.storages:
        assert storage.offset + storage.bytes <= plan.memory.arena_bytes
        for tensor in storage.tensors:
            assert plan.memory.offsets[tensor] == storage.offset
    held = {tensor for storage in plan.memory.storages for tensor in storage.tensors}
    assert held == set(plan.memory.offsets)


def test_nothing_runs():
    assert find_peak(make_plan(Graph("empty"), find_target("c"))) is None


def test_what_does_not_live_then_is_not_held(plan):
    peak = find_peak(plan)
    step = plan.segments.index(peak.segment)
    living = {s for s in plan.memory.storages if s.begin <= step <= s.end}
    assert set(peak.storages) == living
