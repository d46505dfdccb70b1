"""Quantization with the range that an input turns out to have.

    low, high = min(0, min x), max(0, max x)       scale = (high − low) / 255, 1 where that is 0
    zero_point = round(clamp(−low / scale))        q = clamp(round(x / scale) + zero_point)

ONNX DynamicQuantizeLinear-11, in float32, rounding half to even.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nn2wasm.ir import Array, DType, Node, Op, Tensor, TensorType
from nn2wasm.ops.kernel import Kernel, Lowering, stream_lead
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.quantize import LEAST
from nn2wasm.ops.registry import KernelOp
from nn2wasm.ops.spatial import offset_text
from nn2wasm.ops.vectors import at_least, simd_kernel


@dataclass(frozen=True)
class DynamicQuantize(KernelOp):
    """Input x (f32); outputs q (of its shape), scale (f32, scalar), zero point (scalar), u8 or, 128
    lower, s8.
    """

    onnx_types = ("DynamicQuantizeLinear",)
    kernels = (
        simd_kernel("nn_dynamic_quantize_16", "quantize/dynamic", "f32", at_least(LEAST)),
        Kernel(
            symbol="nn_dynamic_quantize__scalar",
            template="quantize/dynamic__scalar.c.j2",
            dtype="f32",
        ),
    )

    q_type: DType = DType.U8
    zero_type: DType = DType.U8

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
        return [
            TensorType(self.q_type, x.shape),
            TensorType(DType.F32, ()),
            TensorType(self.zero_type, ()),
        ]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x, zero, most = np.asarray(inputs[0]), np.float32(0), np.float32(255)
        low, high = min(zero, x.min()), max(zero, x.max())
        scale = (high - low) / most or np.float32(1)
        zero_point = np.rint(np.clip(-low / scale, zero, most))
        q = np.clip(np.rint(x / scale) + zero_point, zero, most)
        q, zero_point = q + self.q_type.minimum, zero_point + self.zero_type.minimum
        return [
            q.astype(self.q_type.numpy),
            np.float32(scale),
            zero_point.astype(self.zero_type.numpy),
        ]

    def signed(self, node: Node) -> Op | None:
        q, _, zero = (out.dtype if out.quant is None else out.dtype.signed for out in node.outputs)
        return DynamicQuantize(q, zero)

    def transposed(self, node: Node, perm: tuple[int, ...]) -> Op | None:
        return self

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        count = node.input(0).element_count
        context: dict[str, Any] = {
            "q_open": "" if self.q_type is DType.S8 else "wasm_v128_xor(",
            "q_close": "" if self.q_type is DType.S8 else ", wasm_i8x16_splat(-128))",
        }
        for name, dtype in (("q", self.q_type), ("zero", self.zero_type)):
            context |= {f"{name}_type": dtype.c_name, f"{name}_below": offset_text(dtype.minimum)}
        lead = stream_lead(count, DType.F32.bytes, self.q_type.bytes)
        return Lowering(context=context, sizes={"count": count}, lead={0: lead})
