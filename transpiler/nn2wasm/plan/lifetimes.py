"""Which storage holds each tensor, from which step to which, and what may overlap there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nn2wasm.ir import Graph, Tensor
from nn2wasm.ops.shape import is_alias
from nn2wasm.plan.call import Call
from nn2wasm.plan.memory import Storage

SMALL = 64
"""Bytes of all tensors up to which inputs outlive the run where an output is integers: a second run
on a number that a label lies over computes with subnormal numbers, and takes many times as long.
"""


def tensor_storages(
    graph: Graph, calls: Sequence[Call], steps: Sequence[int], alignment: int
) -> dict[Tensor, Storage]:
    """The storage of each tensor that is not constant; views share one.

    Args:
        graph: whose tensors.
        calls: its layers.
        steps: when each call happens; calls of one segment share a step.
        alignment: of storages, in bytes.
    """
    holders: dict[Tensor, Storage] = {}
    for tensor in graph.inputs:
        holders[tensor] = _storage(tensor, -1, alignment)
    for state in graph.states:
        holders[state.kept] = _storage(state.kept, -1, alignment)
    index = -1
    for node in graph.nodes:
        if is_alias(node):
            holders[node.output] = holders[node.input(0)]
            holders[node.output].tensors.append(node.output)
            continue
        index += 1
        for tensor in node.activations:
            holders[tensor].end = steps[index]
        for tensor in node.outputs:
            holders[tensor] = _storage(tensor, steps[index], alignment)
    kept = graph.inputs if _keeps_inputs(graph, holders) else ()
    for tensor in (*graph.outputs, *kept, *(state.kept for state in graph.states)):
        holders[tensor].end = steps[-1] + 1 if steps else 0
    for call in calls:
        if call.lowering.in_place:
            _share(holders, call.node.input(0), call.node.output)
    return holders


def _share(holders: dict[Tensor, Storage], x: Tensor, y: Tensor) -> None:
    """Gives the output of a kernel that works in place its input's storage, where nobody else needs
    that.
    """
    before, after = holders[x], holders[y]
    if before.end == after.begin and before.begin < after.begin and before.bytes == after.bytes:
        before.end = after.end
        for tensor in after.tensors:
            before.tensors.append(tensor)
            holders[tensor] = before


def _keeps_inputs(graph: Graph, holders: Mapping[Tensor, Storage]) -> bool:
    used = sum(storage.bytes for storage in dict.fromkeys(holders.values()))
    return used <= SMALL and not all(tensor.dtype.is_float for tensor in graph.outputs)


def _storage(tensor: Tensor, step: int, alignment: int) -> Storage:
    alignment = max(alignment, tensor.dtype.bytes)
    return Storage(max(tensor.bytes, 1), step, step, alignment, [tensor])


def allow_overlap(call: Call, holders: dict[Tensor, Storage]) -> None:
    """Lets the output of a call that is a step of its own overlap arguments that die there, where
    the kernel can bear it.
    """
    output = holders[call.node.output]
    for argument in dict.fromkeys(call.arguments):
        if argument.is_constant:
            continue
        storage = holders[argument]
        indices = [
            index
            for index in call.lowering.arguments
            if call.node.input(index).data is None and holders[call.node.input(index)] is storage
        ]
        leads = [call.lowering.lead.get(index) for index in indices]
        if storage.end == output.begin and storage.begin < output.begin and None not in leads:
            output.leads[storage] = max(lead for lead in leads if lead is not None)
            trails = [call.lowering.trail.get(index) for index in indices]
            if None not in trails:
                output.trails[storage] = max(trail for trail in trails if trail is not None)


def walks_backward(output: Storage) -> bool:
    """Whether the output lies over an input in the way that a backward walk bears, and no other."""
    return any(
        dying.offset <= output.offset + output.bytes - 1
        and output.offset <= dying.offset + dying.bytes - 1
        and output.offset + output.leads[dying] > dying.offset
        for dying in output.trails
    )
