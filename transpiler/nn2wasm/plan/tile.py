"""Constants of a call that are copied into memory for it: where each lies in its tile.

All constants of a call lie behind each other in the file of weights, so that one copy fetches them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import Array

ALIGNMENT = 8
"""Of a tile's constants, and of tiles in the file."""


@dataclass(frozen=True, slots=True)
class Tile:
    """The constants of a call.

    Attributes:
        offsets: where each begins, in bytes from the tile's begin.
        data: the whole tile, little-endian.
    """

    offsets: tuple[int, ...]
    data: bytes


def make_tile(arrays: Iterable[Array]) -> Tile:
    """Lays constants out behind each other."""
    offsets, data = [], bytearray()
    for array in arrays:
        offsets.append(len(data))
        data += np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        data += bytes(-len(data) % ALIGNMENT)
    return Tile(tuple(offsets), bytes(data))
