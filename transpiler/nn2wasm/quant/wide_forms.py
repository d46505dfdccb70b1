"""Integers of 16 bits in integers, for machines where floats cost more.

    v = floor(t · m / 2^32) + offset      offset = (zero_point + 1/2) · 2^shift
    q = clamp(v >> shift)

`t` is a sum moved to fill 32 bits, `m` a multiplier of 31 bits. As float32 has 24 bits and results
16, there are always sums whose results float32's roundings decide; thresholds of 65,536 results are
many, too. So there is one form, and an interval proves it: where floats stay within E units of the
real number and v within W, a v that is more than E + W units away from the border of two results
has the result of the floats. Nearer (a few in a hundred), the floats are computed in integers.

Each rounding to float32 moves a number by at most 2^-24 of its size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nn2wasm.ir.tensor import Array
from nn2wasm.quant.arithmetic import round_clamped

MULTIPLIER_BITS = 31
LARGEST_SHIFT = 14
"""v with 17 bits before the point has 31."""
ROUNDING = 2.0**-24
LEAST_TOP = -LARGEST_SHIFT - 1
"""Of integers that are not moved: smaller ratios leave bits of m unused."""
NORMAL = (2.0**-100, 2.0**100)
"""Scales whose products with integers are normal numbers of float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """How v becomes a result.

    Attributes:
        shift: bits behind the point of v.
        guard: units from the border of two results within which floats decide.
        zero_point: of the result.
        lo: least result.
        hi: largest.
    """

    shift: int
    guard: int
    zero_point: int
    lo: int
    hi: int

    @property
    def offset(self) -> int:
        """What is added to v: the zero point, and a half to round by."""
        return (2 * self.zero_point + 1) << (self.shift - 1)

    def results(self, v: Array, real: Array) -> Array:
        """Results of v without its offset and of the floats that decide near borders."""
        moved = v + self.offset
        near = ((moved + self.guard) & ((1 << self.shift) - 1)) < 2 * self.guard
        exact = round_clamped(real, self.zero_point, self.lo, self.hi)
        return np.asarray(np.where(near, exact, np.clip(moved >> self.shift, self.lo, self.hi)))


@dataclass(frozen=True, slots=True, kw_only=True)
class WideForm:
    """Sums times a scale each.

    Attributes:
        scales: [n] float32, what sums are multiplied by.
        left: bits by which sums are moved up, negative: down.
        top: 2^top is above all scales.
        point: how v becomes a result.
    """

    scales: Array
    left: int
    top: int
    point: Point

    @property
    def multipliers(self) -> Array:
        """m of each scale."""
        exact = np.ldexp(self.scales.astype(np.float64), MULTIPLIER_BITS - self.top)
        return np.asarray(np.floor(exact).astype(np.int64))

    def apply(self, acc: Array) -> Array:
        """The results of sums [n, any], a row for each scale; what the C gives."""
        wide = acc.astype(np.int64)
        moved = wide << self.left if self.left >= 0 else wide >> -self.left
        v = (moved * self.multipliers[:, None]) >> 32
        with np.errstate(over="ignore"):
            real = wide.astype(np.float32) * self.scales[:, None]
        return self.point.results(v, real)


class Factor(NamedTuple):
    """A real number as floor(ratio · 2^(31 − top)), for integers that are moved up `left` bits."""

    m: int
    left: int


def find_wide_form(
    scales: Array, bound: Array, zero_point: int, lo: int, hi: int
) -> WideForm | None:
    """The form of sums that are multiplied by float32 numbers; None where sums may be so much
    larger than results that no bit is left behind the point, 8192 times those of 16 bits.

    Args:
        scales: [n], float32.
        bound: [n], the largest size of a sum.
        zero_point: of the result.
        lo: least result.
        hi: largest.
    """
    if not np.all(np.isfinite(scales)) or np.any(scales < 0):
        return None
    room = MULTIPLIER_BITS - int(bound.max(initial=1)).bit_length()
    top = max(LEAST_TOP + min(room, 0), int(np.frexp(float(scales.max(initial=0)))[1]))
    left = min(room, LARGEST_SHIFT + 1 + top)
    shift = left - top - 1
    if shift < 1:
        return None
    # As shift > 0, no sum times this is above 1/4: it is 0 however small a scale is.
    least = np.float32(2.0 ** (top - MULTIPLIER_BITS))
    raised = np.maximum(scales.astype(np.float32), least)
    # v: its floor, and what m and t have lost of it; floats: of the sum and of the product.
    point = _point(2.0, 2 * _reach(zero_point, lo, hi), shift, zero_point, lo, hi)
    return WideForm(scales=raised, left=left, top=top, point=point)


class RescaledForm(NamedTuple):
    """x · x_scale / y_scale, for integers x less their zero point."""

    x: Factor
    point: Point

    def apply(self, x: Array, real: Array) -> Array:
        """Results of integers and of the floats that define them; what the C gives."""
        v = ((x.astype(np.int64) << self.x.left) * self.x.m) >> 32
        return self.point.results(v, real)


