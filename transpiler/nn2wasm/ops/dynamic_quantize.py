"""Quantization with the range that an input turns out to have.

    low, high = min(0, min x), max(0, max x)       scale = (high − low) / 255, 1 where that is 0
    zero_point = round(clamp(−low / scale))        q = clamp(round(x / scale) + zero_point)

ONNX DynamicQuantizeLinear-11, in float32, rounding half to even.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import Array, DType, Node, Tensor, TensorType
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import KernelOp


@dataclass(frozen=True)
class DynamicQuantize(KernelOp):
    """Input x (f32); outputs q (u8, of its shape), scale (f32, scalar), zero point (u8, scalar)."""

    onnx_types = ("DynamicQuantizeLinear",)
    kernels = (
        Kernel(
            symbol="nn_dynamic_quantize__scalar",
            template="quantize/dynamic__scalar.c.j2",
            dtype="f32",
        ),
    )

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        if x.dtype is not DType.F32:
            raise node.unsupported(f"quantizing {x.dtype.value}; f32 is compiled")
        if x.is_empty:
            raise node.unsupported("a range of no elements")
        node.emit(cls(), [x])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(DType.U8, x.shape), TensorType(DType.F32, ()), TensorType(DType.U8, ())]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x, zero, most = np.asarray(inputs[0]), np.float32(0), np.float32(255)
        low, high = min(zero, x.min()), max(zero, x.max())
        scale = (high - low) / most or np.float32(1)
        zero_point = np.rint(np.clip(-low / scale, zero, most))
        q = np.clip(np.rint(x / scale) + zero_point, zero, most)
        return [q.astype(np.uint8), np.float32(scale), zero_point.astype(np.uint8)]

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        return Lowering(context={"count": node.input(0).element_count})
