"""Drops nodes that no output needs, and outputs of nodes that nobody reads."""

from __future__ import annotations

from nn2wasm.ir import Graph, Node, Tensor
from nn2wasm.passes.base import PassOptions


def drop_dead(graph: Graph, options: PassOptions) -> int:
    """Removes every node none of whose outputs is read, from the last to the first; of the others
    the outputs that nobody reads, where the operation can do without.
    """
    needed: set[Tensor] = set(graph.outputs)
    kept = []
    narrowed = 0
    for node in reversed(graph.nodes):
        if any(tensor in needed for tensor in node.outputs):
            narrowed += _narrow(node, needed)
            needed.update(node.present_inputs)
            kept.append(node)
    count = len(graph.nodes) - len(kept)
    graph.nodes = kept[::-1]
    return count + narrowed


def _narrow(node: Node, needed: set[Tensor]) -> int:
    """Takes outputs off a node; how many."""
    unread = frozenset(i for i, tensor in enumerate(node.outputs) if tensor not in needed)
    op = node.op.without(unread) if unread else None
    if op is None:
        return 0
    node.op = op
    node.outputs = [tensor for i, tensor in enumerate(node.outputs) if i not in unread]
    return len(unread)
