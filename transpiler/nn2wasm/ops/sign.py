"""u8 to s8 and back where the host's tensors are u8: y = x XOR 128, the same number less 128.

Likewise u16 and s16, 32,768 apart. Kernels know signed integers alone; `passes.sign_bytes` puts
these at the border.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import Array, DType, Node, Op, Tensor, TensorType
from nn2wasm.ops.kernel import Kernel, Lowering, stream_lead
from nn2wasm.ops.registry import KernelOp

_OTHER = {
    DType.U8: DType.S8,
    DType.S8: DType.U8,
    DType.U16: DType.S16,
    DType.S16: DType.U16,
}


@dataclass(frozen=True)
class FlipSign(KernelOp):
    """Input u8 or s8, u16 or s16; output the other of the two."""

    elementwise = True
    kernels = (Kernel(symbol="nn_sign__scalar", template="sign/sign__scalar.c.j2", dtype="any"),)

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(_OTHER[x.dtype], x.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x = np.asarray(inputs[0])
        other = _OTHER[DType.of(x)]
        unsigned = x.view(f"u{x.dtype.itemsize}")
        return [(unsigned ^ (other.sign_offset or -other.minimum)).view(other.numpy)]

    def transposed(self, node: Node, perm: tuple[int, ...]) -> Op | None:
        return self

    def kernel_dtype(self, node: Node) -> str:
        return "any"

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x = node.input(0)
        context = {
            "count": x.element_count,
            "x_type": x.dtype.c_name,
            "y_type": node.output.dtype.c_name,
            "top": node.output.dtype.minimum or x.dtype.minimum,
        }
        return Lowering(
            context=context, lead={0: stream_lead(x.element_count, x.dtype.bytes, x.dtype.bytes)}
        )
