"""Integers that only change their scale, their type or their bounds never become floats.

    Quantize(Dequantize(q))       = Rescale(q)
    Quantize(Relu(Dequantize(q))) = Rescale(q), clamped

Rules: one per-tensor scale on either side, 8 or 16 bits; Relu or Clip between them. What has 8 bits
on both sides is a table already.
"""

from __future__ import annotations

from math import inf

from nn2wasm.ir import Graph
from nn2wasm.ops.quantize import Dequantize, Quantize
from nn2wasm.ops.rescale import Rescale
from nn2wasm.passes.base import PassOptions
from nn2wasm.passes.edges import Edges
from nn2wasm.passes.fuse_activation import activation_bounds


def rescale(graph: Graph, options: PassOptions) -> int:
    count = 0
    edges = Edges(graph)
    for node in list(graph.nodes):
        if not isinstance(node.op, Quantize) or node.op.quant.axis is not None:
            continue
        before = edges.producer(node.inputs[0])
        bounds = activation_bounds(before) if before is not None else None
        origin = node.origin
        if before is not None and bounds is not None:
            origin = (*before.origin, *origin)
            before = edges.producer(before.inputs[0])
        if before is None or not isinstance(before.op, Dequantize):
            continue
        q = before.input(0)
        is_scaled = q.quant is not None and q.quant.axis is None and not q.is_constant
        if not (is_scaled and q.dtype.is_narrow and node.op.dtype.is_narrow):
            continue
        lo, hi = bounds or (-inf, inf)
        op = Rescale(node.op.dtype, lo, hi)
        replacement = graph.make(
            op, [q], name=f"{node.name}_rescale", origin=origin, outputs=node.outputs
        )
        graph.insert_before(node, [replacement])
        graph.remove(node)
        count += 1
    return count
