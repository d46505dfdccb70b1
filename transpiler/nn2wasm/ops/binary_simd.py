"""8-bit functions of two tensors on SIMD: the same integers as the scalar kernels, 16 at a time."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from nn2wasm.ir import DType, Node, QuantParams
from nn2wasm.ops.kernel import Lowering
from nn2wasm.ops.tiled import ROUNDED_BY_SUM
from nn2wasm.ops.vectors import pair_rows
from nn2wasm.quant.arithmetic import S8_MAX, S8_MIN, integer_bounds
from nn2wasm.quant.binary_forms import IntegerForm, find_product_form, find_sum_form

EXPRESSIONS = {
    "Add": "a + b",
    "Sub": "a - b",
    "Mul": "a * b",
    "Div": "a / b",
    "Min": "(nn_floats)wasm_f32x4_pmin((v128_t)b, (v128_t)a)",
    "Max": "(nn_floats)wasm_f32x4_pmax((v128_t)b, (v128_t)a)",
    "PRelu": "nn_select4((v128_t)(a >= 0.0f), a, a * b)",
}
"""C of vectors of four floats a and b, each to the bit what the scalar expression gives."""
SUMS = {"Add": np.add, "Sub": np.subtract}
LARGEST_BYTE = 255
"""Less its zero point."""
HIGH_UNIT = 4096
"""What factors of more than 16 bits are divided by."""


def integer_lowering(node: Node, form: IntegerForm, lo: float, hi: float) -> Lowering:
    """clamp((a · ma + b · mb + rest) >> shift); both factors as 4096 · high + low."""
    quant = node.output.quant
    assert quant is not None
    low, high = integer_bounds(lo, hi, quant, DType.S8)
    (a_high, a_low), (b_high, b_low) = (divmod(factor, HIGH_UNIT) for factor in (form.a, form.b))
    lowering = _lowering(node, low, high)
    lowering.sizes |= {
        "high": _pair(a_high, b_high),
        "low": _pair(a_low, b_low),
        "rest": form.rest,
        "shift": form.shift,
    }
    return lowering


class FloatForm(NamedTuple):
    """How floats are combined.

    Attributes:
        equation: for the comment.
        reals: factor of a or of the product, factor of b or what is added to it, divisor.
        largest: result before it is bounded.
        product: the integers are multiplied.
        divided: by the output's scale; it is in the factors otherwise.
        added: the product's factor is followed by a sum.
    """

    equation: str
    reals: tuple[float, float, float]
    largest: float = math.inf
    product: bool = False
    divided: bool = False
    added: bool = False


def float_lowering(
    node: Node, function: str, lo: float, hi: float, *, fused: bool, unsigned: bool
) -> Lowering:
    """The definition in floats, or a shorter form that is proven equal."""
    a, b, y = node.input(0).quant, node.input(1).quant, node.output.quant
    assert a is not None
    assert b is not None
    assert y is not None
    shift, zero_point = 128 if unsigned and fused else 0, int(y.zero_point)
    if fused:
        form, zero_point = _fused_product(a, b, y, shift), -shift
        low, high = S8_MIN, S8_MAX
    else:
        form = float_form(node, function)
        low, high = integer_bounds(lo, hi, y, DType.S8)
    bounded = form.largest >= ROUNDED_BY_SUM
    lowering = _lowering(node, *((S8_MIN, S8_MAX) if bounded else (low, high)))
    lowering.context |= {
        "form": form,
        "bounded": bounded,
        "expression": EXPRESSIONS[function],
        "fours": [
            {"index": i, "half": ("low", "high")[i % 2], "eight": i // 2 * 8} for i in range(4)
        ],
    }
    lowering.sizes |= {
        "a_zero": int(a.zero_point),
        "b_zero": int(b.zero_point),
        "zero_point": zero_point,
    }
    reals = [*form.reals, low - zero_point, high - zero_point]
    lowering.constants["reals"] = np.asarray(reals, np.float32)
    return lowering


def _fused_product(a: QuantParams, b: QuantParams, y: QuantParams, shift: int) -> FloatForm:
    """The zero point takes part in float arithmetic."""
    ratio = float(np.float32(np.float32(a.scale) * np.float32(b.scale)) / np.float32(y.scale))
    added = int(y.zero_point) + shift
    largest = LARGEST_BYTE**2 * ratio + abs(added)
    equation = "(a * b) * ratio + y_zero_point"
    return FloatForm(equation, (ratio, added, 0.0), largest, product=True, added=True)


def float_form(node: Node, function: str) -> FloatForm:
    """The shortest form that equals the definition on all pairs of operands."""
    quants = (node.input(0).quant, node.input(1).quant, node.output.quant)
    pairs = [(float(quant.scale), int(quant.zero_point)) for quant in quants if quant is not None]
    if function == "Mul" and (ratio := find_product_form(*pairs)) is not None:
        largest = LARGEST_BYTE**2 * ratio
        return FloatForm("(a * b) * ratio", (ratio, 0.0, 0.0), largest, product=True)
    if function in SUMS and (ratios := find_sum_form(SUMS[function], *pairs)) is not None:
        equation = f"{function}(a * a_ratio, b * b_ratio)"
        return FloatForm(equation, (*ratios, 0.0), LARGEST_BYTE * sum(ratios))
    equation = f"{function}(a * a_scale, b * b_scale) / y_scale"
    return FloatForm(equation, (pairs[0][0], pairs[1][0], pairs[2][0]), divided=True)


def _lowering(node: Node, low: int, high: int) -> Lowering:
    """Rows of vectors, and bytes bounded where saturation does not do it."""
    rows = pair_rows(node.input(0).shape, node.input(1).shape, node.output.shape)
    assert rows is not None
    clamped = (low, high) != (S8_MIN, S8_MAX)
    context = rows.context | {
        "clamp_open": "nn_clamp_bytes(" if clamped else "",
        "clamp_close": ", y_lo, y_hi)" if clamped else "",
    }
    sizes = rows.sizes | {"y_lo": low, "y_hi": high}
    return Lowering(context=context, sizes=sizes, arguments=(0, 1))


def _pair(a: int, b: int) -> int:
    """Two integers of 16 bits in one of 32, a in the low half."""
    return ((b << 16 | a & 0xFFFF) + 2**31) % 2**32 - 2**31
