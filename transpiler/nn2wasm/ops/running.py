"""Running sums and products along an axis: ONNX CumSum-11.., CumProd-26..

    y[i] = x[0] + … + x[i]       exclusive: without x[i]; reverse: from the end

Integers wrap around.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import Array, DType, Node, Op, Tensor, TensorType
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.scattering import combination
from nn2wasm.ops.softmax import AxisFunction


@dataclass(frozen=True)
class Running(AxisFunction):
    onnx_types = ("CumSum", "CumProd")
    kernels = (
        Kernel(symbol="nn_running__scalar", template="reduce/running__scalar.c.j2", dtype="any"),
    )

    product: bool = False
    exclusive: bool = False
    reverse: bool = False

    @property
    def kind(self) -> str:
        return "CumProd" if self.product else "CumSum"

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        if x.dtype is DType.BOOL:
            raise node.invalid("its input is of truth values")
        axis = node.ints(1, "axis")
        if not x.shape or axis is None or len(axis) != 1:
            raise node.invalid("its input is a scalar, or its axis is not one number")
        op = cls(
            node.axis(axis[0], len(x.shape)),
            product=node.op_type == "CumProd",
            exclusive=bool(node.attr_int("exclusive", 0)),
            reverse=bool(node.attr_int("reverse", 0)),
        )
        node.emit(op, [x])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(x.dtype, x.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x = np.moveaxis(np.asarray(inputs[0]), self.axis, 0)
        x = np.flip(x, 0) if self.reverse else x
        function = np.multiply if self.product else np.add
        y = function.accumulate(x, 0, dtype=x.dtype)
        if self.exclusive:
            y = np.concatenate([np.full_like(y[:1], int(self.product)), y[:-1]])
        return [np.moveaxis(np.flip(y, 0) if self.reverse else y, 0, self.axis)]

    def signed(self, node: Node) -> Op | None:
        return None

    def kernel_dtype(self, node: Node) -> str:
        return "any"

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x = node.input(0)
        context = self.loops(node) | {
            "function": self.kind,
            "type": x.dtype.c_name,
            "start": int(self.product),
            "exclusive": self.exclusive,
            "reverse": self.reverse,
            "last": x.shape[self.axis] - 1,
            "combined": combination("mul" if self.product else "add", x.dtype),
        }
        return Lowering(context=context)
