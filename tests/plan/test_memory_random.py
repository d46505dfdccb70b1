"""Random lives, sizes and leads: no plan overlaps illegally, none is above the sum or below the
floor.
"""

from __future__ import annotations

import pytest
from storages import conflict, total_bytes

from nn2wasm.plan.memory import Storage, plan_offsets

pytest.importorskip("hypothesis")
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

STEPS = 8


@st.composite
def lives(draw: st.DrawFn) -> list[Storage]:
    count = draw(st.integers(1, 12))
    storages: list[Storage] = []
    for _ in range(count):
        begin = draw(st.integers(-1, STEPS - 1))
        end = draw(st.integers(begin, STEPS))
        size = draw(st.integers(1, 200))
        storages.append(Storage(size, begin, end, draw(st.sampled_from([4, 8]))))
    for output in storages:
        dying = [s for s in storages if s is not output and s.end == output.begin > s.begin]
        for source in draw(st.lists(st.sampled_from(dying), max_size=2)) if dying else []:
            output.leads[source] = draw(st.integers(0, output.bytes))
            if draw(st.booleans()):
                output.trails[source] = draw(st.integers(0, source.bytes))
    return storages


@given(lives())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_plans_are_legal_and_between_floor_and_sum(storages: list[Storage]) -> None:
    arena, floor = plan_offsets(storages, STEPS)
    assert not (found := conflict(storages)), found
    assert arena == total_bytes(storages)
    padding = sum(storage.alignment - 1 for storage in storages)
    assert floor <= arena <= sum(storage.bytes for storage in storages) + padding


@given(st.lists(st.integers(1, 50), min_size=2, max_size=7))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_a_shrinking_chain_in_place_is_its_first_tensor(sizes: list[int]) -> None:
    sizes.sort(reverse=True)
    storages = [Storage(4 * size, index - 1, index, 4) for index, size in enumerate(sizes)]
    for before, after in itertools.pairwise(storages):
        after.leads[before] = 0
    arena, floor = plan_offsets(storages, len(sizes))
    assert not conflict(storages)
    assert arena == floor == storages[0].bytes
