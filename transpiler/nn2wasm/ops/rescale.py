"""Integers under another scale, or in another type: a quantizer right behind a dequantizer.

    y = clamp(round_half_even((q − zero_point) · scale / y_scale) + y_zero_point)

Each operation is rounded to float32, as DequantizeLinear and QuantizeLinear do. Emitted by
`passes.rescale`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nn2wasm.ir import DType, Node, Op, Tensor, TensorType
from nn2wasm.ops.kernel import Kernel, Lowering, stream_lead
from nn2wasm.ops.linear import float_literal, requantize_context
from nn2wasm.ops.registry import KernelOp
from nn2wasm.ops.spatial import offset_text


@dataclass(frozen=True)
class Rescale(KernelOp):
    """Input q; its `quant` and the output's say how. `lo`, `hi`: real bounds of the result."""

    elementwise = True
    kernels = (
        Kernel(symbol="nn_rescale__scalar", template="quantize/rescale__scalar.c.j2", dtype="any"),
    )

    dtype: DType
    lo: float = -math.inf
    hi: float = math.inf

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        q = inputs[0]
        assert q is not None
        return [TensorType(self.dtype, q.shape)]

    def transposed(self, node: Node, perm: tuple[int, ...]) -> Op | None:
        return self

    def kernel_dtype(self, node: Node) -> str:
        return "any"

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        q, y = node.input(0), node.output
        assert q.quant is not None
        assert y.quant is not None
        context = requantize_context(self.lo, self.hi, y.quant, y.dtype) | {
            "count": q.element_count,
            "x_type": q.dtype.c_name,
            "y_type": y.dtype.c_name,
            "centre": offset_text(-int(q.quant.zero_point)),
            "x_scale": float_literal(float(q.quant.scale)),
            "y_scale": float_literal(float(y.quant.scale)),
        }
        lead = stream_lead(q.element_count, q.dtype.bytes, y.dtype.bytes)
        return Lowering(context=context, lead={0: lead})