def find_rescaled_form(
    x_scale: float, y_scale: float, bound: int, zero_point: int, lo: int, hi: int
) -> RescaledForm | None:
    """The form of a change of scale; None where no bit is left behind the point.

    Args:
        x_scale: a float32.
        y_scale: a float32.
        bound: the largest size of an integer less its zero point.
        zero_point: of the result.
        lo: least result.
        hi: largest.
    """
    if not _are_normal(x_scale, y_scale):
        return None
    ratio, room = x_scale / y_scale, MULTIPLIER_BITS - bound.bit_length()
    shift = min(LARGEST_SHIFT, _most_bits(ratio, room))
    if shift < 1:
        return None
    point = _point(2.0, 2 * _reach(zero_point, lo, hi), shift, zero_point, lo, hi)
    return RescaledForm(_factor(ratio, shift), point)


class SumForm(NamedTuple):
    """(a · a_scale ± b · b_scale) / y_scale, for integers less their zero points."""

    a: Factor
    b: Factor
    sign: int
    point: Point

    def apply(self, a: Array, b: Array, real: Array) -> Array:
        """Results of integers and of the floats that define them; what the C gives."""
        moved_a, moved_b = a.astype(np.int64) << self.a.left, b.astype(np.int64) << self.b.left
        v = (moved_a * self.a.m >> 32) + (self.sign * moved_b * self.b.m >> 32)
        return self.point.results(v, real)


def find_sum_form(
    scales: tuple[float, float, float],
    bounds: tuple[int, int],
    zero_point: int,
    lo: int,
    hi: int,
    sign: int,
) -> SumForm | None:
    """The form of a sum or a difference; arguments as of `find_rescaled_form`, scales of a, b and
    the result.
    """
    if not _are_normal(*scales):
        return None
    ratios = [scale / scales[2] for scale in scales[:2]]
    rooms = [MULTIPLIER_BITS - 1 - bound.bit_length() for bound in bounds]  # for a sum of two
    shift = min(LARGEST_SHIFT, *map(_most_bits, ratios, rooms))
    if shift < 1:
        return None
    # Both operands are rounded, whatever their size; then the sum and the quotient.
    sizes = sum(ratio * bound for ratio, bound in zip(ratios, bounds, strict=True))
    moved = sizes + 2 * _reach(zero_point, lo, hi)
    point = _point(3.0, moved, shift, zero_point, lo, hi)
    return SumForm(_factor(ratios[0], shift), _factor(ratios[1], shift), sign, point)


class ProductForm(NamedTuple):
    """(a · a_scale) · (b · b_scale) / y_scale, for integers less their zero points.

    t = floor(a · 2^a_left · b · 2^b_left / 2^32), v = floor(t · m / 2^32).
    """

    a_left: int
    b_left: int
    m: int
    point: Point

    def apply(self, a: Array, b: Array, real: Array) -> Array:
        """Results of integers and of the floats that define them; what the C gives."""
        t = (a.astype(np.int64) << self.a_left) * (b.astype(np.int64) << self.b_left) >> 32
        return self.point.results(t * self.m >> 32, real)


def find_product_form(
    scales: tuple[float, float, float], bounds: tuple[int, int], zero_point: int, lo: int, hi: int
) -> ProductForm | None:
    """The form of a product; arguments as of `find_sum_form`."""
    product = scales[0] * scales[1]
    if not _are_normal(*scales, product):
        return None
    ratio = product / scales[2]
    a_left, b_left = (MULTIPLIER_BITS - bound.bit_length() for bound in bounds)
    left = a_left + b_left - 32
    shift = min(LARGEST_SHIFT, _most_bits(ratio, left))
    if shift < 1:
        return None
    m = math.floor(math.ldexp(ratio, 32 + shift - left))
    # Two operands, their product and the quotient are rounded.
    point = _point(2.0, 4 * _reach(zero_point, lo, hi), shift, zero_point, lo, hi)
    return ProductForm(a_left, b_left, m, point)


def _point(lost: float, moved: float, shift: int, zero_point: int, lo: int, hi: int) -> Point:
    """Args: lost: units that v may lie off the real number; moved: steps of results of which floats
    lose 2^-24.
    """
    units = lost + math.ldexp(moved * ROUNDING * (1 + 8 * ROUNDING), shift)
    guard = math.floor(units) + 1
    return Point(shift=shift, guard=guard, zero_point=zero_point, lo=lo, hi=hi)


def _reach(zero_point: int, lo: int, hi: int) -> int:
    """Steps from the zero point within which results differ, and one more."""
    return max(hi - zero_point, zero_point - lo, 0) + 1


def _are_normal(*scales: float) -> bool:
    return all(NORMAL[0] <= scale <= NORMAL[1] for scale in scales)


def _most_bits(ratio: float, room: int) -> int:
    """Bits behind the point of v where integers are moved up by `room` bits."""
    return room - max(LEAST_TOP, math.frexp(ratio)[1]) - 1


def _factor(ratio: float, shift: int) -> Factor:
    """With v = floor((x << left) · m / 2^32) = x · ratio · 2^shift."""
    top = max(LEAST_TOP, math.frexp(ratio)[1])
    left = max(0, shift + 1 + top)
    return Factor(math.floor(math.ldexp(ratio, 32 + shift - left)), left)
