"""Poolings and functions of two tensors of 16 bits.

The same arithmetic as on 8 bits, but that no form is proven by trying all pairs of operands:
functions of two tensors run in the floats that define them (`quant.arithmetic`).
"""

from __future__ import annotations

from typing import Any

from nn2wasm.ir import DType, Node
from nn2wasm.ops.kernel import Kernel
from nn2wasm.ops.linear import float_literal
from nn2wasm.ops.spatial import offset_text
from nn2wasm.quant.arithmetic import integer_bounds

S16_SPAN = 2**16 - 1
"""The largest absolute value of an integer of 16 bits less its zero point."""

MAX_POOL = Kernel(symbol="nn_maxpool_s16__scalar", template="pool/max__scalar.c.j2", dtype="s16")
AVERAGE_POOL = Kernel(
    symbol="nn_avgpool_s16__scalar", template="pool/average_s16__scalar.c.j2", dtype="s16"
)
BINARY = Kernel(symbol="nn_binary_s16__scalar", template="binary/s16__scalar.c.j2", dtype="s16")


def average_context(taps: int) -> dict[str, Any]:
    """The type of sums over that many elements: of 64 bits where they need them."""
    sum_type = DType.S32 if taps * S16_SPAN <= DType.S32.maximum else DType.S64
    return {"sum_type": sum_type.c_name}


def binary_context(node: Node, lo: float, hi: float) -> dict[str, Any]:
    """Scales and zero points of a function of two tensors that lies within real bounds."""
    a, b, y = node.input(0), node.input(1), node.output
    assert a.quant is not None
    assert b.quant is not None
    assert y.quant is not None
    low, high = integer_bounds(lo, hi, y.quant, y.dtype)
    zero_point = int(y.quant.zero_point)
    return {
        "a_scale": float_literal(float(a.quant.scale)),
        "b_scale": float_literal(float(b.quant.scale)),
        "y_scale": float_literal(float(y.quant.scale)),
        "a_centre": offset_text(-int(a.quant.zero_point)),
        "b_centre": offset_text(-int(b.quant.zero_point)),
        "y_zero_point": zero_point,
        "lo": float_literal(low - zero_point),
        "hi": float_literal(high - zero_point),
    }
