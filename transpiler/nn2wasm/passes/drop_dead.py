"""Drops nodes that no output needs."""

from __future__ import annotations

from nn2wasm.ir import Graph, Tensor
from nn2wasm.passes.base import PassOptions


def drop_dead(graph: Graph, options: PassOptions) -> int:
    """Removes every node none of whose outputs is read, from the last to the first."""
    needed: set[Tensor] = set(graph.outputs)
    kept = []
    for node in reversed(graph.nodes):
        if any(tensor in needed for tensor in node.outputs):
            needed.update(node.present_inputs)
            kept.append(node)
    count = len(graph.nodes) - len(kept)
    graph.nodes = kept[::-1]
    return count
