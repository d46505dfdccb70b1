"""The same bits as another element type of that size: ONNX BitCast-26.."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import Array, DType, Node, Op, Tensor, TensorType
from nn2wasm.ops.cast import BITS, ONNX_DTYPES
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import KernelOp


@dataclass(frozen=True)
class BitCast(KernelOp):
    """Copies, so that no two types lie at one address: C compilers may reorder such accesses."""

    onnx_types = ("BitCast",)
    reads_all = True
    kernels = (
        Kernel(symbol="nn_bit_cast__scalar", template="cast/bits__scalar.c.j2", dtype="any"),
    )

    dtype: DType

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, code = node.input(0), node.attr_int("to", 0)
        if code not in ONNX_DTYPES or code in BITS:
            raise node.unsupported(f"the element type of code {code}")
        dtype = ONNX_DTYPES[code]
        if dtype.bytes != x.dtype.bytes:
            raise node.invalid(f"{dtype.value} has not the size of {x.dtype.value}")
        if dtype is DType.BOOL and x.dtype is not DType.BOOL:
            raise node.unsupported("bits as truth values")
        if dtype is x.dtype:
            node.alias(x)
        else:
            node.emit(cls(dtype), [x])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(self.dtype, x.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x = np.asarray(inputs[0])
        bits = np.ascontiguousarray(x).view(self.dtype.numpy)
        return [bits.reshape(x.shape)]

    def signed(self, node: Node) -> Op | None:
        return None

    def kernel_dtype(self, node: Node) -> str:
        return "any"

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x, y = node.input(0), node.output
        context = {
            "x_type": x.dtype.c_name,
            "y_type": y.dtype.c_name,
            "count": x.element_count,
            "x_name": x.dtype.value,
            "y_name": y.dtype.value,
        }
        return Lowering(context=context)
