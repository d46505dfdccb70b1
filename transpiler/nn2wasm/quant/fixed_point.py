"""Requantization in integers, for machines where floats cost more.

    v = floor(acc · 2^left · m / 2^32) + offset      offset = (zero_point + 1/2) · 2^shift
    q = clamp(v >> shift)

`m` is a multiplier of 31 bits, one for each output channel; `left`, `shift` and `offset` are one
for all. The truth stays float32's two roundings (`quant.arithmetic`). It is monotonic in the sum,
so it is known by its thresholds, the least sum that gives each byte; a form that passes them on
the right side gives the same byte for every sum that the weights allow. Two forms are tried:

*proven*: a multiplier exists, for each channel, with which all thresholds are met.

*guarded*: where v lies within one unit of the border of two bytes, float32's rounding of the
product may decide; there the product acc · m is rounded twice in 64-bit integers: to 24 significant
bits, then to a whole number, half to even each time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from nn2wasm.ir.tensor import Array

MULTIPLIER_BITS = 31
LARGEST_MULTIPLIER = 2**MULTIPLIER_BITS - 1
LARGEST_SHIFT = 15
"""With more bits behind the point, float32's error would exceed the unit that the guard allows."""
USEFUL_SHIFT = 8
"""Bits behind the point of a guarded form: one sum in 128 is rounded twice."""
MANTISSA_BITS = 24
NEAR = 2
"""Sums by which float32's thresholds mostly lie off those of real numbers at most."""

Truth = Callable[[Array], Array]
"""Bytes of exact sums [n, any], a row for each channel; monotonic along a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedPoint:
    """One of the two forms.

    Attributes:
        multipliers: [n], below 2^31.
        left: bits by which sums are moved up before they are multiplied.
        shift: bits behind the point of v.
        zero_point: of the result.
        lo: least result.
        hi: largest.
        guarded: products are rounded twice near the border of two results.
    """

    multipliers: Array
    left: int
    shift: int
    zero_point: int
    lo: int
    hi: int
    guarded: bool = False

    @property
    def offset(self) -> int:
        """What is added to v: the zero point, and a half to round by."""
        return (2 * self.zero_point + 1) << (self.shift - 1)

    def unshifted(self, acc: Array) -> Array:
        """v for sums [n, any], a row for each channel."""
        moved = acc.astype(np.int64) << self.left
        return np.asarray(((moved * self.multipliers[:, None]) >> 32) + self.offset)

    def apply(self, acc: Array) -> Array:
        """The result for sums [n, any], a row for each channel; what the C gives."""
        v = self.unshifted(acc)
        q = v >> self.shift
        if self.guarded:
            moved = acc.astype(np.int64) << self.left
            near = ((v + 1) & ((1 << self.shift) - 1)) < 2
            twice = self._rounded_twice(moved * self.multipliers[:, None]) + self.zero_point
            q = np.where(near, twice, q)
        return np.asarray(np.clip(q, self.lo, self.hi))

    def _rounded_twice(self, product: Array) -> Array:
        """product / 2^(32 + shift) to 24 significant bits, then to a whole number."""
        point = 32 + self.shift
        size = np.abs(product)
        drop = np.full(size.shape, point - 2 - MANTISSA_BITS, np.int64)
        while np.any(more := size >> drop >= 1 << MANTISSA_BITS):
            drop += more
        rounded = _half_even(size, drop) << drop
        return np.sign(product) * _half_even(rounded, np.int64(point))


def _half_even(value: Array, bits: Array) -> Array:
    """value / 2^bits to the nearest whole number, the even one where two are as near."""
    half = np.int64(1) << (bits - 1)
    return np.asarray((value + half - 1 + ((value >> bits) & 1)) >> bits)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The least sum that gives at least each byte, [n, hi − lo] for lo + 1 … hi; where none does,
    one above the largest sum.
    """

    least: Array
    bound: Array
    lo: int
    hi: int

    @classmethod
    def of(
        cls, truth: Truth, ratios: Array, bound: Array, zero_point: int, lo: int, hi: int
    ) -> Thresholds:
        """By bisection around where real numbers have them; arguments as of `find_fixed_point`."""
        bytes_ = np.arange(lo + 1, hi + 1)
        bound = bound.astype(np.int64)[:, None]
        near = (bytes_ - zero_point - 0.5) / ratios.astype(np.float64)[:, None]
        low = np.broadcast_to(-bound, near.shape)  # all below are too small
        high = np.broadcast_to(bound + 1, near.shape)  # reaches, or is one too many
        for side in (-NEAR, NEAR):
            guess = np.clip(np.floor(near) + side, low, high).astype(np.int64)
            low, high = _halved(truth, bytes_, guess, low, high)
        while np.any(low < high):
            low, high = _halved(truth, bytes_, (low + high) >> 1, low, high)
        return cls(high, bound, lo, hi)

    def failing(self, form: FixedPoint) -> Array:
        """[n], whether a form puts a sum on the wrong side of a threshold of its channel."""
        bytes_ = np.arange(self.lo + 1, self.hi + 1)
        above, below = self.least, self.least - 1
        too_small = (above <= self.bound) & (form.apply(np.minimum(above, self.bound)) < bytes_)
        too_large = (below >= -self.bound) & (form.apply(np.maximum(below, -self.bound)) >= bytes_)
        return np.asarray(np.any(too_small | too_large, axis=1))


