"""Decision trees as tables that one loop walks, exactly.

Every comparison becomes x <= t: its other forms exchange children, or take the number before t.
Floats are compared as integers in the same order (`keys`). Each feature is looked up once in its
sorted thresholds, and its *rank*, how many of them lie below it, is all that nodes compare with:
x <= t[i] where rank <= i. NaN ranks above all thresholds, or below all where a node sends it to
the other side; a feature that needs both has two *columns*.

    word of a node   0 | i | where its two children are | column
    word of a leaf   1 | leaf

The children lie beside each other, at an even place, the one for x <= t first. Equal pairs are
there once, in whichever trees: most are pairs of leaves.

Where all thresholds are multiples of a power of two, as between whole numbers, none below 0 and
none far above (a *grid*), no table is searched: the rank is ceil(x · 2^digits), cut off at both
ends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from nn2wasm.ir import Array
from nn2wasm.ops.trees import EQ, GT, GTE, LEAF, LEQ, LT, MEMBER, NEQ, Forest

MOST_STEPS = 254
"""Of a grid: a rank is a byte."""


class Threshold(NamedTuple):
    """x <= the number of that key; NaN as if it were below all numbers, or above."""

    key: int
    nan_low: bool
    side: int


@dataclass(frozen=True, slots=True, eq=False)
class ForestTables:
    """What the kernel reads.

    A rank is what lies above `rank_shift`, from 0 to `top_rank`.

    Attributes:
        words: the trees' roots, then pairs of children.
        bits: of a word, 32 or 64.
        column_bits: the lowest of them.
        child_bits: those above.
        rank_shift: where the rank begins; its bits end below the highest.
        top_rank: that of a number above all thresholds of a column, or of the grid.
        grid: binary digits behind the point of thresholds on a grid, None where they are on none.
        features: the input of each column.
        nan_low: whether NaN lies below its thresholds.
        first: where the thresholds of a column begin; one entry more than columns.
        keys: all thresholds.
        leaf_first: where the entries of a leaf begin; one entry more than leaves.
        targets, weights: the entries.
    """

    words: Array
    bits: int
    column_bits: int
    child_bits: int
    rank_shift: int
    top_rank: int
    grid: int | None
    features: Array
    nan_low: Array
    first: Array
    keys: Array
    leaf_first: Array
    targets: Array
    weights: Array

    @property
    def top(self) -> int:
        """The bit that tells leaves."""
        return 1 << (self.bits - 1)


def keys(values: Array) -> Array:
    """Integers in the order of the floats; −0 lies below 0, NaN above all or below all."""
    signed = np.int32 if values.dtype == np.float32 else np.int64
    bits = values.view(signed)
    ordered: Array = np.where(bits < 0, bits ^ np.iinfo(signed).max, bits)
    return ordered


def rank(tables: ForestTables, row: Array) -> list[int]:
    """The rank of each column for a row of inputs."""
    ranks = []
    for column, feature in enumerate(tables.features.tolist()):
        low, high = int(tables.first[column]), int(tables.first[column + 1])
        value = row[feature : feature + 1]
        if np.isnan(value[0]):
            ranks.append(0 if tables.nan_low[column] else tables.top_rank)
        elif tables.grid is not None:
            steps = float(value[0]) * 2.0**tables.grid
            ranks.append(math.ceil(min(max(steps, 0.0), tables.top_rank)))
        else:
            ranks.append(int(np.searchsorted(tables.keys[low:high], keys(value)[0])))
    return ranks


def walk(tables: ForestTables, tree: int, ranks: Sequence[int]) -> int:
    """The leaf of a tree."""
    word = int(tables.words[tree])
    while not word & tables.top:
        column = word & ((1 << tables.column_bits) - 1)
        child = (word >> tables.column_bits) & ((1 << tables.child_bits) - 1)
        word = int(tables.words[child + (ranks[column] > word >> tables.rank_shift)])
    return word ^ tables.top


def make_tables(forest: Forest, *, drop_zeros: bool) -> ForestTables:
    """The tables of a forest; `drop_zeros` leaves out weights that add nothing."""
    tests = {one: _tests(forest, one) for one in np.flatnonzero(forest.modes != LEAF).tolist()}
    used: dict[tuple[int, bool], set[int]] = {}
    for one, (chain, _) in tests.items():
        for test in chain:
            used.setdefault((int(forest.features[one]), test.nan_low), set()).add(test.key)
    columns = sorted(used)
    sorted_keys = [sorted(used[column]) for column in columns]
    width = np.int32 if forest.values.dtype == np.float32 else np.int64
    all_keys = np.asarray([key for column in sorted_keys for key in column], width)
    grid = _grid(all_keys, {nan_low for _, nan_low in columns})
    ranks = [{key: i for i, key in enumerate(column)} for column in sorted_keys]
    if grid is not None:
        steps = (all_keys.view(np.float32) * np.float32(2.0**grid)).astype(int)
        step_of = dict(zip(all_keys.tolist(), steps.tolist(), strict=True))
        ranks = [{key: step_of[key] for key in column} for column in sorted_keys]
    top_rank = max((max(column.values()) + 1 for column in ranks), default=1)
    builder = _Builder({column: index for index, column in enumerate(columns)}, ranks, drop_zeros)
    roots = [builder.tree(forest, tests, root) for root in forest.roots]
    leaves = list(builder.leaves)
    return ForestTables(
        *_words(roots, list(builder.pairs), len(columns), top_rank),
        top_rank=top_rank,
        grid=grid,
        features=np.asarray([feature for feature, _ in columns], np.int64),
        nan_low=np.asarray([nan_low for _, nan_low in columns], bool),
        first=np.cumsum([0, *map(len, sorted_keys)]),
        keys=all_keys,
        leaf_first=np.cumsum([0, *(len(leaf) for leaf in leaves)]),
        targets=np.asarray([target for leaf in leaves for target, _ in leaf], np.int64),
        weights=np.frombuffer(
            b"".join(weight for leaf in leaves for _, weight in leaf), forest.values.dtype
        ),
    )


def _grid(all_keys: Array, nan_low: set[bool]) -> int | None:
    """Digits behind the point with which all thresholds are small whole numbers, None without."""
    if all_keys.dtype != np.int32 or not all_keys.size or len(nan_low) > 1 or all_keys.min() < 0:
        return None
    values = all_keys.view(np.float32).astype(np.float64)
    for digits in range(MOST_STEPS.bit_length()):
        steps = values * 2.0**digits
        if steps.max() > MOST_STEPS:
            return None
        if (steps == np.floor(steps)).all():
            return digits
    return None


def _tests(forest: Forest, one: int) -> tuple[list[Threshold], int]:
    """A node as tests one after the other, and the side that is taken where none holds."""
    mode, missing = int(forest.modes[one]), bool(forest.missing_true[one])
    value = forest.values[one : one + 1]
    if mode in (LEQ, LT):
        return [Threshold(_key(value, below=mode == LT), missing, 0)], 1
    if mode in (GT, GTE):
        return [Threshold(_key(value, below=mode == GTE), not missing, 1)], 0
    members = np.sort(np.asarray(forest.members[one], value.dtype)) if mode == MEMBER else value
    inside, outside = (1, 0) if mode == NEQ else (0, 1)
    missing = missing and mode in (EQ, MEMBER)  # a NaN differs from any number
    chain: list[Threshold] = []
    for index in range(len(members)):
        member = members[index : index + 1]
        chain.append(Threshold(_key(member, below=True), False, outside))
        chain.append(Threshold(_key(member), False, inside))
    last = chain.pop() if chain else Threshold(_nothing(value), False, inside)
    return [*chain, last._replace(nan_low=missing)], outside


def _key(value: Array, *, below: bool = False) -> int:
    """The largest key of numbers <= value, or < value."""
    if np.isnan(value[0]):
        return _nothing(value)
    if value[0] == 0:
        value = np.full_like(value, -0.0 if below else 0.0)
    return int(keys(value)[0]) - below


def _nothing(value: Array) -> int:
    """Below the keys of all numbers."""
    return int(np.iinfo(keys(value).dtype).min)


_Word = tuple[int, int, int]
"""Column, rank and pair; or −1, leaf and 0."""
_Leaf = tuple[tuple[int, bytes], ...]
_Tests = dict[int, tuple[list[Threshold], int]]


@dataclass(slots=True)
class _Builder:
    """Nodes from the leaves up, everything once."""

    columns: dict[tuple[int, bool], int]
    ranks: list[dict[int, int]]
    drop_zeros: bool
    pairs: dict[tuple[_Word, _Word], int] = field(default_factory=dict)
    leaves: dict[_Leaf, int] = field(default_factory=dict)

    def tree(self, forest: Forest, tests: _Tests, root: int) -> _Word:
        made: dict[int, _Word] = {}
        stack = [root]
        while stack:
            one = stack[-1]
            if one not in tests:
                made[one] = self._leaf(forest, one)
                stack.pop()
                continue
            children = forest.children[one].tolist()
            missing = [child for child in children if child not in made]
            if missing:
                stack += missing
                continue
            stack.pop()
            chain, otherwise = tests[one]
            word = made[children[otherwise]]
            for test in reversed(chain):
                word = self._node(int(forest.features[one]), test, made[children[test.side]], word)
            made[one] = word
        return made[root]

    def _node(self, feature: int, test: Threshold, taken: _Word, other: _Word) -> _Word:
        if taken == other:
            return taken
        column = self.columns[feature, test.nan_low]
        pair = self.pairs.setdefault((taken, other), len(self.pairs))
        return column, self.ranks[column][test.key], pair

    def _leaf(self, forest: Forest, one: int) -> _Word:
        weights = np.asarray(forest.leaf_weights[one], forest.values.dtype)
        entries = tuple(
            (target, weight.tobytes())
            for target, weight in zip(forest.leaf_targets[one], weights, strict=True)
            if weight != 0 or not self.drop_zeros
        )
        return -1, self.leaves.setdefault(entries, len(self.leaves)), 0


def _words(
    roots: list[_Word], pairs: list[tuple[_Word, _Word]], columns: int, top_rank: int
) -> tuple[Array, int, int, int, int]:
    """The words with their bits, those of columns and children, and the place of ranks."""
    before = len(roots) + len(roots) % 2
    count = before + 2 * len(pairs)
    column_bits = (max(columns, 1) - 1).bit_length()
    child_bits = (count - 1).bit_length()
    rank_bits = (top_rank - 1).bit_length()
    bits = 32 if column_bits + child_bits + rank_bits < 32 else 64
    shift = bits - 1 - rank_bits

    def word(one: _Word) -> int:
        column, value, pair = one
        if column < 0:
            return 1 << (bits - 1) | value
        return value << shift | (before + 2 * pair) << column_bits | column

    flat = [*roots, *roots[: before - len(roots)], *(side for pair in pairs for side in pair)]
    words = np.asarray([word(one) for one in flat], np.uint32 if bits == 32 else np.uint64)
    return words, bits, column_bits, child_bits, shift
