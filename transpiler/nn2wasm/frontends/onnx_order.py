"""Checks that every name has one origin, and puts the nodes in execution order."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence

from nn2wasm.errors import InvalidModel, quote
from nn2wasm.frontends.limits import Limits
from nn2wasm.frontends.onnx_functions import FlatNode
from nn2wasm.frontends.onnx_subgraphs import captured_names

MOST_REPORTED = 5
_SHOWN_PATH = 6


def order_nodes(
    nodes: Sequence[FlatNode],
    sources: Mapping[str, str],
    outputs: Iterable[str],
    limits: Limits,
) -> list[FlatNode]:
    """The nodes so that each comes after what it reads, otherwise as they were.

    Args:
        nodes: functions inlined.
        sources: names that exist without a node, and what each is ("initializer", …).
        outputs: names of the graph outputs.
        limits: depth of subgraphs.

    Raises:
        InvalidModel: a name with two writers or none, a cycle.
    """
    producers = _producers(nodes, sources)
    _check_reads(nodes, sources, producers, outputs)
    waiting: list[int] = []
    readers: list[list[int]] = [[] for _ in nodes]
    before: list[set[int]] = []
    for index, node in enumerate(nodes):
        read = set(node.inputs)
        if node.subgraphs:
            read |= captured_names(list(node.subgraphs), limits.depth)
        needed = {producers[name] for name in read if name in producers}
        for producer in needed:
            readers[producer].append(index)
        before.append(needed)
        waiting.append(len(needed))
    # The heap makes the order stable: of all nodes that could run, the first of the file does.
    ready = [index for index, count in enumerate(waiting) if count == 0]
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for reader in readers[index]:
            waiting[reader] -= 1
            if waiting[reader] == 0:
                heapq.heappush(ready, reader)
    if len(order) < len(nodes):
        raise _cycle(nodes, before, set(range(len(nodes))) - set(order))
    return [nodes[index] for index in order]


def describe(node: FlatNode) -> str:
    """What messages call a node: its name and its operator."""
    return f"node {quote(node.name)} ({quote(node.op_type)[1:-1]})"


def _producers(nodes: Sequence[FlatNode], sources: Mapping[str, str]) -> dict[str, int]:
    producers: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for name in node.outputs:
            if not name:
                continue
            if name in sources:
                raise InvalidModel(
                    f"{describe(node)} writes {quote(name)}, which is already {sources[name]}"
                )
            if name in producers:
                other = nodes[producers[name]]
                raise InvalidModel(
                    f"{describe(node)} writes {quote(name)}, which {describe(other)} writes too"
                )
            producers[name] = index
    return producers


def _check_reads(
    nodes: Sequence[FlatNode],
    sources: Mapping[str, str],
    producers: Mapping[str, int],
    outputs: Iterable[str],
) -> None:
    problems: list[str] = []
    for node in nodes:
        for name in node.inputs:
            if name and name not in producers and name not in sources:
                problems.append(f"{describe(node)} reads {quote(name)}, which nothing produces")
        if len(problems) >= MOST_REPORTED:
            break
    for name in outputs:
        if name not in producers and name not in sources:
            problems.append(f"the graph output {quote(name)} is something that nothing produces")
    if problems:
        raise InvalidModel(
            problems[0], facts=[("also", problem) for problem in problems[1:MOST_REPORTED]]
        )


def _cycle(nodes: Sequence[FlatNode], before: Sequence[set[int]], left: set[int]) -> InvalidModel:
    """Walks back from a node that never became ready until it meets itself."""
    path: list[int] = []
    seen: dict[int, int] = {}
    index = min(left)
    while index not in seen:
        seen[index] = len(path)
        path.append(index)
        # Each node left over waits for another one left over, so the walk never ends elsewhere.
        index = min(before[index] & left)
    cycle = path[seen[index] :][::-1]
    first = cycle.index(min(cycle))
    cycle = cycle[first:] + cycle[:first]
    shown = [describe(nodes[i]) for i in cycle[:_SHOWN_PATH]]
    if len(cycle) > _SHOWN_PATH:
        shown.append(f"… {len(cycle) - _SHOWN_PATH:,} more")
    return InvalidModel(
        f"{describe(nodes[cycle[0]])} reads its own result: the graph has a cycle",
        facts=[("cycle", " → ".join(shown))],
    )
