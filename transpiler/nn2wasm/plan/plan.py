"""Graph → plan: kernels chosen, constants packed, memory laid out. All that codegen sees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from nn2wasm.errors import OverBudget
from nn2wasm.ir import Graph
from nn2wasm.ops.shape import is_alias
from nn2wasm.plan.call import Call, make_call
from nn2wasm.plan.lifetimes import allow_overlap, tensor_storages, walks_backward
from nn2wasm.plan.memory import MemoryPlan, Storage, plan_offsets
from nn2wasm.plan.parts import LEAST_OUTPUTS, USUAL_OUTPUTS
from nn2wasm.plan.peak import find_peak
from nn2wasm.plan.segments import STATE_BYTES, Segment, SegmentChooser
from nn2wasm.plan.tile import ALIGNMENT
from nn2wasm.target import Target

LARGEST_ARENA = 2**29
TILE_SHARES = (1.0, 3 / 4, 0.0)
"""Of what a step may take, until tiles leave room to lay out tensors."""
ATTEMPTS = 6
"""Cuts laid out in memory, at most, where the first does not reach what its segments need."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is needed to write the C.

    Attributes:
        graph: the lowered graph.
        target: what it is built for.
        segments: in execution order.
        memory: offsets in the arena.
    """

    graph: Graph
    target: Target
    segments: tuple[Segment, ...]
    memory: MemoryPlan = field(repr=False)

    @property
    def calls(self) -> list[Call]:
        return [call for segment in self.segments for call in segment.calls]

    @property
    def macs(self) -> int:
        return sum(call.node.op.macs(call.node) for call in self.calls)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all constants as packed for the kernels, each counted once."""
        return sum(len(data) for _, data in {key for call in self.calls for key in call.stored})


def make_plan(graph: Graph, target: Target, ram: int | None = None) -> Plan:
    """Chooses kernels, cuts the network into segments and lays out memory.

    Args:
        graph: lowered.
        target: what to plan for.
        ram: bytes that the arena may have at most; the fastest plan among those that fit.

    Raises:
        OverBudget: the arena would not fit `ram`, or any machine that this is for.
    """
    sparing = replace(target, least_memory=True)
    if target.least_memory:
        plan = _least(graph, target, ram)
    else:
        plan = _layer_by_layer(graph, target)
        if target.cache_bytes or _has_tiles(plan):
            plan = _cut(plan, ram)
        if ram is not None and plan.memory.arena_bytes > ram:
            plan = _least(graph, sparing, ram)
    if ram is not None and plan.memory.arena_bytes > ram and _has_tiles(plan):
        plan = _least(graph, sparing, ram, LEAST_OUTPUTS)
    arena_bytes = plan.memory.arena_bytes
    limit = LARGEST_ARENA if ram is None else ram
    if arena_bytes > limit:
        raise OverBudget(
            f"the network needs an arena of {arena_bytes} bytes",
            facts=[("limit", f"{limit} bytes"), ("most is needed by", _fullest(plan, limit))],
        )
    return plan


def _has_tiles(plan: Plan) -> bool:
    return any(call.has_tile for call in plan.calls)


def _layer_by_layer(graph: Graph, target: Target) -> Plan:
    nodes = [node for node in graph.nodes if not is_alias(node)]
    calls = [make_call(index, node, target) for index, node in enumerate(nodes)]
    return lay_out(graph, target, [Segment((call,)) for call in calls])


def _least(
    graph: Graph, target: Target, ram: int | None, least_outputs: int = USUAL_OUTPUTS
) -> Plan:
    """The plan of least memory; kernels that exist for small arenas only where they make it so."""
    usual = _layer_by_layer(graph, replace(target, least_memory=False))
    usual = _cut(replace(usual, target=target), ram, least_outputs)
    if ram is not None and usual.memory.arena_bytes <= ram:
        return usual
    sparing = _layer_by_layer(graph, target)
    if not any(call.lowering.in_place for call in sparing.calls):
        return usual
    sparing = _cut(sparing, ram, least_outputs)
    return min(usual, sparing, key=lambda plan: plan.memory.arena_bytes)


