"""How a constant of floats may be kept in fewer bytes than four each.

    value = (code − zero_point) · scale, in float32

with a scale and a zero point for each block of elements: all of them, a channel, some elements
behind each other. Or the floats are those of a type of two bytes.

It is a remark on a constant, no other constant: passes and kernels see the floats. Whoever changes
them makes a constant without it; `Tensor.moved` keeps it where elements only move.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nn2wasm.ir.dtype import DType

Array = np.ndarray[Any, Any]
Move = Callable[[Array], Array]


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Integers with a scale for each block.

    Attributes:
        centred: s16, code − zero point, in the constant's shape.
        blocks: s32, the block of each element, in the constant's shape.
        scale: f32, [blocks].
        zero_point: s32, [blocks].
        low: the least code, or zero point, of the constant that this was made for; some of its
            elements may be all that is left.
        high: the largest.
    """

    centred: Array
    blocks: Array
    scale: Array
    zero_point: Array
    low: int
    high: int

    def decoded(self) -> Array:
        """The floats."""
        values = self.centred.astype(np.float32) * self.scale[self.blocks]
        return np.asarray(values, np.float32)

    def moved(self, move: Move) -> Blocks:
        """Of a constant whose elements were moved, or chosen."""
        return replace(self, centred=move(self.centred), blocks=move(self.blocks))


@dataclass(frozen=True, slots=True)
class Half:
    """Floats of two bytes.

    Attributes:
        dtype: F16 or BF16.
    """

    dtype: DType

    def moved(self, move: Move) -> Half:
        """Of a constant whose elements were moved, or chosen."""
        return self


Encoding = Blocks | Half


def blocks_of(codes: Array, blocks: Array, scale: Array, zero_point: Array) -> Blocks | None:
    """Integers of any type with a scale for each block; None where they need more than 8 bits.

    Args:
        codes: the integers.
        blocks: the block of each; broadcast to the shape of the codes.
        scale: [blocks].
        zero_point: [blocks].
    """
    scale = np.asarray(scale, np.float32).reshape(-1)
    zero_point = np.broadcast_to(np.asarray(zero_point, np.int32).reshape(-1), scale.shape)
    blocks = np.broadcast_to(np.asarray(blocks, np.int32), codes.shape)
    centred = codes.astype(np.int32) - zero_point[blocks]
    if codes.dtype.itemsize > 1 or np.abs(centred).max(initial=0) > 255:
        return None
    numbers = np.concatenate([codes.reshape(-1).astype(np.int32), zero_point])
    low, high = int(numbers.min()), int(numbers.max())
    return Blocks(centred.astype(np.int16), blocks, scale, zero_point, low, high)
