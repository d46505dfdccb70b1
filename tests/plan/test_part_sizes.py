"""Parts of layers: their sizes."""

from __future__ import annotations

import pytest

pytest.importorskip("hypothesis")
from hypothesis import given
from hypothesis import strategies as st

from nn2wasm.plan.parts import LEAST_OUTPUTS, USUAL_OUTPUTS, part_sizes


@given(st.integers(1, 5000), st.sampled_from([LEAST_OUTPUTS, USUAL_OUTPUTS]))
def test_sizes_descend_and_waste_little(outputs, least):
    sizes = part_sizes(outputs, least)
    assert list(sizes) == sorted(set(sizes), reverse=True)
    for size in sizes:
        assert 0 < size < outputs
        again = -(-outputs // size) * size - outputs
        assert again < size
        assert again <= max(outputs / 8, -(-outputs // size) - 1)


@given(st.integers(2, 5000), st.sampled_from([LEAST_OUTPUTS, USUAL_OUTPUTS]))
def test_all_but_a_single_output_can_be_parted(outputs, least):
    assert part_sizes(outputs, least)[-1] <= 2 * least


def test_whole_units_where_they_fit():
    assert part_sizes(64, USUAL_OUTPUTS) == (32, 24, 16)
    assert part_sizes(100, USUAL_OUTPUTS) == (52, 36, 28, 20, 16)
    assert part_sizes(17, USUAL_OUTPUTS) == (9,)
    assert part_sizes(12, LEAST_OUTPUTS) == (4,)
    assert part_sizes(7, LEAST_OUTPUTS) == (4, 3, 2)
    assert part_sizes(2, LEAST_OUTPUTS) == (1,)
    assert part_sizes(1, LEAST_OUTPUTS) == ()
