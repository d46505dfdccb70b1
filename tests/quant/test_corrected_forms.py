"""Integer forms with a list of corrections: equal to the definition on all pairs."""

from __future__ import annotations

import numpy as np
import pytest

from nn2wasm.quant.binary_forms import BYTES, defined_table, find_integer_form
from nn2wasm.quant.corrected_forms import (
    MOST_CORRECTIONS,
    Corrections,
    find_corrected_product,
    find_corrected_sum,
)

rng = np.random.default_rng(5)


def pairs_of(count: int) -> list[tuple[tuple[float, int], ...]]:
    """Quantizations of two operands and a result."""
    return [
        tuple(
            (float(np.float32(np.exp(rng.uniform(-6, -2)))), int(rng.integers(-128, 128)))
            for _ in range(3)
        )
        for _ in range(count)
    ]


def corrected(v: np.ndarray, shift: int, corrections: Corrections) -> np.ndarray:
    """What the C gives for v of all pairs."""
    q = v >> shift
    near = ((v + corrections.near) & ((1 << shift) - 1)) < 2 * corrections.near
    for a, b, change in corrections.pairs.astype(int):
        assert near[a + 128, b + 128]
        q[a + 128, b + 128] += change
    return np.clip(q, -128, 127)


@pytest.mark.parametrize("quants", pairs_of(8), ids=str)
@pytest.mark.parametrize(
    ("function", "sign", "fused", "unsigned"),
    [
        (np.add, 1, False, False),
        (np.subtract, -1, False, False),
        (np.add, 1, True, False),
        (np.add, 1, True, True),
    ],
)
def test_sums(quants, function, sign, fused, unsigned):
    how = {"fused": fused, "unsigned": unsigned}
    found = find_corrected_sum(function, sign, *quants, **how)
    assert found is not None
    form, corrections = found
    v = BYTES[:, None] * form.a + BYTES[None, :] * form.b + form.rest
    assert np.abs(v).max() < 2**31
    truth = defined_table(function, *quants, **how)
    np.testing.assert_array_equal(corrected(v, form.shift, corrections), truth)
    if find_integer_form(function, sign, *quants, **how) is not None:
        assert not len(corrections.pairs)


@pytest.mark.parametrize("quants", pairs_of(12), ids=str)
def test_products(quants):
    found = find_corrected_product(*quants, fused=False, unsigned=False)
    assert found is not None
    form, corrections = found
    products = (BYTES[:, None] - quants[0][1]) * (BYTES[None, :] - quants[1][1])
    v = form.unshifted(products.reshape(1, -1)).reshape(256, 256)
    truth = defined_table(np.multiply, *quants, fused=False, unsigned=False)
    np.testing.assert_array_equal(corrected(v, form.shift, corrections), truth)


def test_a_form_that_is_far_off_has_no_list():
    truth = np.zeros((256, 256), np.int8)
    assert Corrections.of(np.full((256, 256), 256), 8, truth) is None
    v = np.zeros((256, 256), np.int64)
    v[0, :MOST_CORRECTIONS] = 256
    assert len(Corrections.of(v, 8, truth).pairs) == MOST_CORRECTIONS
    v[0, MOST_CORRECTIONS] = 256
    assert Corrections.of(v, 8, truth) is None
