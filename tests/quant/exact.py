"""Quantized arithmetic in Python's integers and fractions: the judge of everything else.

Nothing here uses floating point but to hold values that are float32 already.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

MANTISSA_BITS = 24
LARGEST_FLOAT = Fraction((2**24 - 1) * 2**104)
LEAST_EXPONENT = -149
"""Floats are multiples of 2^−149."""


def exact(value: float | np.floating) -> Fraction:
    return Fraction(float(value))


def half_even(value: Fraction) -> int:
    """The nearest integer, the even one where two are as near."""
    low = math.floor(value)
    rest = value - low
    if rest != Fraction(1, 2):
        return low + (rest > Fraction(1, 2))
    return low + low % 2


def to_float(value: Fraction) -> Fraction | float:
    """The nearest float32, as IEEE 754 rounds: half to even, subnormals kept, infinite beyond the
    largest.
    """
    if not value:
        return Fraction(0)
    size = abs(value)
    exponent = max(_floor_log2(size) - (MANTISSA_BITS - 1), LEAST_EXPONENT)
    unit = Fraction(2) ** exponent
    rounded = half_even(size / unit) * unit
    sign = 1 if value > 0 else -1
    return sign * rounded if rounded <= LARGEST_FLOAT else sign * math.inf


def _floor_log2(value: Fraction) -> int:
    guess = value.numerator.bit_length() - value.denominator.bit_length()
    return guess if Fraction(2) ** guess <= value else guess - 1


def clamp(value: Fraction | float, low: int, high: int) -> Fraction | int:
    if value == math.inf:
        return high
    if value == -math.inf:
        return low
    return Fraction(min(max(value, low), high))


def requantize(acc: int, multiplier: float, zero_point: int, low: int, high: int) -> int:
    """clamp(round_half_even(float32(float32(acc) · M)) + zero_point)."""
    product = to_float(to_float(Fraction(acc)) * exact(multiplier))
    return half_even(Fraction(clamp(product, low - zero_point, high - zero_point))) + zero_point


def quantize(real: float, scale: float, zero_point: int, low: int, high: int) -> int:
    """clamp(round_half_even(float32(x / scale)) + zero_point); infinities saturate."""
    if math.isinf(real):
        return high if real > 0 else low
    quotient = to_float(exact(real) / exact(scale))
    return half_even(Fraction(clamp(quotient, low - zero_point, high - zero_point))) + zero_point


def dequantize(integer: int, scale: float, zero_point: int) -> Fraction | float:
    return to_float(Fraction(integer - zero_point) * exact(scale))


def ratio(x_scale: float, w_scale: float, y_scale: float) -> Fraction | float:
    product = to_float(exact(x_scale) * exact(w_scale))
    return product if isinstance(product, float) else to_float(product / exact(y_scale))
