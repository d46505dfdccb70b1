"""Parts of a layer that one C function computes, each with its tile of constants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from nn2wasm.codegen.kernels import KernelSet
from nn2wasm.ops.spatial import steps_text
from nn2wasm.plan import Call
from nn2wasm.plan.tile import make_tile, tile_offsets


@dataclass(frozen=True, slots=True)
class Run:
    """Parts behind each other that differ in nothing but constants; a whole layer is one of itself.

    Attributes:
        layer: the call that they are parts of.
        calls: of their kernels.
    """

    layer: Call
    calls: tuple[Call, ...]

    @property
    def kernel(self) -> Call:
        """The first of the calls, which stands for all."""
        return self.calls[0]

    @property
    def first_text(self) -> str:
        """The first output of part `part` in C; empty where the layer is whole."""
        parts = self.layer.parts
        if parts is None or not self.calls:
            return ""
        last, usual = len(parts.calls) - 1, steps_text("part", parts.size)
        if self.calls[-1].part < last or parts.outputs % parts.size == 0:
            return usual
        return f"part < {last} ? {usual} : {parts.first(last)}"

    @property
    def tiles(self) -> list[bytes]:
        """The constants of each part, all of one size."""
        return [make_tile(call.constants) for call in self.calls]

    def offset_text(self, begin: int) -> str:
        """Where the constants of part `part` begin in a file in which those of the run do at
        `begin`.
        """
        size, first = len(self.tiles[0]), self.kernel.part
        if self.layer.parts is None or len(self.calls) == 1:
            return str(begin)
        part = f"(uint32_t)(part - {first})" if first else "(uint32_t)part"
        return f"{begin} + {part} * {size}" if begin else f"{part} * {size}"

    def loop(self, function: str, row: str) -> str:
        """The statement that calls the function of the run for each of its parts."""
        first, end = self.kernel.part, self.calls[-1].part + 1
        arguments = f"a, {row}, part" if row else "a, part"
        return f"  for (int part = {first}; part < {end}; ++part) {function}({arguments});"


def runs_of(layer: Call, kernels: KernelSet) -> Iterator[Run]:
    """The runs that a layer's parts make."""

    def kind(call: Call) -> tuple[object, ...]:
        offsets = tile_offsets(call.constants)
        return kernels.name_of(call), kernels.size_arguments(call), offsets

    for _, calls in groupby(layer.kernels, kind):
        yield Run(layer, tuple(calls))