def _cut(plan: Plan, ram: int | None, least_outputs: int = USUAL_OUTPUTS) -> Plan:
    """The plan with layers run row by row where that is faster, or needed for memory; and with
    constants that are elsewhere in tiles that fit.

    Args:
        plan: layer by layer.
        ram: as of `make_plan`.
        least_outputs: of a part of a layer.
    """
    chooser = SegmentChooser(plan.graph, plan.calls, plan.target, least_outputs)
    if not chooser.has_choice:
        return plan
    if ram is None and not plan.target.least_memory:
        goal = chooser.usual_peak()
        return _laid_out(chooser, plan, math.inf if goal is None else goal)
    least = chooser.least_peak()
    goal = least if ram is None else ram
    best = None if plan.target.feeds_rows else plan
    budget = max(goal, least)
    for _ in range(ATTEMPTS):
        made = _laid_out(chooser, plan, budget)
        if best is None or made.memory.arena_bytes < best.memory.arena_bytes:
            best = made
        if best.memory.arena_bytes <= goal:
            break
        budget = budget + max(1, budget // 64) if ram is None else max(least, budget - budget // 32)
    assert best is not None
    return best


def _laid_out(chooser: SegmentChooser, plan: Plan, budget: float) -> Plan:
    """The cheapest cut that a budget allows; with smaller tiles where what they leave free in some
    step is no place for the tensors of the next.
    """
    best: Plan | None = None
    for share in TILE_SHARES:
        segments = chooser.cheapest(budget, budget * share)
        assert segments is not None
        made = lay_out(plan.graph, plan.target, segments)
        if best is None or made.memory.arena_bytes < best.memory.arena_bytes:
            best = made
        if best.memory.arena_bytes <= budget or not any(call.parts for call in made.calls):
            break
    assert best is not None
    return best


def lay_out(graph: Graph, target: Target, segments: Sequence[Segment]) -> Plan:
    """The plan of a network that is cut into these segments.

    Args:
        graph: lowered.
        target: what to plan for.
        segments: all its layers, in execution order.
    """
    calls = [call for segment in segments for call in segment.calls]
    steps = [step for step, segment in enumerate(segments) for _ in segment.calls]
    holders = tensor_storages(graph, calls, steps, target.alignment)
    scratch: dict[int, Storage] = {}
    for step, segment in enumerate(segments):
        scratch_bytes = max(call.scratch_bytes for call in segment.calls)
        if scratch_bytes:
            tiled = any(call.has_tile for call in segment.calls)
            alignment = max(target.alignment, ALIGNMENT) if tiled else target.alignment
            scratch[step] = Storage(scratch_bytes, step, step, alignment)
        if segment.stretch is None:
            allow_overlap(segment.calls[0], holders)
            continue
        for tensor, rows in (segment.rings or {}).items():
            row_bytes = tensor.bytes // segment.stretch.rows_of(tensor)
            holders[tensor].bytes = rows * row_bytes
        for tensor, lead in (segment.leads or {}).items():
            holders[tensor].leads[holders[segment.stretch.source]] = lead
    state = None
    first = segments[0].stretch if segments else None
    if target.feeds_rows and first is not None:
        state = Storage(STATE_BYTES * (len(first.forms) + 1), -1, len(segments), 4)
    everything = [*dict.fromkeys(holders.values()), *scratch.values(), *([state] if state else [])]
    arena_bytes, floor_bytes = plan_offsets(everything, len(segments)) if everything else (0, 0)
    placed = [
        Segment((replace(call, backward=walks_backward(holders[call.node.output])),))
        if segment.stretch is None
        else segment
        for segment, call in ((segment, segment.calls[0]) for segment in segments)
    ]
    offsets = {tensor: storage.offset for tensor, storage in holders.items()}
    places = {
        call.index: scratch[step].offset
        for call, step in zip(calls, steps, strict=True)
        if step in scratch
    }
    state_offset = state.offset if state else None
    memory = MemoryPlan(offsets, places, arena_bytes, floor_bytes, state_offset, tuple(everything))
    return Plan(graph, target, tuple(placed), memory)


def _fullest(plan: Plan, limit: int) -> str:
    """The layer at which most of the arena is in use; whether its weights are what is too much."""
    peak = find_peak(plan)
    assert peak is not None
    call = max(peak.segment.calls, key=lambda call: call.tile_bytes)
    if not call.tile_bytes or peak.bytes - call.tile_bytes > limit:
        return peak.call.node.describe()
    share = "in the smallest part" if call.parts else "all of them at once"
    return f"{call.node.describe()}: its weights, {call.tile_bytes} bytes {share}"
