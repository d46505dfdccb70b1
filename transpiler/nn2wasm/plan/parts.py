"""Layers in parts: as many constants at a time as there is room for in scratch.

The outputs of a layer (channels of a convolution, columns of a product) do without each other's
weights. A part of them is a node of its own, with weights sliced, and gets a kernel and packed
constants as any node does; all parts of a layer have the same size, so that they share a function.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from nn2wasm.ir import DType, Node
from nn2wasm.ops.kernel import Lowering, Rows, Window, rows_overlap, window_overlap
from nn2wasm.ops.registry import KernelOp
from nn2wasm.plan.call import Call, Parts, make_call
from nn2wasm.target import Target

USUAL_OUTPUTS, LEAST_OUTPUTS = 16, 4
"""Of the smallest parts: that take little longer than the whole, and that need least memory. Parts
of one pixel cost a call each, and floats that are decoded for it are many.
"""
UNITS = ((16, 1 / 16), (8, 1 / 16), (4, 1 / 16), (4, 1 / 8))
"""What sizes of parts are multiples of, as kernels make so many outputs at a time; and the share of
all outputs that may be computed twice for it.
"""
SCALAR = "scalar"


@lru_cache(maxsize=1024)
def part_sizes(outputs: int, least: int) -> tuple[int, ...]:
    """Sizes that parts of so many outputs can have, from two parts on, descending.

    Args:
        outputs: in all.
        least: the smallest size of interest; smaller ones only where there is no other.
    """
    while least > 1 and outputs < 2 * least:
        least //= 2
    counts = range(2, outputs // least + 2)
    sizes = [_round_size(outputs, count) for count in counts]
    if not any(least <= size <= 2 * least for size in sizes):
        sizes = [-(-outputs // count) for count in counts]
    return tuple(dict.fromkeys(size for size in sizes if least <= size < outputs))


def _round_size(outputs: int, count: int) -> int:
    """The size of `count` parts, rounded up as far as that computes little twice; else 0."""
    for unit, waste in UNITS:
        size = -(-outputs // (count * unit)) * unit
        again = size * count - outputs
        if again <= waste * outputs and again < size:
            return size
    return 0


def may_be_in_parts(call: Call) -> bool:
    """Whether a call's constants may be there part by part; each part reads the whole input."""
    return call.has_tile and _outputs_apart(call) > 1


def _outputs_apart(call: Call) -> int:
    node = call.row_node or call.node
    assert isinstance(node.op, KernelOp)
    return node.op.outputs_apart(node)


class PartMaker:
    """Makes parts of calls; what was made once is kept."""

    def __init__(self, target: Target, least_outputs: int = USUAL_OUTPUTS) -> None:
        self._target, self._least_outputs = target, least_outputs
        self._made: dict[_Wanted, Call | None] = {}

    def least(self, call: Call, *, by_rows: bool = False) -> Call | None:
        """The call in its smallest parts, of which only the first is made: its scratch is about
        that of all, its overlap the same. None where that saves nothing.
        """
        sizes = self._sizes(call, by_rows)
        made = self._first(call, sizes[-1], by_rows) if sizes else None
        return made if made is not None and made.scratch_bytes < call.scratch_bytes else None

    def least_bytes(self, call: Call) -> int:
        """Scratch of a call in its smallest parts, or whole where that is less."""
        least = self.least(call)
        return call.scratch_bytes if least is None else least.scratch_bytes

    def fit(self, call: Call, room: float, *, by_rows: bool = False) -> Call:
        """The call in the fewest parts whose scratch fits, or in those that need least.

        Args:
            call: in one part.
            room: bytes.
            by_rows: parts take turns row by row.
        """
        sizes = self._sizes(call, by_rows)
        low, high = 0, len(sizes)
        while low < high:  # the first that fits
            middle = (low + high) // 2
            first = self._first(call, sizes[middle], by_rows)
            if first is not None and first.scratch_bytes <= room:
                high = middle
            else:
                low = middle + 1
        least = call
        for size in sizes[low:] or sizes[-1:]:
            made = self._kept(_Wanted.of(call, size, by_rows), call)
            if made is not None and made.scratch_bytes <= room:
                return made
            if made is not None and made.scratch_bytes < least.scratch_bytes:
                least = made
        return least

    def _sizes(self, call: Call, by_rows: bool) -> tuple[int, ...]:
        """Sizes of parts, down to the smallest that there are kernels for."""
        if not call.has_tile:
            return ()
        outputs = _outputs_apart(call)
        one_pixel = call.node.output.element_count == outputs
        least = LEAST_OUTPUTS if call.encoded and one_pixel else self._least_outputs
        sizes = part_sizes(outputs, least)
        while sizes and self._first(call, sizes[-1], by_rows) is None:
            sizes = sizes[:-1]
        return sizes

    def _first(self, call: Call, size: int, by_rows: bool) -> Call | None:
        return self._kept(_Wanted.of(call, size, by_rows, only_first=True), call)

    def _kept(self, wanted: _Wanted, call: Call) -> Call | None:
        if wanted not in self._made:
            self._made[wanted] = _in_parts(call, wanted, self._target)
        return self._made[wanted]


