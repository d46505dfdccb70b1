"""Integer forms of functions of two 8-bit integers, proven by trying all 65,536 pairs.

    y = clamp((a · ma + b · mb + rest) >> shift)

The truth is float arithmetic, rounded after each operation: ONNX's DequantizeLinear, the function,
QuantizeLinear; or, `fused`, onnxruntime's QLinearAdd, which sums ratio_a·a + (ratio_b·b + rest)
with one rounding each and adds the output's zero point before it rounds to an integer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from nn2wasm.ir.dtype import DType
from nn2wasm.ir.tensor import Array, QuantParams
from nn2wasm.quant.arithmetic import dequantize, quantize, requantize, round_clamped

Pair = tuple[float, int]
BYTES = np.arange(-128, 128, dtype=np.int64)
S32_LIMIT = 2**31
LARGEST_SHIFT = 24
NEARBY_FACTORS = [pair for pair in itertools.product((0, -1, 1, -2, 2), repeat=2) if any(pair)]
LARGEST_NUDGE = 2 + 128 * 4
"""By which a nearby form's sums exceed those of the usual one."""


@dataclass(frozen=True, slots=True)
class IntegerForm:
    """Multipliers of the two operands, what is added, and the shift; all sums stay in 32 bits."""

    a: int
    b: int
    rest: int
    shift: int

    def apply(self, a: Array, b: Array) -> Array:
        total = a * self.a + b * self.b + self.rest
        return np.asarray(np.clip(total >> self.shift, -128, 127))


def defined_table(
    function: Callable[[Array, Array], Array],
    a: Pair,
    b: Pair,
    y: Pair,
    *,
    fused: bool,
    unsigned: bool,
) -> Array:
    """The results for all pairs, s8 [256, 256], −128 first; pairs are (scale, zero point).

    Args:
        function: the real function.
        a: quantization of the first operand.
        b: of the second.
        y: of the result.
        fused: onnxruntime's QLinearAdd.
        unsigned: the model's integers are u8, 128 above those given here; it matters where the
            zero point takes part in float arithmetic.
    """
    if not fused:
        real = function(
            dequantize(BYTES, QuantParams.per_tensor(*a))[:, None],
            dequantize(BYTES, QuantParams.per_tensor(*b))[None, :],
        )
        return quantize(real, QuantParams.per_tensor(*y), DType.S8)
    shift = 128 if unsigned else 0
    ratio_a, ratio_b, rest = fused_ratios(
        (a[0], a[1] + shift), (b[0], b[1] + shift), (y[0], y[1] + shift)
    )
    integers = (BYTES + shift).astype(np.float64)
    second = (integers * ratio_b + rest).astype(np.float32).astype(np.float64)
    total = (integers[:, None] * ratio_a + second[None, :]).astype(np.float32)
    low, high = (0, 255) if unsigned else (-128, 127)
    return (np.clip(np.rint(total), low, high) - shift).astype(np.int8)


def fused_ratios(a: Pair, b: Pair, y: Pair) -> tuple[float, float, float]:
    """ratio_a, ratio_b and rest of a fused sum, each a float32 value.

    The compiler of onnxruntime fused the first product of the rest as well: it is not rounded.
    """
    f = np.float32
    ratio_a, ratio_b = f(a[0]) / f(y[0]), f(b[0]) / f(y[0])
    moved = f(float(ratio_a) * a[1] + float(ratio_b * f(b[1])))
    return float(ratio_a), float(ratio_b), float(f(y[1]) - moved)


@lru_cache(maxsize=256)
def find_integer_form(
    function: Callable[[Array, Array], Array],
    sign: int,
    a: Pair,
    b: Pair,
    y: Pair,
    *,
    fused: bool,
    unsigned: bool,
) -> IntegerForm | None:
    """The integer form of a + sign · b that equals the definition on all pairs; None: not found.

    Tries every precision that 32-bit sums allow, and for each the roundings on either side; then
    factors close to the most precise ones.
    """
    truth = defined_table(function, a, b, y, fused=fused, unsigned=unsigned)
    for form in integer_forms(sign, a, b, y):
        if np.array_equal(form.apply(BYTES[:, None], BYTES[None, :]), truth):
            return form
    return None


def integer_forms(sign: int, a: Pair, b: Pair, y: Pair) -> Iterator[IntegerForm]:
    """Forms near a + sign · b whose sums stay in 32 bits, the most precise first."""
    ratio_a, ratio_b = a[0] / y[0], sign * b[0] / y[0]
    rest = y[1] - ratio_a * a[1] - ratio_b * b[1] + 0.5
    forms = []
    for shift in range(LARGEST_SHIFT, 7, -1):
        unit = 1 << shift
        form = IntegerForm(round(ratio_a * unit), round(ratio_b * unit), round(rest * unit), shift)
        if 128 * (abs(form.a) + abs(form.b)) + abs(form.rest) + LARGEST_NUDGE < S32_LIMIT:
            forms.append(form)
    for form in forms:
        yield from _nudged(form, 0, 0)
    # a rounding of floats that no usual form has: the most precise factors, a little off
    for form in forms[:2]:
        for i, j in NEARBY_FACTORS:
            yield from _nudged(form, i, j)


def _nudged(form: IntegerForm, i: int, j: int) -> list[IntegerForm]:
    """The form with other factors of a and b, and what is added a little off."""
    return [
        replace(form, a=form.a + i, b=form.b + j, rest=form.rest + nudge) for nudge in (0, -1, 1)
    ]


@lru_cache(maxsize=256)
def find_product_form(a: Pair, b: Pair, y: Pair) -> float | None:
    """The float32 by which the product of two integers less their zero points is requantized so
    that it equals the definition on all pairs; None: not found.
    """
    truth = defined_table(np.multiply, a, b, y, fused=False, unsigned=False)
    products = (BYTES[:, None] - a[1]) * (BYTES[None, :] - b[1])
    for ratio in _around(a[0] * b[0] / y[0]):
        if np.array_equal(requantize(products, ratio, y[1], -128, 127), truth):
            return float(ratio)
    return None


@lru_cache(maxsize=256)
def find_sum_form(
    function: Callable[[Array, Array], Array], a: Pair, b: Pair, y: Pair
) -> tuple[float, float] | None:
    """The float32 factors of two integers less their zero points whose sum or difference, rounded
    to an integer, equals the definition on all pairs; None: not found.
    """
    truth = defined_table(function, a, b, y, fused=False, unsigned=False)
    first, second = ((BYTES - zero_point).astype(np.float32) for _, zero_point in (a, b))
    pairs = itertools.product(_around(a[0] / y[0]), _around(b[0] / y[0]))
    for ratio_a, ratio_b in pairs:
        real = function((first * ratio_a)[:, None], (second * ratio_b)[None, :])
        if np.array_equal(round_clamped(real, y[1], -128, 127), truth):
            return float(ratio_a), float(ratio_b)
    return None


def _around(real: float) -> list[Array]:
    """The float32 nearest to a number, and its neighbours, the nearest first."""
    nearest = np.float32(real)
    return sorted(
        (np.float32(nearest + step * np.spacing(nearest)) for step in range(-3, 4)),
        key=lambda value: abs(float(value) - real),
    )
