"""u8 to s8 and back where the host's tensors are u8: y = x XOR 128, the same number less 128.

Kernels know s8 alone; `passes.sign_bytes` puts these at the border.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import Array, DType, Node, Op, Tensor, TensorType
from nn2wasm.ops.kernel import Kernel, Lowering, stream_lead
from nn2wasm.ops.registry import KernelOp


@dataclass(frozen=True)
class FlipSign(KernelOp):
    """Input u8 or s8; output the other."""

    elementwise = True
    kernels = (Kernel(symbol="nn_sign__scalar", template="sign/sign__scalar.c.j2", dtype="any"),)

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(DType.U8 if x.dtype is DType.S8 else DType.S8, x.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x = np.asarray(inputs[0])
        other = np.uint8 if x.dtype == np.int8 else np.int8
        return [(x.view(np.uint8) ^ 0x80).view(other)]

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
        }
        return Lowering(context=context, lead={0: stream_lead(x.element_count, 1, 1)})
