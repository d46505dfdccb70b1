"""Parts of a layer that one C function computes, each with its tile of constants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from nn2wasm.codegen.kernels import KernelSet
from nn2wasm.ir import Array
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
        return [make_tile(call.packed) for call in self.calls]

    def offset_text(self, begin: int) -> str:
        """Where the constants of part `part` begin in a file in which those of the run do at
        `begin`.
        """
        step = self._step(len(self.tiles[0]), "(uint32_t)")
        return f"{begin} + {step}" if begin and step else step or str(begin)

    def array(self, index: int) -> Array:
        """A constant that is kept, those of all parts behind each other."""
        return np.concatenate([call.constants[index].reshape(-1) for call in self.calls])

    def array_text(self, name: str, elements: int) -> str:
        """Where that of part `part` begins, of so many elements each, in C."""
        step = self._step(elements)
        return f"{name} + {step}" if step else name

    def _step(self, size: int, cast: str = "") -> str:
        """How far what belongs to part `part` lies behind that of the first; empty for no way."""
        first = self.kernel.part
        if self.layer.parts is None or len(self.calls) == 1:
            return ""
        part = f"{cast}(part - {first})" if first else f"{cast}part"
        return f"{part} * {size}" if size > 1 else part

    def loop(self, function: str, row: str) -> str:
        """The statement that calls the function of the run for each of its parts."""
        first, end = self.kernel.part, self.calls[-1].part + 1
        arguments = f"a, {row}, part" if row else "a, part"
        return f"  for (int part = {first}; part < {end}; ++part) {function}({arguments});"


def runs_of(layer: Call, kernels: KernelSet) -> Iterator[Run]:
    """The runs that a layer's parts make."""

    def kind(call: Call) -> tuple[object, ...]:
        offsets = tile_offsets(call.packed)
        forms = [(i, e.function, e.sections, e.zero, *e.arrays) for i, e in call.encoded.items()]
        return kernels.name_of(call), kernels.size_arguments(call), offsets, forms

    for _, calls in groupby(layer.kernels, kind):
        yield Run(layer, tuple(calls))
