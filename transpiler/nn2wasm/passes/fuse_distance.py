"""A reduction of a difference becomes a distance, where the difference is of all pairs.

Rules: the reduction squares or takes magnitudes, is the one reader of the difference, and that has
more elements than what it is computed from at run time: the memory it would take is saved.
"""

from __future__ import annotations

from itertools import pairwise

from nn2wasm.ir import DType, Graph, Node
from nn2wasm.ops.distance import METRICS, Distance
from nn2wasm.ops.elementwise import Binary
from nn2wasm.ops.reduce import Reduction
from nn2wasm.ops.unary import Unary
from nn2wasm.passes.base import PassOptions
from nn2wasm.passes.edges import Edges


def fuse_distance(graph: Graph, options: PassOptions) -> int:
    count = 0
    edges = Edges(graph)
    for node in list(graph.nodes):
        if not isinstance(node.op, Reduction):
            continue
        function, chain = node.op.function, [node]
        before = edges.producer(node.inputs[0])
        if function == "ReduceSum" and before is not None and _is_magnitude(before):
            function, chain = "ReduceL1", [node, before]
            before = edges.producer(before.inputs[0])
        if function not in METRICS.values() or before is None or not _is_of_pairs(before):
            continue
        whole = [before, *chain[::-1]]
        if any(edges.only_reader(one.output) is not then for one, then in pairwise(whole)):
            continue
        node.op = Distance(function, node.op.axes)
        node.inputs = list(before.inputs)
        node.origin = tuple(name for one in whole for name in one.origin)
        for one in whole[:-1]:
            graph.remove(one)
        edges = Edges(graph)
        count += 1
    return count


def _is_magnitude(node: Node) -> bool:
    return isinstance(node.op, Unary) and node.op.function == "Abs"


def _is_of_pairs(node: Node) -> bool:
    if node.op != Binary("Sub") or node.output.dtype is not DType.F32:
        return False
    return node.output.element_count > max(t.element_count for t in node.activations)
