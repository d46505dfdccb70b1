"""Where the arena is fullest: the layer to change if a network takes too much RAM."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nn2wasm.plan.call import Call
from nn2wasm.plan.memory import Storage
from nn2wasm.plan.segments import Segment

if TYPE_CHECKING:
    from nn2wasm.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class Peak:
    """The step at which most of the arena is in use.

    Attributes:
        segment: what runs then.
        bytes: in use, those that two tensors share counted once.
        storages: what they hold, largest first.
    """

    segment: Segment
    bytes: int
    storages: tuple[Storage, ...]

    @property
    def call(self) -> Call:
        """The layer of the segment that writes most."""
        return max(self.segment.calls, key=lambda c: (c.node.output.bytes, -c.index))


def find_peak(plan: Plan) -> Peak | None:
    """The fullest step, the first of equals; None where nothing runs."""
    fullest: Peak | None = None
    coming = sorted(plan.memory.storages, key=lambda s: -s.begin)
    living: list[Storage] = []
    for step, segment in enumerate(plan.segments):
        while coming and coming[-1].begin <= step:
            living.append(coming.pop())
        living = [s for s in living if s.end >= step]
        used = _covered(living)
        if fullest is None or used > fullest.bytes:
            largest_first = sorted(living, key=lambda s: (-s.bytes, s.offset))
            fullest = Peak(segment, used, tuple(largest_first))
    return fullest


def _covered(storages: Iterable[Storage]) -> int:
    """Bytes that lie in any of the storages."""
    total = reached = 0
    for begin, end in sorted((s.offset, s.offset + s.bytes) for s in storages):
        total += max(0, end - max(begin, reached))
        reached = max(reached, end)
    return total
