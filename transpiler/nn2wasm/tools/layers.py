"""Takes a lowered graph apart, so that each layer can be run on values that somebody else computed.

A tensor that is *known*, because the reference has its values, is cut: its readers get a fresh
input instead, and what its writer made of it becomes an output. A tensor that is not known stays
an edge, so the nodes at both its ends stay together.

The pieces are packed into a few graphs, none too large to be planned quickly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from nn2wasm.ir import Graph, Node, Tensor
from nn2wasm.ops.shape import is_alias

LARGEST_BATCH = 24
LARGEST_BYTES = 2**28
"""Bounds on the nodes, and on the bytes of cut tensors, of one graph."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A tensor to compare and what it is computed by.

    Attributes:
        tensor: as in the graph that was taken apart.
        nodes: those between the cut tensors and this one, in order, views left out.
    """

    tensor: Tensor
    nodes: tuple[Node, ...]


@dataclass(slots=True)
class Batch:
    """Pieces that are compiled together.

    Attributes:
        graph: inputs are the cut tensors, outputs those to compare.
        given: the cut tensor that each input stands for, by the input's name.
        pieces: by the output's name.
    """

    graph: Graph
    given: dict[str, Tensor] = field(default_factory=dict)
    pieces: dict[str, Piece] = field(default_factory=dict)


def take_apart(graph: Graph, is_known: Callable[[Tensor], bool]) -> list[Batch]:
    """Graphs whose layers do not depend on each other.

    Args:
        graph: a lowered graph; stays as it is.
        is_known: whether the reference has the values of a tensor.
    """
    known = {tensor for tensor in _activations(graph) if is_known(tensor)}
    batches: list[Batch] = []
    group: list[Node] = []
    size = 0
    for component in _components(graph, known):
        added = sum(tensor.bytes for node in component for tensor in _touched(node))
        if group and (len(group) + len(component) > LARGEST_BATCH or size + added > LARGEST_BYTES):
            batches.append(_batch(graph, group, known))
            group, size = [], 0
        group += component
        size += added
    if group:
        batches.append(_batch(graph, group, known))
    return [batch for batch in batches if batch.pieces]


def _activations(graph: Graph) -> Iterable[Tensor]:
    yield from graph.inputs
    for node in graph.nodes:
        yield from node.outputs


def _touched(node: Node) -> list[Tensor]:
    return [*node.activations, *node.outputs]


def _components(graph: Graph, known: set[Tensor]) -> list[list[Node]]:
    """Nodes that edges which are not cut hold together, each in execution order."""
    producers = graph.producers()
    leader = {node: node for node in graph.nodes}

    def find(node: Node) -> Node:
        while leader[node] is not node:
            leader[node] = leader[leader[node]]
            node = leader[node]
        return node

    for node in graph.nodes:
        for tensor in node.activations:
            if tensor not in known and tensor in producers:
                leader[find(node)] = find(producers[tensor])
    components: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        components.setdefault(find(node), []).append(node)
    return list(components.values())


def _batch(source: Graph, nodes: list[Node], known: set[Tensor]) -> Batch:
    """One graph of these nodes: fresh inputs for cut tensors, outputs for what can be compared."""
    members = set(nodes)
    ordered = [node for node in source.nodes if node in members]
    batch = Batch(Graph(source.name))
    fresh: dict[Tensor, Tensor] = {}
    producers = {tensor: node for node in ordered for tensor in node.outputs}
    for node in ordered:
        for tensor in node.activations:
            cut = tensor in known or tensor not in producers
            if cut and tensor not in fresh:
                name = f"given_{len(fresh)}"
                fresh[tensor] = Tensor(name, tensor.dtype, tensor.shape, tensor.quant)
                batch.given[name] = tensor
    alive: set[Node] = set()
    for node in ordered:
        for tensor in node.outputs:
            if tensor not in known:
                continue
            part = _behind(node, producers, fresh)
            computing = tuple(n for n in ordered if n in part and not is_alias(n))
            if not computing:
                continue
            alive |= part
            name = f"made_{len(batch.pieces)}"
            batch.pieces[name] = Piece(tensor, computing)
            batch.graph.outputs.append(tensor)
            batch.graph.output_names.append(name)
    batch.graph.nodes = [_copy(node, fresh) for node in ordered if node in alive]
    used = {tensor for node in batch.graph.nodes for tensor in node.present_inputs}
    batch.graph.inputs = [tensor for tensor in fresh.values() if tensor in used]
    batch.given = {tensor.name: batch.given[tensor.name] for tensor in batch.graph.inputs}
    return batch


def _behind(last: Node, producers: dict[Tensor, Node], cut: dict[Tensor, Tensor]) -> set[Node]:
    """The node, and those it depends on by edges that are not cut."""
    found = {last}
    stack = [last]
    while stack:
        for tensor in stack.pop().activations:
            before = producers.get(tensor)
            if tensor not in cut and before is not None and before not in found:
                found.add(before)
                stack.append(before)
    return found


def _copy(node: Node, fresh: dict[Tensor, Tensor]) -> Node:
    inputs = [fresh.get(t, t) if t is not None else None for t in node.inputs]
    return Node(node.name, node.op, inputs, list(node.outputs), node.origin)
