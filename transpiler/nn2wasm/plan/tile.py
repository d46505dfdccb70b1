"""Constants of a call that are copied into memory for it: where each lies in its tile.

All constants of a call lie behind each other in the file of weights, so that one copy fetches them.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from nn2wasm.ir import Array

ALIGNMENT = 8
"""Of a tile's constants, and of tiles in the file."""


def tile_offsets(arrays: Iterable[Array]) -> tuple[int, ...]:
    """Where each constant begins, in bytes from the tile's begin, and where the tile ends."""
    offsets = [0]
    for array in arrays:
        offsets.append(offsets[-1] + -(-array.nbytes // ALIGNMENT) * ALIGNMENT)
    return tuple(offsets)


def make_tile(arrays: Iterable[Array]) -> bytes:
    """Constants laid out behind each other, little-endian."""
    data = bytearray()
    for array in arrays:
        data += np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        data += bytes(-len(data) % ALIGNMENT)
    return bytes(data)
