"""Integers under another scale, or in another type: a quantizer right behind a dequantizer.

    y = clamp(round_half_even((q − zero_point) · scale / y_scale) + y_zero_point)

Each operation is rounded to float32, as DequantizeLinear and QuantizeLinear do. Emitted by
`passes.rescale`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nn2wasm.ir import DType, Node, Op, Tensor, TensorType
from nn2wasm.ops.fixed_wide import (
    HEADERS,
    NO_FORM,
    NO_FPU,
    factor_terms,
    float_bits,
    largest_size,
    point_context,
)
from nn2wasm.ops.kernel import Kernel, Lowering, stream_lead
from nn2wasm.ops.linear import float_literal, requantize_context
from nn2wasm.ops.registry import KernelOp
from nn2wasm.ops.spatial import offset_text
from nn2wasm.quant.arithmetic import integer_bounds
from nn2wasm.quant.wide_forms import RescaledForm, find_rescaled_form


@dataclass(frozen=True)
class Rescale(KernelOp):
    """Input q; its `quant` and the output's say how. `lo`, `hi`: real bounds of the result."""

    elementwise = True
    kernels = (
        Kernel(
            symbol="nn_rescale_fixed__scalar",
            template="quantize/rescale_fixed__scalar.c.j2",
            dtype="any",
            needs=NO_FPU,
            fits=lambda node: "" if _form(node) is not None else NO_FORM,
            headers=HEADERS,
            integers=True,
        ),
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
        if kernel.integers:
            context |= self._integer_context(node)
        lead = stream_lead(q.element_count, q.dtype.bytes, y.dtype.bytes)
        return Lowering(context=context, lead={0: lead})

    def _integer_context(self, node: Node) -> dict[str, Any]:
        form, q, y = _form(node), node.input(0).quant, node.output.quant
        assert form is not None
        assert q is not None
        assert y is not None
        return point_context(form.point) | {
            "form": factor_terms("q0", form.x),
            "x_scale": float_bits(float(q.scale)),
            "y_scale": float_bits(float(y.scale)),
        }


def _form(node: Node) -> RescaledForm | None:
    q, y, op = node.input(0), node.output, node.op
    assert isinstance(op, Rescale)
    assert q.quant is not None
    assert y.quant is not None
    return find_rescaled_form(
        float(q.quant.scale),
        float(y.quant.scale),
        largest_size(q),
        int(y.quant.zero_point),
        *integer_bounds(op.lo, op.hi, y.quant, y.dtype),
    )
