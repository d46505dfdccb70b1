"""Images channels last in memory, and no transposition that is not needed.

Windowed ops compute channels last. Each gets a Transpose before and after; then Transposes sink
through what works in any order of axes until they meet their inverse, become a view (axes of size
1), or are absorbed by the weights of a Gemm behind a Flatten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nn2wasm.ir import Array, Graph, Node, Tensor
from nn2wasm.ops.gemm import Gemm
from nn2wasm.ops.joining import Concat
from nn2wasm.ops.movement import Transpose
from nn2wasm.ops.quantize import Dequantize
from nn2wasm.ops.shape import Reshape
from nn2wasm.ops.table import Table
from nn2wasm.passes.base import PassOptions
from nn2wasm.passes.edges import Edges

Perm = tuple[int, ...]
Rule = Callable[[Graph, Edges, Node], bool]


def channels_last(graph: Graph, options: PassOptions) -> int:
    """Lowers every windowed op, then moves Transposes until nothing changes.

    Those that could be views become that last: where they sink (a resized image of 1x1 into a
    Concat), others can.
    """
    count = sum(_lower(graph, node) for node in list(graph.nodes))
    count += _settle(graph, (_merge, _absorb, _sink))
    return count + _settle(graph, (_merge, _to_view, _absorb, _sink))


def _settle(graph: Graph, rules: Sequence[Rule]) -> int:
    """Applies the rules until none does anything; returns how often one did."""
    count, changed = 0, True
    while changed:
        changed = False
        edges = Edges(graph)
        for node in list(graph.nodes):
            if node not in graph.nodes:
                continue
            if any(rule(graph, edges, node) for rule in rules):
                graph.sort()
                _drop_unread(graph)
                edges = Edges(graph)
                count += 1
                changed = True
    return count


def _drop_unread(graph: Graph) -> None:
    """Transposes and views that nobody reads any more, so that they do not count as readers."""
    users, outputs = graph.users(), set(graph.outputs)
    for node in reversed(graph.nodes):
        unread = not users.get(node.output) and node.output not in outputs
        if unread and isinstance(node.op, Transpose | Reshape):
            graph.remove(node)
            users = graph.users()


def inverse(perm: Perm) -> Perm:
    return tuple(int(axis) for axis in np.argsort(perm))


def _lower(graph: Graph, node: Node) -> bool:
    op: Any = node.op
    if getattr(op, "channels_last", True):
        return False
    rank = len(node.output.shape)
    to_last = (0, *range(2, rank), 1)
    node.op = op.to_channels_last()
    node.inputs[0] = _transposed(graph, node, node.input(0), to_last)
    old = node.output
    kind = node.op.infer(node.inputs)[0]
    node.outputs = [
        Tensor(
            graph.fresh(old.name),
            kind.dtype,
            kind.shape,
            old.quant,
            source=old.source,
            perm=to_last,
        )
    ]
    after = graph.make(
        Transpose(inverse(to_last)), [node.output], name=f"{node.name}_first", outputs=[old]
    )
    graph.insert_after(node, [after])
    return True


def _transposed(graph: Graph, node: Node, tensor: Tensor, perm: Perm) -> Tensor:
    """The tensor with its axes permuted, by a Transpose that is there or a new one; a constant is
    permuted here and now.
    """
    if tensor.is_constant and (tensor.quant is None or tensor.quant.axis is None):
        name = graph.fresh(tensor.name)
        return tensor.moved(lambda array: array.transpose(perm), name, tensor.quant)
    for other in graph.nodes:
        if other is node:
            break
        if other.inputs and other.inputs[0] is tensor and other.op == Transpose(perm):
            return other.output
    made = graph.make(Transpose(perm), [tensor], name=f"{node.name}_last", quants=[tensor.quant])
    made.output.source = tensor.source
    made.output.perm = _compose(tensor.perm, perm)
    graph.insert_before(node, [made])
    return made.output


def _compose(first: Perm | None, second: Perm) -> Perm:
    return second if first is None else tuple(first[axis] for axis in second)


def _merge(graph: Graph, edges: Edges, node: Node) -> bool:
    """A Transpose and the Transposes and views before it: one Transpose, between views, or none."""
    if not isinstance(node.op, Transpose):
        return False
    before = edges.producer(node.inputs[0], Transpose)
    if before is not None:
        assert isinstance(before.op, Transpose)
        perm = tuple(before.op.perm[axis] for axis in node.op.perm)
        source = before.input(0)
        if perm == tuple(range(len(perm))):
            return _replace_by(graph, edges, node, source)
        node.op, node.inputs = Transpose(perm), [source]
        return True
    chain = _views(edges, node)
    if len(chain) < 3 or not isinstance(chain[0].op, Transpose):
        return False
    source = chain[0].input(0)
    loops = _loops(_elements(chain).reshape(-1))
    if not loops:
        return False
    if len(loops) > 1:
        source = _one_transpose(graph, node, source, loops)
    node.op, node.inputs = Reshape(node.output.shape), [source]
    return True


def _elements(chain: list[Node]) -> Array:
    """Where in the chain's source each element of its result lies."""
    source = chain[0].input(0)
    moved = np.arange(source.element_count).reshape(source.shape)
    for link in chain:
        arrays = link.op.evaluate([moved])
        assert arrays is not None
        moved = arrays[0]
    return moved


