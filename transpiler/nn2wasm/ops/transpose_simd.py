"""Transpositions on SIMD: a few rows of bytes interleaved by masks, else block by block."""

from __future__ import annotations

from typing import Any

import numpy as np

from nn2wasm.ir import Node
from nn2wasm.ops.broadcast import (
    Loop,
    contiguous_strides,
    index_expression,
    loop_context,
    merge_loops,
)
from nn2wasm.ops.kernel import Lowering
from nn2wasm.ops.vectors import BYTES

MOST_CHANNELS = 8
"""That are interleaved by masks; their number grows with the square."""
BLOCKS = {1: 8, 4: 4}
"""Rows and columns of a block, by the bytes of an element."""


def few_channels(node: Node) -> str:
    """Why it is not bytes of a few channels that come to lie beside each other."""
    if node.output.dtype.bytes > 1:
        return "its elements are wider than a byte"
    return "" if _interleaved(node) else "it does not interleave a few long rows"


def blocks_fit(node: Node) -> str:
    """Why it is not made of blocks whose rows become columns."""
    block, loops = BLOCKS.get(node.output.dtype.bytes), _loops(node)
    if block is None:
        return "its elements have neither one byte nor four"
    if len(loops) < 2 or loops[-2].strides[0] != 1 or loops[-1].strides[1] != 1:
        return "neither of its last loops runs along the input"
    small = min(loops[-2].size, loops[-1].size) < block
    return f"its rows or columns are fewer than {block}" if small else ""


def _loops(node: Node) -> list[Loop]:
    """Strides of the input and of the output."""
    op: Any = node.op
    own, y = contiguous_strides(node.input(0).shape), node.output.shape
    return merge_loops(y, [tuple(own[axis] for axis in op.perm), contiguous_strides(y)])


def _interleaved(node: Node) -> tuple[int, int] | None:
    """Channels and pixels, where a few rows of pixels come to lie beside each other."""
    loops = _loops(node)
    if len(loops) != 2 or loops[0].strides[0] != 1:
        return None
    pixels, channels = loops[0].size, loops[1].size
    return (channels, pixels) if channels <= MOST_CHANNELS and pixels >= BYTES else None


def blocks_lowering(node: Node) -> Lowering:
    """Loops over blocks inside those over everything else."""
    *outer, rows, columns = _loops(node)
    block = BLOCKS[node.output.dtype.bytes]
    context = {
        "type": node.output.dtype.c_name,
        "block": block,
        "transpose": f"nn_transpose{block}",
        **loop_context(outer),
        "x_index": index_expression(outer, 0),
        "y_index": index_expression(outer, 1),
    }
    sizes = {
        "rows": rows.size,
        "columns": columns.size,
        "y_step": rows.strides[1],
        "x_step": columns.strides[0],
    }
    return Lowering(context=context, sizes=sizes)


def interleave_lowering(node: Node) -> Lowering:
    """Each vector of the result is bytes of every channel, each chosen by a mask."""
    rows = _interleaved(node)
    assert rows is not None
    channels, pixels = rows
    at = np.arange(channels * BYTES).reshape(channels, 1, BYTES)  # in the result: [vector][byte]
    own = at % channels == np.arange(channels)[:, None]
    masks = np.where(own, at // channels, 255).astype(np.uint8)
    vectors = [
        {
            "index": vector,
            "at": vector * BYTES,
            "first": vector * channels * BYTES,
            "parts": [
                {"channel": channel, "at": (vector * channels + channel) * BYTES}
                for channel in range(1, channels)
            ],
        }
        for vector in range(channels)
    ]
    context = {
        "type": node.output.dtype.c_name,
        "channels": channels,
        "lanes": range(channels),
        "vectors": vectors,
    }
    return Lowering(context=context, sizes={"pixels": pixels}, constants={"masks": masks})
