"""Tensors: a name, a type, a shape in memory order, and what the numbers mean."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from nn2wasm.ir.dtype import NARROW, DType
from nn2wasm.ir.encoding import Array as Array
from nn2wasm.ir.encoding import Encoding, Move

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class QuantParams:
    """real = (q − zero_point) · scale; per tensor, or per index of `axis`.

    Attributes:
        scale: float32, shape () or (size of the axis,).
        zero_point: int32, the same shape.
        axis: axis of a per-channel parameter, None for one pair for the whole tensor.
    """

    scale: Array
    zero_point: Array
    axis: int | None = None

    def same_as(self, other: QuantParams | None) -> bool:
        return (
            other is not None
            and self.axis == other.axis
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
        )

    @staticmethod
    def per_tensor(scale: float, zero_point: int) -> QuantParams:
        return QuantParams(np.asarray(scale, np.float32), np.asarray(zero_point, np.int32))


@dataclass(slots=True, eq=False)
class Tensor:
    """An edge of the graph.

    Attributes:
        name: unique in its graph; from the model where it has one.
        dtype: element type in memory.
        shape: sizes in memory order, outermost first.
        quant: what the integers mean, None for plain numbers.
        data: the values of a constant, None for an activation.
        source: the model's own tensor whose values this one holds, None where the model has none.
        perm: axes of the source in memory order, None where they are as in the source. Layer-wise
            verification turns values back with it.
        labels: names of classes. Integers with labels stand for strings: they are indices into
            them. In a tensor of floats they name the elements of the last axis.
        bits: of integers that have fewer in the model than a byte, 0 for all others.
        encoding: how a constant of floats may be kept, None for as it is.
    """

    name: str
    dtype: DType
    shape: Shape
    quant: QuantParams | None = None
    data: Array | None = None
    source: str | None = None
    perm: tuple[int, ...] | None = None
    labels: tuple[str, ...] = ()
    bits: int = 0
    encoding: Encoding | None = None

    @property
    def holds_strings(self) -> bool:
        return bool(self.labels) and not self.dtype.is_float

    @property
    def is_constant(self) -> bool:
        return self.data is not None

    @property
    def element_count(self) -> int:
        return prod(self.shape)

    @property
    def is_empty(self) -> bool:
        """True for a tensor without elements."""
        return 0 in self.shape

    @property
    def bytes(self) -> int:
        return self.element_count * self.dtype.bytes

    @property
    def value(self) -> Array:
        """The values of a constant."""
        if self.data is None:
            raise ValueError(f"tensor {self.name!r} is not constant")
        return self.data

    @staticmethod
    def constant(name: str, data: Array, quant: QuantParams | None = None) -> Tensor:
        """A constant; strings, an array of objects, become indices into their `labels`, integers
        of 2 and 4 bits have a byte each.
        """
        if data.dtype in NARROW:
            wide, bits = NARROW[data.dtype]
            found = Tensor.constant(name, data.astype(wide.numpy), quant)
            found.bits = bits
            return found
        if data.dtype == object:
            places = {text: index for index, text in enumerate(dict.fromkeys(data.reshape(-1)))}
            indices = [places[text] for text in data.reshape(-1)]
            found = Tensor.constant(name, np.asarray(indices, np.int64).reshape(data.shape))
            found.labels = tuple(places)
            return found
        contiguous = np.ascontiguousarray(data).reshape(data.shape)
        return Tensor(name, DType.of(data), data.shape, quant, contiguous)

    def moved(self, move: Move, name: str = "", quant: QuantParams | None = None) -> Tensor:
        """A constant with this one's elements moved, or some of them.

        Args:
            move: what it does with an array of this shape.
            name: this one's where left out.
            quant: what its integers mean.
        """
        found = Tensor.constant(name or self.name, np.ascontiguousarray(move(self.value)), quant)
        found.encoding = self.encoding and self.encoding.moved(move)
        return found

    def __repr__(self) -> str:
        kind = "const " if self.is_constant else ""
        return f"<{kind}{self.name} {self.dtype.value}{list(self.shape)}>"
