"""Tensors cut or filled to a size, about their centre: ONNX CenterCropPad-18..

The larger half of what is missing is at the end, as is the larger half of what is cut.
"""

from __future__ import annotations

from nn2wasm.ops.joining import Pad
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import ImportOp
from nn2wasm.ops.slicing import Slice


class CenterCropPad(ImportOp):
    """Becomes a Slice and a Pad, each where it changes anything."""

    onnx_types = ("CenterCropPad",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, wanted = node.input(0), node.ints(1, "shape")
        rank = len(x.shape)
        given = node.attr_ints("axes")
        axes = tuple(range(rank)) if given is None else node.axes(given, rank)
        if wanted is None or len(wanted) != len(axes) or min(wanted, default=1) < 1:
            raise node.invalid(f"shape {wanted} for {len(axes)} axes")
        starts, sizes, begin, end = [0] * rank, list(x.shape), [0] * rank, [0] * rank
        for axis, size in zip(axes, wanted, strict=True):
            old = x.shape[axis]
            starts[axis], sizes[axis] = max(0, old - size) // 2, min(old, size)
            begin[axis] = max(0, size - old) // 2
            end[axis] = max(0, size - old) - begin[axis]
        y = x
        if tuple(sizes) != x.shape:
            y = node.add(Slice(tuple(starts), tuple(sizes), (1,) * rank), [y], suffix="crop")
        if any(begin + end):
            y = node.add(Pad(tuple(begin), tuple(end)), [y], suffix="pad")
        node.alias(y)
