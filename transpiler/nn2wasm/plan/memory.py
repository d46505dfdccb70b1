"""One arena for everything that lives between two layers, its offsets planned ahead.

Two storages may share bytes where their lives do not meet, or where one is a layer's output, the
other that layer's input, nobody needs the input afterwards, and the kernel reads ahead of what it
writes: then the output need only begin `lead` bytes before the input, or, with its rows walked
backward, `trail` bytes after it (`ops.kernel`). That is in-place computation (lead 0) and, for a
convolution, an output that overwrites input rows already consumed. Layers that take turns in
direction keep a chain of them where it is.

Offsets come from a greedy placement, lowest first, tried in several orders and then in random
variations of the best (the seed is fixed: same graph, same plan), until the floor is reached.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from nn2wasm.errors import InternalError
from nn2wasm.ir import Tensor

ROUNDS = 300
CHECKS = 4_000_000
"""Bound on the work of the search: pairs of storages looked at."""


@dataclass(eq=False, slots=True)
class Storage:
    """Bytes of the arena that hold tensors which are views of each other, or a kernel's scratch.

    Attributes:
        bytes: size.
        begin: the step that writes it; −1 for the network's inputs.
        end: the last step that reads it; one past the last step for outputs.
        alignment: what its offset is a multiple of.
        tensors: the tensors it holds, none for scratch.
        leads: inputs of the step that writes it which it may overlap, and by how many bytes it
            must begin before them.
        trails: the same, by how many bytes it must begin after them, rows walked backward.
        offset: where it lies in the arena, −1 before that is decided.
    """

    bytes: int
    begin: int
    end: int
    alignment: int
    tensors: list[Tensor] = field(default_factory=list)
    leads: dict[Storage, int] = field(default_factory=dict)
    trails: dict[Storage, int] = field(default_factory=dict)
    offset: int = -1

    def meets(self, other: Storage) -> bool:
        return self.begin <= other.end and other.begin <= self.end

    def distance(self, later: Storage) -> int:
        """Bytes from the begin of this one to the begin of a later one in memory, at least."""
        return min(
            self.bytes, self.leads.get(later, self.bytes), later.trails.get(self, self.bytes)
        )


Neighbours: TypeAlias = "dict[Storage, list[tuple[Storage, int, int]]]"


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Where everything lies.

    Attributes:
        offsets: begin of each tensor in the arena, bytes.
        scratch: begin of each step's scratch.
        arena_bytes: size of the arena.
        floor_bytes: what no plan for these kernels in this order can go below.
        state_offset: begin of the counts of rows that are kept between calls, where the host feeds
            rows.
        storages: all that has a place, scratch included.
    """

    offsets: dict[Tensor, int]
    scratch: dict[int, int]
    arena_bytes: int
    floor_bytes: int
    state_offset: int | None = None
    storages: tuple[Storage, ...] = ()