def _halved(
    truth: Truth, bytes_: Array, guess: Array, low: Array, high: Array
) -> tuple[Array, Array]:
    """The interval [low, high] of each threshold, cut at a guess within it."""
    reached, open_ = truth(guess) >= bytes_, low < high
    high = np.where(open_ & reached, guess, high)
    return np.where(open_ & ~reached, np.minimum(guess + 1, high), low), high


def find_fixed_point(
    ratios: Array, bound: Array, zero_point: int, lo: int, hi: int, truth: Truth
) -> FixedPoint | None:
    """The form that gives the same byte as `truth` for every sum, proven rather than guarded; None
    where neither does.

    Args:
        ratios: [n], the real number that a sum of each channel is multiplied by.
        bound: [n], the largest size of a sum.
        zero_point: of the result.
        lo: least result.
        hi: largest result.
        truth: the definition.
    """
    if not (np.all(ratios > 0) and np.all(np.isfinite(ratios))):
        return None
    thresholds = Thresholds.of(truth, ratios, bound, zero_point, lo, hi)
    for guarded in (False, True):
        form = nearest_form(ratios, bound, zero_point, lo, hi, guarded=guarded)
        if form is None:
            continue
        if not guarded:
            form = _fitted(form, thresholds)
        if not thresholds.failing(form).any():
            return form
    return None


def nearest_form(
    ratios: Array, bound: Array, zero_point: int, lo: int, hi: int, *, guarded: bool = False
) -> FixedPoint | None:
    """The form with the multipliers nearest to the ratios; None where sums leave no room."""
    largest = float(ratios.max())
    exponent = int(np.frexp(largest)[1])  # largest < 2^exponent
    room = MULTIPLIER_BITS - int(bound.max(initial=1)).bit_length()
    shift = -1 - exponent  # ratio · 2^(32 + shift) < 2^31
    left = max(0, min(room, (USEFUL_SHIFT if guarded else 1) - shift))
    shift = min(shift + left, LARGEST_SHIFT)
    if shift < 1:
        return None
    scaled = np.rint(ratios.astype(np.float64) * 2.0 ** (32 + shift - left))
    multipliers = np.minimum(scaled, LARGEST_MULTIPLIER).astype(np.int64)
    return FixedPoint(
        multipliers=multipliers, left=left, shift=shift, zero_point=zero_point, lo=lo, hi=hi,
        guarded=guarded,
    )  # fmt: skip


def _fitted(form: FixedPoint, thresholds: Thresholds) -> FixedPoint:
    """The form with the multipliers nearest to its own that all thresholds allow, where any are.

    v reaches byte k where acc · 2^left · m ≥ t_k = (k · 2^shift − offset) · 2^32: for the least sum
    of each byte that bounds m from one side, for the sum below it from the other.
    """
    bytes_ = np.arange(form.lo + 1, form.hi + 1, dtype=np.int64)
    target = ((bytes_ << form.shift) - form.offset) << 32
    low = np.zeros(len(form.multipliers), np.int64)
    high = np.full(len(form.multipliers), LARGEST_MULTIPLIER)
    above, below = thresholds.least << form.left, (thresholds.least - 1) << form.left
    bound = thresholds.bound << form.left
    for sums, goal, valid, reaches in (
        (above, target, above <= bound, True),  # sums · m ≥ goal
        (below, target - 1, below >= -bound, False),  # sums · m ≤ goal
    ):
        size = np.maximum(np.abs(sums), 1)
        is_least = valid & (sums != 0) & ((sums > 0) == reaches)
        is_most = valid & (sums != 0) & ((sums > 0) != reaches)
        goal = np.where(sums > 0, goal, -goal)
        least = np.where(is_least, -(-goal // size), 0)
        most = np.where(is_most, goal // size, LARGEST_MULTIPLIER)
        low = np.maximum(low, least.max(1, initial=0))
        high = np.minimum(high, most.min(1, initial=LARGEST_MULTIPLIER))
    fitted = np.where(low <= high, np.clip(form.multipliers, low, high), form.multipliers)
    return replace(form, multipliers=fitted)