def _one_transpose(
    graph: Graph, node: Node, source: Tensor, loops: list[tuple[int, int]]
) -> Tensor:
    """The source's elements in the order that the loops count."""
    axes = sorted(range(len(loops)), key=lambda i: -loops[i][1])  # as they lie in the source
    view = graph.make(
        Reshape(tuple(loops[i][0] for i in axes)), [source], name=f"{node.name}_split",
        quants=[source.quant],
    )  # fmt: skip
    perm = tuple(axes.index(i) for i in range(len(loops)))
    once = graph.make(
        Transpose(perm), [view.output], name=f"{node.name}_once", quants=[source.quant]
    )
    graph.insert_before(node, [view, once])
    return once.output


def _loops(order: Array) -> list[tuple[int, int]]:
    """Sizes and steps of the nested loops that count these numbers in their order, outermost
    first; empty where none do.
    """
    loops: list[tuple[int, int]] = [(1, 1)] if order.size == 1 else []
    while order.size > 1:
        step = int(order[1] - order[0])
        broken = np.flatnonzero(np.diff(order) != step)
        size = int(broken[0]) + 1 if broken.size else order.size
        if order.size % size:
            return []
        rows = order.reshape(-1, size)
        if not np.array_equal(rows, rows[:, :1] + step * np.arange(size)):
            return []
        loops.insert(0, (size, step))
        order = rows[:, 0]
    return loops


def _views(edges: Edges, node: Node) -> list[Node]:
    """The Transposes and views that lead to the node, it included, first to last."""
    chain = [node]
    while True:
        before = edges.producer(chain[0].inputs[0])
        if before is None or not isinstance(before.op, Transpose | Reshape):
            break
        chain.insert(0, before)
    while chain and not isinstance(chain[0].op, Transpose):
        chain.pop(0)
    return chain


def _replace_by(graph: Graph, edges: Edges, node: Node, source: Tensor) -> bool:
    """The node's output is the source."""
    quant = node.output.quant
    if edges.is_output(node.output) or not (quant is None or quant.same_as(source.quant)):
        node.op, node.inputs = Reshape(node.output.shape), [source]
        return True
    graph.replace_uses(node.output, source)
    graph.remove(node)
    return True


def _to_view(graph: Graph, edges: Edges, node: Node) -> bool:
    """A Transpose that only moves axes of size 1 leaves the bytes as they are."""
    if not isinstance(node.op, Transpose) or not _keeps_order(node.input(0).shape, node.op.perm):
        return False
    node.op = Reshape(node.output.shape)
    return True


def _keeps_order(shape: tuple[int, ...], perm: Perm) -> bool:
    kept = [axis for axis in perm if shape[axis] != 1]
    return kept == sorted(kept)