def plan_offsets(storages: Sequence[Storage], steps: int) -> tuple[int, int]:
    """Sets the offset of each storage; returns the arena's size and its floor in bytes."""
    floor = _floor(storages, steps)
    neighbours = _neighbours(storages)
    best_order, best = None, -1
    for order in _first_orders(storages):
        total = _place(order, neighbours)
        if best_order is None or total < best:
            best_order, best = list(order), total
        if best <= floor:
            break
    assert best_order is not None
    pairs = sum(len(n) for n in neighbours.values()) + len(storages)
    rounds = min(ROUNDS, CHECKS // max(1, pairs * 4))
    dice = random.Random(0)
    for _ in range(rounds):
        if best <= floor:
            break
        order = _vary(best_order, dice)
        total = _place(order, neighbours)
        if total <= best:
            best_order, best = order, total
    total = _place(best_order, neighbours)
    _verify(storages)
    return total, floor


def _first_orders(storages: Sequence[Storage]) -> list[list[Storage]]:
    by_time = sorted(storages, key=lambda s: (s.begin, -s.bytes))
    return [
        sorted(storages, key=lambda s: (-s.bytes, s.begin)),
        by_time,
        sorted(storages, key=lambda s: (-s.end, -s.bytes)),
        sorted(storages, key=lambda s: (-(s.end - s.begin) * s.bytes, s.begin)),
    ]


def _vary(order: Sequence[Storage], dice: random.Random) -> list[Storage]:
    """The order with a storage that ends at the top, or any, moved forward."""
    result = list(order)
    top = max(s.offset + s.bytes for s in result)
    at_top = [s for s in result if s.offset + s.bytes == top]
    chosen = dice.choice(at_top if dice.random() < 0.5 else result)
    index = result.index(chosen)
    result.insert(dice.randrange(index + 1), result.pop(index))
    return result


def _place(order: Sequence[Storage], neighbours: Neighbours) -> int:
    """Gives each storage in turn the lowest offset that its placed neighbours leave; the total."""
    for storage in order:
        storage.offset = -1
    total = 0
    for storage in order:
        taken = sorted(
            (other.offset - before, other.offset + behind)
            for other, before, behind in neighbours[storage]
            if other.offset >= 0
        )
        step, offset = storage.alignment, 0
        for last_before, first_behind in taken:
            if offset <= last_before:
                break  # and all that follow begin later
            offset = max(offset, -(-first_behind // step) * step)
        storage.offset = offset
        total = max(total, offset + storage.bytes)
    return total


def _apart(storage: Storage, offset: int, other: Storage) -> bool:
    return (
        offset + storage.distance(other) <= other.offset
        or other.offset + other.distance(storage) <= offset
    )


def _neighbours(storages: Sequence[Storage]) -> Neighbours:
    """For each storage those whose lives meet its own, and the distances to and from them."""
    neighbours: Neighbours = {storage: [] for storage in storages}
    living: list[Storage] = []
    for storage in sorted(storages, key=lambda s: s.begin):
        living = [other for other in living if other.end >= storage.begin]
        for other in living:
            before, behind = storage.distance(other), other.distance(storage)
            neighbours[storage].append((other, before, behind))
            neighbours[other].append((storage, behind, before))
        living.append(storage)
    return neighbours


def _floor(storages: Sequence[Storage], steps: int) -> int:
    """The largest sum of what lives at one step, less what that step's output may overlap."""
    change = [0] * (steps + 3)  # of living bytes, from step −1 on
    saved = [0] * (steps + 3)
    for storage in storages:
        change[storage.begin + 1] += storage.bytes
        change[storage.end + 2] -= storage.bytes
        shared = sum(shared_bytes(storage, other) for other in storage.leads)
        saved[storage.begin + 1] += min(shared, storage.bytes)
    floor = living = 0
    for index in range(steps + 2):
        living += change[index]
        floor = max(floor, living - saved[index])
    return floor


def shared_bytes(
    output: Storage, dying: Storage, lead: int | None = None, trail: int | None = None
) -> int:
    """Bytes that an output and the input it may overlap can share at most.

    Args:
        output: written in a step.
        dying: read in that step for the last time.
        lead: how far the output must begin before it; None: as the output's `leads` and `trails`
            say.
        trail: how far behind it where rows are walked backward; None: they are not.
    """
    if lead is None:
        lead, trail = output.leads[dying], output.trails.get(dying)
    if trail is None:
        trail = dying.bytes
    forward = max(lead + dying.bytes, output.bytes)
    backward = max(trail + output.bytes, dying.bytes)
    return max(0, output.bytes + dying.bytes - min(forward, backward))


def _verify(storages: Sequence[Storage]) -> None:
    for index, storage in enumerate(storages):
        if storage.offset < 0 or storage.offset % storage.alignment:
            raise InternalError("a storage has no place in the arena")
        for other in storages[:index]:
            if storage.meets(other) and not _apart(storage, storage.offset, other):
                raise InternalError(f"storages of {storage.tensors} and {other.tensors} overlap")
