"""Choices by truth values: y[i] = condition[i] ? a[i] : b[i], and their negation.

ONNX Where, Not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import Array, DType, Node, Op, Tensor, TensorType
from nn2wasm.ops.broadcast import (
    broadcast_strides,
    contiguous_strides,
    index_expression,
    loop_context,
    merge_loops,
)
from nn2wasm.ops.elementwise import broadcast_shape
from nn2wasm.ops.kernel import Kernel, Lowering, stream_lead
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import KernelOp


@dataclass(frozen=True)
class Select(KernelOp):
    """Where: y[i] = condition[i] ? a[i] : b[i]."""

    onnx_types = ("Where",)
    reads_all = True
    kernels = (
        Kernel(symbol="nn_select__scalar", template="binary/select__scalar.c.j2", dtype="bool"),
    )

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        condition, a, b = node.input(0), node.input(1), node.input(2)
        if condition.dtype is not DType.BOOL or a.dtype is not b.dtype:
            raise node.invalid("a condition that is not bool, or operands that differ in type")
        broadcast_shape(node, condition, a, b)
        node.emit(cls(), [condition, a, b])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        condition, a, b = inputs
        assert condition is not None
        assert a is not None
        assert b is not None
        return [TensorType(a.dtype, np.broadcast_shapes(condition.shape, a.shape, b.shape))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        condition, a, b = inputs
        assert a is not None
        return [np.where(np.asarray(condition), a, np.asarray(b))]

    def stacked(self, node: Node, count: int) -> Op | None:
        return self

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        y = node.output
        operands = [node.input(i) for i in range(3)]
        strides = [broadcast_strides(t.shape, y.shape) for t in operands]
        loops = merge_loops(y.shape, [*strides, contiguous_strides(y.shape)])
        names = ("c", "a", "b", "y")
        context = {
            **loop_context(loops),
            "type": y.dtype.c_name,
        } | {f"{name}_index": index_expression(loops, i) for i, name in enumerate(names)}
        return Lowering(context=context, arguments=(0, 1, 2))


@dataclass(frozen=True)
class Not(KernelOp):
    """Logical negation."""

    onnx_types = ("Not",)
    elementwise = True
    kernels = (Kernel(symbol="nn_not__scalar", template="unary/not__scalar.c.j2", dtype="bool"),)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        if node.input(0).dtype is not DType.BOOL:
            raise node.invalid("its operand is not bool")
        node.emit(cls(), [node.input(0)])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(DType.BOOL, x.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        return [np.logical_not(np.asarray(inputs[0]))]

    def transposed(self, node: Node, perm: tuple[int, ...]) -> Op | None:
        return self

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        count = node.output.element_count
        return Lowering(context={"count": count}, lead={0: stream_lead(count, 1, 1)})
