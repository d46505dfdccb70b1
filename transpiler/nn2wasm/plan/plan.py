"""Graph → plan: kernels chosen, constants packed, memory laid out. All that codegen sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from nn2wasm.errors import OverBudget
from nn2wasm.ir import Graph
from nn2wasm.ops.shape import is_alias
from nn2wasm.plan.call import Call, make_call
from nn2wasm.plan.lifetimes import allow_overlap, tensor_storages, walks_backward
from nn2wasm.plan.memory import MemoryPlan, Storage, plan_offsets
from nn2wasm.plan.segments import STATE_BYTES, Segment, SegmentChooser
from nn2wasm.plan.tile import ALIGNMENT
from nn2wasm.target import Target

LARGEST_ARENA = 2**29
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
        distinct = {
            (array.dtype.str, array.tobytes()) for call in self.calls for array in call.constants
        }
        return sum(len(data) for _, data in distinct)


def make_plan(graph: Graph, target: Target, ram: int | None = None) -> Plan:
    """Chooses kernels, cuts the network into segments and lays out memory.

    Args:
        graph: lowered.
        target: what to plan for.
        ram: bytes that the arena may have at most; the fastest plan among those that fit.

    Raises:
        OverBudget: the arena would not fit `ram`, or any machine that this is for.
    """
    if target.least_memory:
        plan = _least(graph, target, ram)
    else:
        plan = _layer_by_layer(graph, target)
        if target.cache_bytes:
            plan = _streamed(plan, ram)
        if ram is not None and plan.memory.arena_bytes > ram:
            plan = _least(graph, replace(target, least_memory=True), ram)
    arena_bytes = plan.memory.arena_bytes
    limit = LARGEST_ARENA if ram is None else ram
    if arena_bytes > limit:
        raise OverBudget(
            f"the network's tensors need an arena of {arena_bytes} bytes",
            facts=[("limit", f"{limit} bytes"), ("most is needed by", _largest_step(plan))],
        )
    return plan


def _layer_by_layer(graph: Graph, target: Target) -> Plan:
    nodes = [node for node in graph.nodes if not is_alias(node)]
    calls = [make_call(index, node, target) for index, node in enumerate(nodes)]
    return _plan(graph, target, [Segment((call,)) for call in calls])


def _least(graph: Graph, target: Target, ram: int | None) -> Plan:
    """The plan of least memory; kernels that exist for small arenas only where they make it so."""
    usual = _layer_by_layer(graph, replace(target, least_memory=False))
    usual = _streamed(replace(usual, target=target), ram)
    if ram is not None and usual.memory.arena_bytes <= ram:
        return usual
    sparing = _layer_by_layer(graph, target)
    if not any(call.lowering.in_place for call in sparing.calls):
        return usual
    sparing = _streamed(sparing, ram)
    return min(usual, sparing, key=lambda plan: plan.memory.arena_bytes)


def _streamed(plan: Plan, ram: int | None) -> Plan:
    """The plan with layers run row by row where that is faster, or needed for memory."""
    chooser = SegmentChooser(plan.graph, plan.calls, plan.target)
    least = chooser.least_peak()
    if ram is None and not plan.target.least_memory:
        segments = chooser.cheapest()
        assert segments is not None
        return _plan(plan.graph, plan.target, segments)
    best = None if plan.target.feeds_rows else plan
    budget = least if ram is None else max(ram, least)
    for _ in range(ATTEMPTS):
        segments = chooser.cheapest(budget)
        assert segments is not None
        made = _plan(plan.graph, plan.target, segments)
        if best is None or made.memory.arena_bytes < best.memory.arena_bytes:
            best = made
        goal = least if ram is None else ram
        if best.memory.arena_bytes <= goal:
            break
        budget = budget + max(1, budget // 64) if ram is None else max(least, budget - budget // 32)
    assert best is not None
    return best


def _plan(graph: Graph, target: Target, segments: Sequence[Segment]) -> Plan:
    calls = [call for segment in segments for call in segment.calls]
    steps = [step for step, segment in enumerate(segments) for _ in segment.calls]
    holders = tensor_storages(graph, calls, steps, target.alignment)
    scratch: dict[int, Storage] = {}
    for step, segment in enumerate(segments):
        scratch_bytes = max(call.scratch_bytes for call in segment.calls)
        if scratch_bytes:
            tiled = any(call.tiled for call in segment.calls)
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


def _largest_step(plan: Plan) -> str:
    """The layer with the largest tensors, for messages."""
    calls = plan.calls
    call = max(calls, key=lambda c: sum(t.bytes for t in {*c.node.activations, *c.node.outputs}))
    return call.node.describe()
