"""Zero padding before a convolution becomes the convolution's own.

Rules: the padding is along image axes alone, its value is zero (the zero point, where the elements
are integers), and the convolution is its one reader. Average pooling keeps its Pad: it counts
elements.
"""

from __future__ import annotations

from dataclasses import replace

from nn2wasm.ir import Graph, Node
from nn2wasm.ops.conv import Conv
from nn2wasm.ops.joining import Pad
from nn2wasm.passes.base import PassOptions
from nn2wasm.passes.edges import Edges


def fuse_pad(graph: Graph, options: PassOptions) -> int:
    count = 0
    edges = Edges(graph)
    for node in list(graph.nodes):
        if not isinstance(node.op, Conv):
            continue
        before = edges.producer(node.inputs[0], Pad)
        if (
            before is None
            or edges.only_reader(before.output) is not node
            or not _fits(before, node.op)
        ):
            continue
        pad, geometry = before.op, node.op.geometry
        assert isinstance(pad, Pad)
        last = node.op.channels_last
        begin, end = (values[1:-1] if last else values[2:] for values in (pad.begin, pad.end))
        if geometry.rank == 1:
            begin, end = (0, *begin), (0, *end)
        node.op = replace(
            node.op,
            geometry=replace(
                geometry,
                pad_begin=(geometry.pad_begin[0] + begin[0], geometry.pad_begin[1] + begin[1]),
                pad_end=(geometry.pad_end[0] + end[0], geometry.pad_end[1] + end[1]),
            ),
        )
        node.inputs[0] = before.input(0)
        node.origin = before.origin + node.origin
        graph.remove(before)
        edges = Edges(graph)
        count += 1
    return count


def _fits(node: Node, conv: Conv) -> bool:
    pad, quant = node.op, node.output.quant
    assert isinstance(pad, Pad)
    zero = 0 if quant is None else int(quant.zero_point)
    channel = -1 if conv.channels_last else 1
    others = (pad.begin[0], pad.begin[channel], pad.end[0], pad.end[channel])
    return len(node.inputs) == 1 and pad.value == zero and not any(others)
