"""Poolings and functions of two tensors of 16 bits.

The same arithmetic as on 8 bits, but that no form is proven by trying all pairs of operands: sums,
differences and products have the forms of `quant.wide_forms` where floats cost more, all other
functions of two tensors run in the floats that define them (`quant.arithmetic`).
"""

from __future__ import annotations

from typing import Any

from nn2wasm.ir import DType, Node, QuantParams
from nn2wasm.ops.fixed_wide import (
    HEADERS,
    NO_FORM,
    NO_FPU,
    factor_terms,
    float_bits,
    largest_size,
    moved_text,
    point_context,
)
from nn2wasm.ops.kernel import Kernel
from nn2wasm.ops.linear import float_literal
from nn2wasm.ops.spatial import offset_text
from nn2wasm.quant.arithmetic import integer_bounds
from nn2wasm.quant.wide_forms import ProductForm, SumForm, find_product_form, find_sum_form

S16_SPAN = 2**16 - 1
"""The largest absolute value of an integer of 16 bits less its zero point."""

MAX_POOL = Kernel(symbol="nn_maxpool_s16__scalar", template="pool/max__scalar.c.j2", dtype="s16")
AVERAGE_POOL = Kernel(
    symbol="nn_avgpool_s16__scalar", template="pool/average_s16__scalar.c.j2", dtype="s16"
)
BINARY = (
    Kernel(
        symbol="nn_binary_s16_fixed__scalar",
        template="binary/s16_fixed__scalar.c.j2",
        dtype="s16",
        needs=NO_FPU,
        fits=lambda node: _needs_form(node),
        headers=HEADERS,
        integers=True,
    ),
    Kernel(symbol="nn_binary_s16__scalar", template="binary/s16__scalar.c.j2", dtype="s16"),
)
SIGNS = {"Add": 1, "Sub": -1}


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


def binary_form_context(node: Node) -> dict[str, Any]:
    """The integer form of a function of two tensors, and how floats are computed near borders."""
    form, (a, b, y) = _form(node), _quants(node)
    assert form is not None
    a_scale, b_scale, y_scale = (float_bits(float(quant.scale)) for quant in (a, b, y))
    scales = f"{a_scale}, {b_scale}, {y_scale})"
    if isinstance(form, SumForm):
        negative = form.sign < 0
        sign = "-" if negative else ""
        text = f"{factor_terms('a', form.a)} {sign or '+'} {factor_terms('b', form.b)}"
        decided = f"nn_float_of_sum(a, {sign}b, {scales}"
    else:
        operands = f"a{moved_text(form.a_left)}, b{moved_text(form.b_left)}"
        text = f"nn_high(nn_high({operands}), {form.m})"
        decided = f"nn_float_of_product(a, b, {scales}"
    return point_context(form.point) | {
        "a_centre": offset_text(-int(a.zero_point)),
        "b_centre": offset_text(-int(b.zero_point)),
        "form": text,
        "decided": decided,
    }


def _needs_form(node: Node) -> str:
    if node.op.kind not in (*SIGNS, "Mul"):
        return "no sum, difference or product"
    return "" if _form(node) is not None else NO_FORM


def _form(node: Node) -> SumForm | ProductForm | None:
    op: Any = node.op
    a, b, y = _quants(node)
    scales = float(a.scale), float(b.scale), float(y.scale)
    sizes = largest_size(node.input(0)), largest_size(node.input(1))
    low, high = integer_bounds(op.lo, op.hi, y, node.output.dtype)
    zero_point = int(y.zero_point)
    if op.function == "Mul":
        return find_product_form(scales, sizes, zero_point, low, high)
    return find_sum_form(scales, sizes, zero_point, low, high, SIGNS[op.function])


def _quants(node: Node) -> tuple[QuantParams, QuantParams, QuantParams]:
    """Of both operands and the result."""
    a, b, y = node.input(0).quant, node.input(1).quant, node.output.quant
    assert a is not None
    assert b is not None
    assert y is not None
    return a, b, y
