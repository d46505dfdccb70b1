"""Integer forms of sums and products of two 8-bit integers that miss the definition for some pairs,
and the list of these pairs.

    q = clamp((v >> shift) + correction(a, b))

`v` is a form with `shift` bits behind the point. The definition rounds floats
(`quant.binary_forms`), so some pairs near the border of two results get the other one: those are
found by trying all 65,536. The list is looked at only where v lies near a border.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from nn2wasm.ir.tensor import Array
from nn2wasm.quant.binary_forms import (
    BYTES,
    IntegerForm,
    Pair,
    defined_table,
    integer_forms,
)
from nn2wasm.quant.fixed_point import FixedPoint, nearest_form

MOST_CORRECTIONS = 96


@dataclass(frozen=True, slots=True)
class Corrections:
    """What a form lacks.

    Attributes:
        pairs: [n, 3], s8: a, b and what is added to the result.
        near: corrected pairs have v within this of the border of two results.
    """

    pairs: Array
    near: int

    @classmethod
    def of(cls, v: Array, shift: int, truth: Array) -> Corrections | None:
        """For v [256, 256] of all pairs; None where there are too many."""
        missing = truth.astype(np.int64) - np.clip(v >> shift, -128, 127)
        a, b = np.nonzero(missing)
        if len(a) > MOST_CORRECTIONS:
            return None
        pairs = np.stack([a - 128, b - 128, missing[a, b]], axis=1)
        rest = v[a, b] & ((1 << shift) - 1)
        distance = np.minimum(rest + 1, (1 << shift) - rest)
        return cls(pairs.astype(np.int8), int(distance.max(initial=0)))


@lru_cache(maxsize=256)
def find_corrected_sum(
    function: Callable[[Array, Array], Array],
    sign: int,
    a: Pair,
    b: Pair,
    y: Pair,
    *,
    fused: bool,
    unsigned: bool,
) -> tuple[IntegerForm, Corrections] | None:
    """The integer form of a + sign · b with the fewest corrections; arguments as of
    `find_integer_form`.
    """
    truth = defined_table(function, a, b, y, fused=fused, unsigned=unsigned)
    best: tuple[IntegerForm, Corrections] | None = None
    for form in integer_forms(sign, a, b, y):
        v = BYTES[:, None] * form.a + BYTES[None, :] * form.b + form.rest
        corrections = Corrections.of(v, form.shift, truth)
        if corrections is None:
            continue
        if best is None or len(corrections.pairs) < len(best[1].pairs):
            best = form, corrections
    return best


@lru_cache(maxsize=256)
def find_corrected_product(
    a: Pair, b: Pair, y: Pair, *, fused: bool, unsigned: bool
) -> tuple[FixedPoint, Corrections] | None:
    """The fixed-point form of the product of two integers less their zero points."""
    truth = _defined_product(a, b, y, fused=fused, unsigned=unsigned)
    products = (BYTES[:, None] - a[1]) * (BYTES[None, :] - b[1])
    ratio = np.asarray([a[0] * b[0] / y[0]])
    bound = np.abs(products).max(keepdims=True).reshape(1)
    form = nearest_form(ratio, bound, y[1], -128, 127, guarded=True)
    if form is None:
        return None
    corrections = Corrections.of(
        form.unshifted(products.reshape(1, -1)).reshape(256, 256), form.shift, truth
    )
    return None if corrections is None else (form, corrections)


def _defined_product(a: Pair, b: Pair, y: Pair, *, fused: bool, unsigned: bool) -> Array:
    if not fused:
        return defined_table(np.multiply, a, b, y, fused=False, unsigned=unsigned)
    f = np.float32
    shift = 128 if unsigned else 0
    products = ((BYTES[:, None] - a[1]) * (BYTES[None, :] - b[1])).astype(f)
    total = products * f(f(f(a[0]) * f(b[0])) / f(y[0])) + f(y[1] + shift)
    low, high = (0, 255) if unsigned else (-128, 127)
    return np.asarray((np.clip(np.rint(total), low, high) - shift).astype(np.int8))
