"""plan/memory.py: offsets that a simulation of every byte finds legal, and totals that are known
to be best.
"""

from __future__ import annotations

import itertools

import pytest
from storages import conflict, total_bytes

from nn2wasm.plan.memory import Storage, plan_offsets


def chain(*sizes: int, leads: tuple[int | None, ...] = ()) -> list[Storage]:
    """A network of layers one after the other; leads[i]: how far output i + 1 must be ahead of its
    input.
    """
    storages = [Storage(size, index - 1, index, 4) for index, size in enumerate(sizes)]
    for index, lead in enumerate(leads):
        if lead is not None:
            storages[index + 1].leads[storages[index]] = lead
    return storages


def planned(storages: list[Storage]) -> tuple[int, int]:
    steps = max(storage.end for storage in storages)
    arena, floor = plan_offsets(storages, steps)
    assert arena == total_bytes(storages)
    assert not (found := conflict(storages)), found
    assert floor <= arena
    return arena, floor


KNOWN = [
    ("one tensor", chain(100), 100),
    ("a chain is its largest neighbours", chain(40, 100, 60, 20), 160),
    ("in place", chain(100, 100, leads=(0,)), 100),
    ("in place, growing", chain(100, 200, leads=(100,)), 200),
    ("shrinking in place", chain(128, 64, leads=(0,)), 128),
    ("rows written ahead", chain(128, 128, leads=(16,)), 144),
    ("in place all the way", chain(64, 64, 64, 64, leads=(0, 0, 0)), 64),
    ("odd sizes are aligned", chain(3, 5), 9),
]


@pytest.mark.parametrize(("storages", "best"), [k[1:] for k in KNOWN], ids=[k[0] for k in KNOWN])
def test_known_optimum(storages: list[Storage], best: int) -> None:
    assert planned(storages)[0] == best


def test_layers_that_take_turns_in_direction_stay_where_they_are() -> None:
    """Forward each needs 16 bytes before its input, backward 16 bytes after it."""
    storages = chain(*[128] * 9, leads=(16,) * 8)
    for before, after in itertools.pairwise(storages):
        after.trails[before] = 16
    assert planned(storages) == (144, 144)
    del storages[4].trails[storages[3]]
    assert planned(storages)[0] <= 160


def test_a_residual_lives_over_its_branch() -> None:
    # x(64) is read by step 0 and again by step 2, where the sum overwrites it.
    x, a, b, y = (
        Storage(size, begin, end, 4)
        for size, begin, end in [(64, -1, 2), (128, 0, 1), (64, 1, 2), (64, 2, 3)]
    )
    y.leads = {x: 0, b: 0}
    assert planned([x, a, b, y]) == (256, 256)


def test_the_search_beats_any_one_greedy_order() -> None:
    # Lives and sizes for which both "largest first" and "by time" leave a hole.
    spans = [(40, 0, 2), (60, 1, 3), (40, 3, 5), (20, 2, 4), (60, 4, 6), (30, 0, 6)]
    storages = [Storage(size, begin, end, 4) for size, begin, end in spans]
    arena, floor = planned(storages)
    assert arena == floor


def test_same_graph_same_plan() -> None:
    def offsets() -> list[int]:
        storages = chain(*(37 * index % 91 + 4 for index in range(30)))
        planned(storages)
        return [storage.offset for storage in storages]

    assert offsets() == offsets()


def test_alignment_is_kept() -> None:
    storages = [Storage(5, 0, 1, 4), Storage(16, 0, 1, 8), Storage(3, 0, 1, 4)]
    planned(storages)
    assert all(storage.offset % storage.alignment == 0 for storage in storages)