class _Wanted(NamedTuple):
    """A way to compute a layer in parts; `of_a_row`: of the layer that makes a row."""

    layer: int
    of_a_row: bool
    size: int
    by_rows: bool
    only_first: bool

    @staticmethod
    def of(call: Call, size: int, by_rows: bool, *, only_first: bool = False) -> _Wanted:
        return _Wanted(call.index, call.row_node is not None, size, by_rows, only_first)


def _in_parts(call: Call, wanted: _Wanted, target: Target) -> Call | None:
    """A call in parts; None where their kernels do not walk alike, or are of another kind."""
    node, size = call.row_node or call.node, wanted.size
    op = node.op
    assert isinstance(op, KernelOp)
    outputs = op.outputs_apart(node)
    count = 1 if wanted.only_first else -(-outputs // size)
    firsts = [min(k * size, outputs - size) for k in range(count)]
    calls = tuple(
        replace(make_call(call.index, op.part(node, first, first + size), target), part=k)
        for k, first in enumerate(firsts)
    )
    if not all(_alike(call, calls[0], made) for made in calls):
        return None
    parts = Parts(calls, size, outputs, wanted.by_rows)
    lowering = _around(node, parts)
    if wanted.by_rows and not lowering.lead:
        return None
    return replace(call, choice=calls[0].choice, lowering=lowering, parts=parts)


def _alike(whole: Call, first: Call, part: Call) -> bool:
    """Whether one loop over rows does for all parts, with kernels as good as the layer's; of floats
    with the same, as others may round otherwise.
    """
    isa, of_whole = part.choice.kernel.isa, whole.choice.kernel.isa
    is_float = part.choice.kernel.dtype == DType.F32.value
    return (
        (isa == of_whole or not (is_float or isa == SCALAR))
        and _walks_like(whole.lowering.walk, part.lowering.walk)
        and part.lowering.walk == first.lowering.walk
        and part.lowering.arguments == first.lowering.arguments
        and part.lowering.scratch_type == first.lowering.scratch_type
        and part.encoded.keys() == whole.encoded.keys()
    )


def _walks_like(whole: Window | Rows | None, part: Window | Rows | None) -> bool:
    """Whether what was found out about a layer's rows is true of its parts', too."""
    if isinstance(whole, Window) and isinstance(part, Window):
        return replace(part, out_row_elements=whole.out_row_elements) == whole
    return type(part) is type(whole)


def _around(node: Node, parts: Parts) -> Lowering:
    """What is around the kernels of parts: the walk over the layer's rows, and scratch for each.
    All parts read the whole input, so nothing is written over it but rows that all are done with.
    """
    lowerings = [call.lowering for call in parts.calls]
    walk = lowerings[0].walk
    if walk is not None:
        row = walk.out_row_elements // parts.size * parts.outputs
        walk = replace(walk, out_row_elements=row)
    if parts.by_rows and isinstance(walk, Window):
        walk = _one_image(walk)
    around = Lowering(
        context={},
        walk=walk,
        scratch_bytes=max(lowering.scratch_bytes for lowering in lowerings),
        scratch_type=lowerings[0].scratch_type,
        arguments=lowerings[0].arguments,
    )
    sizes = node.input(0).dtype.bytes, node.output.dtype.bytes
    if parts.by_rows and isinstance(walk, Window) and walk.images == 1:
        return window_overlap(walk, *sizes).on(around, 0)
    if parts.by_rows and isinstance(walk, Rows):
        return rows_overlap(walk, *sizes).on(around, 0)
    return around


def _one_image(walk: Window) -> Window:
    """Images of one row each, without a window, as the rows of one image."""
    if (walk.out_rows, walk.in_rows, walk.kernel, walk.pad) != (1, 1, 1, 0):
        return walk
    return replace(walk, images=1, out_rows=walk.images, in_rows=walk.images)
