"""A view of a view is a view of the first; a view of the same shape is the tensor itself."""

from __future__ import annotations

from nn2wasm.ir import Graph, Tensor
from nn2wasm.ops.shape import Reshape
from nn2wasm.passes.base import PassOptions
from nn2wasm.passes.edges import Edges


def merge_views(graph: Graph, options: PassOptions) -> int:
    """Shortens chains of views; those that nobody reads any more are left to `drop_dead`."""
    count = 0
    edges = Edges(graph)
    same: dict[Tensor | None, Tensor] = {}
    kept = []
    for node in graph.nodes:
        node.inputs = [same.get(tensor, tensor) for tensor in node.inputs]
        kept.append(node)
        if not isinstance(node.op, Reshape):
            continue
        before = edges.producer(node.inputs[0], Reshape)
        if before is not None:
            node.inputs[0] = before.input(0)
            count += 1
        x, y = node.input(0), node.output
        same_meaning = y.quant is None or y.quant.same_as(x.quant)
        if x.shape == y.shape and same_meaning and not edges.is_output(y):
            same[y] = x
            kept.pop()
            count += 1
    graph.nodes = kept
    return count