def _sink(graph: Graph, edges: Edges, node: Node) -> bool:
    """op(Transpose(x)) → Transpose(op(x)), where all operands allow it."""
    if isinstance(node.op, Transpose | Reshape):
        return False
    if any(tensor.element_count != 1 for tensor in node.outputs[1:]):
        return False
    if isinstance(node.op, Dequantize) and edges.is_output(node.output):
        return False
    before = next(
        (
            producer
            for tensor in node.activations
            if (producer := edges.producer(tensor, Transpose)) is not None
            and len(tensor.shape) == len(node.output.shape)
        ),
        None,
    )
    if before is None:
        return False
    assert isinstance(before.op, Transpose)
    perm = before.op.perm
    op = node.op.transposed(node, inverse(perm))
    if op is None:
        return False
    inputs: list[Tensor | None] = []
    views: list[Node] = []
    for tensor in node.inputs:
        moved = _operand(graph, edges, node, tensor, perm, views)
        if moved is None and tensor is not None:
            return False
        inputs.append(moved)
    graph.insert_before(node, views)
    old, back = node.output, inverse(perm)
    node.op, node.inputs = op, inputs
    kind = op.infer(inputs)[0]
    new = Tensor(graph.fresh(old.name), kind.dtype, kind.shape, old.quant)
    new.source, new.perm = old.source, _compose(old.perm, back)
    node.outputs[0] = new
    after = graph.make(Transpose(perm), [new], name=f"{node.name}_sunk", outputs=[old])
    graph.insert_after(node, [after])
    return True


def _operand(
    graph: Graph, edges: Edges, node: Node, tensor: Tensor | None, perm: Perm, views: list[Node]
) -> Tensor | None:
    """What the operand was before a Transpose by `perm`; None where that is not to be had for
    free.
    """
    if tensor is None:
        return None
    rank, back = len(perm), inverse(perm)
    producer = edges.producer(tensor, Transpose)
    if producer is not None and producer.op == Transpose(perm):
        return producer.input(0)
    if not node.op.elementwise and not isinstance(node.op, Concat):
        return tensor if tensor.is_constant or tensor.element_count == 1 else None
    if tensor.element_count == 1 and node.op.elementwise:
        return tensor
    if tensor.is_constant and not len(tensor.shape) > rank:
        if isinstance(node.op, Table):
            return tensor
        padded = tensor.value.reshape((1,) * (rank - len(tensor.shape)) + tensor.shape)
        return graph.constant(tensor.name, padded.transpose(back), tensor.quant)
    if not node.op.elementwise:
        return None
    padded_shape = (1,) * (rank - len(tensor.shape)) + tensor.shape
    if len(tensor.shape) > rank or not _keeps_order(padded_shape, back):
        return None
    shape = tuple(padded_shape[axis] for axis in back)
    view = graph.make(Reshape(shape), [tensor], name=f"{node.name}_view", quants=[tensor.quant])
    views.append(view)
    return view.output


def _absorb(graph: Graph, edges: Edges, node: Node) -> bool:
    """Gemm(view(Transpose(x))) of one row: the weights' columns move instead."""
    if not isinstance(node.op, Gemm) or node.input(0).element_count != node.input(0).shape[-1]:
        return False
    weights = node.input(1)
    chain = _views(edges, before) if (before := edges.producer(node.inputs[0])) else []
    if not weights.is_constant or not chain or not isinstance(before.op, Transpose | Reshape):  # type: ignore[union-attr]
        return False
    source = chain[0].input(0)
    order = np.argsort(_elements(chain).reshape(-1))
    axis = 1 if node.op.trans_w else 0
    name = graph.fresh(weights.name)
    node.inputs[1] = weights.moved(lambda array: np.take(array, order, axis), name, weights.quant)
    view = graph.make(
        Reshape(node.input(0).shape), [source], name=f"{node.name}_flat", quants=[source.quant]
    )
    graph.insert_before(node, [view])
    node.inputs[0] = view.output
    return True
