"""Relu and Clip become the clamp of the op before them.

Rules: the op before has fields lo and hi and one reader; it works on floats.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

from nn2wasm.ir import DType, Graph, Node
from nn2wasm.ops.unary import Clip, Unary
from nn2wasm.passes.base import PassOptions
from nn2wasm.passes.edges import Edges


def fuse_activation(graph: Graph, options: PassOptions) -> int:
    count = 0
    edges = Edges(graph)
    for node in list(graph.nodes):
        bounds = activation_bounds(node)
        before = edges.producer(node.inputs[0]) if bounds else None
        if bounds is None or before is None or not before.op.clamps:
            continue
        if edges.only_reader(before.output) is not node or before.output.dtype is not DType.F32:
            continue
        lo, hi = bounds
        op: Any = before.op
        before.op = replace(op, lo=min(max(op.lo, lo), hi), hi=min(max(op.hi, lo), hi))
        before.outputs = node.outputs
        before.origin += node.origin
        graph.remove(node)
        edges.rewired(before)
        count += 1
    return count


def activation_bounds(node: Node) -> tuple[float, float] | None:
    """The bounds that Relu or Clip keeps a number within; None where the node is neither."""
    if isinstance(node.op, Clip):
        return node.op.lo, node.op.hi
    if isinstance(node.op, Unary) and node.op.function == "Relu":
        return 0.0, inf
    return None
