"""The integer forms of random scales: right on every pair, or none."""

from __future__ import annotations

import numpy as np
import pytest

from nn2wasm.quant.binary_forms import BYTES, IntegerForm, defined_table, find_integer_form

pytest.importorskip("hypothesis")
from hypothesis import given, settings
from hypothesis import strategies as st

Pair = tuple[float, int]
FIRST, SECOND = np.meshgrid(BYTES, BYTES, indexing="ij")
scales = st.floats(-6, 2).map(lambda e: float(np.float32(10.0**e)))
pairs = st.tuples(scales, st.integers(-128, 127))
nearby = st.floats(-1.5, 1.5).map(lambda e: float(np.float32(0.05 * 10.0**e)))
likely = st.tuples(nearby, st.integers(-128, 127))
EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True)


def in_32_bits(form: IntegerForm) -> bool:
    """No partial sum of any pair leaves 32 bits, whatever the order of the additions."""
    parts = [FIRST * form.a, SECOND * form.b, np.full_like(FIRST, form.rest)]
    orders = [parts, parts[::-1], [parts[1], parts[2], parts[0]]]
    totals = [sum(order[:n]) for order in orders for n in (1, 2, 3)]
    return all(np.abs(total).max() < 2**31 for total in totals)


@pytest.mark.parametrize("fused", [False, True])
@given(a=likely, b=likely, y=likely, minus=st.booleans(), unsigned=st.booleans())
@EXAMPLES
def test_a_form_equals_the_definition_on_all_pairs(
    fused: bool, a: Pair, b: Pair, y: Pair, minus: bool, unsigned: bool
) -> None:
    function = np.subtract if minus and not fused else np.add
    sign = -1 if function is np.subtract else 1
    form = find_integer_form(function, sign, a, b, y, fused=fused, unsigned=unsigned)
    if form is None:
        return
    assert in_32_bits(form)
    truth = defined_table(function, a, b, y, fused=fused, unsigned=unsigned)
    np.testing.assert_array_equal(form.apply(FIRST, SECOND), truth)


@given(a=pairs, b=pairs, y=pairs)
@EXAMPLES
def test_extreme_scales_are_refused_or_right(a: Pair, b: Pair, y: Pair) -> None:
    form = find_integer_form(np.add, 1, a, b, y, fused=False, unsigned=False)
    if form is not None:
        assert in_32_bits(form)
        truth = defined_table(np.add, a, b, y, fused=False, unsigned=False)
        np.testing.assert_array_equal(form.apply(FIRST, SECOND), truth)
