"""Distances of points to points, with no tensor of the differences of all pairs.

    y[kept] = last(sum over reduced axes of step(a − b))        a and b broadcast

com.microsoft CDist, and what `passes.fuse_distance` makes of a difference and a reduction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import Array, DType, Node, Tensor, TensorType
from nn2wasm.ops.broadcast import (
    broadcast_strides,
    contiguous_strides,
    index_expression,
    loop_context,
    merge_loops,
)
from nn2wasm.ops.elementwise import Binary
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.reduce import FUNCTIONS, Reduction
from nn2wasm.ops.registry import KernelOp
from nn2wasm.ops.shape import Reshape
from nn2wasm.ops.softmax import shape_text

METRICS = {"sqeuclidean": "ReduceSumSquare", "euclidean": "ReduceL2", "manhattan": "ReduceL1"}


@dataclass(frozen=True)
class Distance(KernelOp):
    """Inputs a, b (f32); `function` reduces a − b along `axes`, which stay with size 1."""

    onnx_types = ("com.microsoft.CDist",)
    kernels = (
        Kernel(symbol="nn_distance_f32__scalar", template="distance/f32__scalar.c.j2", dtype="f32"),
    )

    function: str
    axes: tuple[int, ...]

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        a, b = node.input(0), node.input(1)
        metric = node.attr_str("metric", "sqeuclidean")
        if metric not in METRICS:
            raise node.unsupported(f"the metric {metric!r}; {', '.join(METRICS)} are compiled")
        if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[1] != b.shape[1]:
            raise node.invalid("its operands are not two lists of points of one space")
        if a.dtype is not DType.F32 or b.dtype is not DType.F32:
            raise node.unsupported(f"points of type {a.dtype.value} and {b.dtype.value}")
        (m, k), n = a.shape, b.shape[0]
        rows = node.add(Reshape((m, 1, k)), [a], suffix="rows")
        pairs = node.add(cls(METRICS[metric], (2,)), [rows, b], suffix="pairs")
        node.emit(Reshape((m, n)), [pairs])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        pairs = Binary("Sub").infer(inputs)[0]
        shape = tuple(1 if axis in self.axes else size for axis, size in enumerate(pairs.shape))
        return [TensorType(DType.F32, shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        difference = np.subtract(np.asarray(inputs[0]), np.asarray(inputs[1]))
        return Reduction(self.function, self.axes).evaluate([difference])

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        a, b, y = (*node.present_inputs, node.output)
        shape = np.broadcast_shapes(a.shape, b.shape)
        kept = [axis for axis in range(len(shape)) if axis not in self.axes]
        result = tuple(
            0 if axis in self.axes else stride
            for axis, stride in enumerate(contiguous_strides(y.shape))
        )
        strides = [broadcast_strides(a.shape, shape), broadcast_strides(b.shape, shape), result]

        def nest(axes: Sequence[int]) -> list[tuple[int, ...]]:
            return [tuple(operand[axis] for axis in axes) for operand in strides]

        outer = merge_loops(tuple(shape[axis] for axis in kept), nest(kept))
        inner = merge_loops(tuple(shape[axis] for axis in self.axes), nest(self.axes))
        loops = [*outer, *inner]
        text = loop_context(loops)
        every, indents = text["loops"], ["  " * (depth + 1) for depth in range(len(loops))]
        assert isinstance(every, list)
        function = FUNCTIONS[self.function]
        context = {
            "function": self.function,
            "step": function.step,
            "last": function.last,
            "outer_loops": every[: len(outer)],
            "inner_loops": every[len(outer) :],
            "outer_indent": "  " * (len(outer) + 1),
            "body_indent": text["body_indent"],
            "inner_closing": indents[len(outer) :][::-1],
            "outer_closing": indents[: len(outer)][::-1],
            "a_index": index_expression(loops, 0),
            "b_index": index_expression(loops, 1),
            "y_index": index_expression(loops, 2),
            "shape": shape_text(shape),
            "axes": ", ".join(map(str, self.axes)),
        }
        return Lowering(context=context, arguments=(0, 1))
