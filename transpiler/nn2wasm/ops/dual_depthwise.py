"""Depthwise convolution with dual multiply-accumulates: pairs of taps, channels word by word.

Rows under the window are paired, and the taps of a row that is left over. A word of channels
from either side of a pair is widened to one pair for each channel, once for all windows that meet
it; then channel by channel, its weights in registers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nn2wasm.ir import Array, DType, Node
from nn2wasm.ops.dual import WORD, pairs_fit
from nn2wasm.ops.dual_stores import dual_operands
from nn2wasm.ops.kernel import Kernel, Lowering, window_overlap
from nn2wasm.ops.spatial import Geometry, image_window
from nn2wasm.ops.tiled_windows import ANY_WINDOW

LARGEST_STRIP = 1024
"""Bytes of staged columns, where those of one window do not take more."""


class Lanes(NamedTuple):
    """Channels of a word.

    Attributes:
        number: of them.
        load: the C function that loads a word.
        put: the one that makes pairs of two words.
    """

    number: int
    load: str
    put: str


LANES = {
    DType.S8: Lanes(4, "nn_word", "nn_put_pairs"),
    DType.S16: Lanes(2, "nn_pair", "nn_put_short_pairs"),
}


def dual_depthwise_kernels(fits: Callable[[Node], str]) -> tuple[Kernel, ...]:
    """The rows of the table: on bytes, and on inputs of 16 bits."""

    def fits_words(node: Node) -> str:
        if reason := fits(node) or pairs_fit(node):
            return reason
        count = LANES[node.input(0).dtype].number
        return f"fewer than {count} channels" if node.output.shape[-1] < count else ""

    return tuple(
        Kernel(
            symbol=f"nn_depthwise_{dtype}__dsp",
            template="depthwise/pairs__dsp.c.j2",
            dtype=dtype,
            needs=frozenset({"dsp"}),
            fits=fits_words,
            headers=("nn2wasm/dsp.h",),
        )
        for dtype in ("s8", "s16")
    )


class _Register(NamedTuple):
    """Weights of two taps, or of one; `at` is the word of a column's record that they multiply."""

    taps: tuple[tuple[int, int], ...]
    column: int
    at: int


def dual_depthwise(
    node: Node, weights: Array, geometry: Geometry, lo: float, hi: float
) -> Lowering:
    """Depthwise convolution with [c][1][kh][kw] weights, an output row at a time."""
    x, y = node.input(0), node.output
    c, pixels = x.shape[-1], y.shape[-2]
    registers = _registers(geometry.kernel)
    operands = dual_operands(node, weights.reshape(c, -1), lo, hi)
    packed = _pack(weights.reshape(c, *geometry.kernel), registers)
    operands.constants = {"w": packed, **operands.constants}
    record = -(-geometry.kernel[0] // 2)
    lanes = LANES[x.dtype]
    span = _span(geometry, record * lanes.number, pixels)
    columns = _columns(geometry, span)
    operands.context |= ANY_WINDOW | _staging(geometry, lanes.number)
    operands.context |= {
        "x_type": x.dtype.c_name,
        "y_type": y.dtype.c_name,
        "lanes": lanes.number,
        "load": lanes.load,
        "put": lanes.put,
        "channel_scale": "one_scale" if operands.context["one_scale"] else "sj",
        "kernel_text": f"{geometry.kernel[0]}x{geometry.kernel[1]}",
        "loads": _loads(registers),
        "steps": _steps(geometry, registers, record * lanes.number),
    }
    operands.sizes |= {
        "channels": c,
        "pixels": pixels,
        "width": x.shape[-2],
        "stride": geometry.stride[1],
        "pad": geometry.pad_begin[1],
        "span": span,
        "fill": _word_of(operands.context["x_zero_point"], x.dtype),
    }
    window = image_window(geometry, x, y, operands.context["x_zero_point"])
    lowering = operands.lowering(window)
    lowering.scratch_bytes = columns * record * lanes.number * WORD
    lowering.scratch_type = "uint32_t"
    return window_overlap(window, x.dtype.bytes, y.dtype.bytes).on(lowering, 0)


def _registers(kernel: tuple[int, int]) -> list[_Register]:
    """Pairs of rows, column by column; then pairs of the last row's taps, and the last tap."""
    kh, kw = kernel
    pairs = [
        _Register(((row, kx), (row + 1, kx)), kx, row // 2)
        for kx in range(kw)
        for row in range(0, kh - 1, 2)
    ]
    if kh % 2 == 0:
        return pairs
    last = [
        _Register(tuple((kh - 1, tap) for tap in range(kx, min(kx + 2, kw))), kx, kh // 2)
        for kx in range(0, kw, 2)
    ]
    return pairs + last


def _pack(weights: Array, registers: list[_Register]) -> Array:
    """[c][kh][kw] to bytes [c][…]: two registers a word, the even bytes of it one, the odd ones the
    other; a single tap behind them is a byte.
    """
    lanes = np.zeros((weights.shape[0], len(registers), 2), np.int8)
    for index, register in enumerate(registers):
        for half, (row, kx) in enumerate(register.taps):
            lanes[:, index, half] = weights[:, row, kx]
    whole = len(registers) // 2 * 2
    words = lanes[:, :whole].reshape(weights.shape[0], -1, 2, 2).transpose(0, 1, 3, 2)
    rest = lanes[:, whole:].reshape(weights.shape[0], -1)
    if len(registers[-1].taps) == 1:
        rest = rest[:, :1]
    return np.concatenate([words.reshape(weights.shape[0], -1), rest], 1)


def _staging(geometry: Geometry, lanes: int) -> dict[str, Any]:
    """Words of a column, one for each row and one more of the last where it is paired with the
    next tap's; and what they are paired to.
    """
    kh, dilation = geometry.kernel[0], geometry.dilation[1]
    ahead = dilation if kh % 2 else 0
    columns: list[dict[str, Any]] = [
        {"index": row, "row": row, "ahead": "", "ahead_column": ""} for row in range(kh)
    ]
    if ahead:
        further = {"ahead": f" + {ahead} * channels", "ahead_column": f" + {ahead}"}
        columns.append({"index": kh, "row": kh - 1} | further)
    return {
        "columns": columns,
        "words": ", ".join(f"q{i} = (uint32_t)fill" for i in range(len(columns))),
        "ahead": ahead,
        "record": len(columns) // 2,
        "pitch": len(columns) // 2 * lanes,
        "reach": (geometry.kernel[1] - 1) * dilation + 1,
        "pairs": [{"at": i // 2, "low": i, "high": i + 1} for i in range(0, len(columns), 2)],
    }


def _loads(registers: list[_Register]) -> dict[str, Any]:
    """How a channel's weights come into registers."""
    whole = len(registers) // 2 * 2
    left = [
        {
            "name": f"w{whole}",
            "value": f"(uint32_t)wj[{2 * whole}]"
            if len(register.taps) == 1
            else f"nn_join_low((uint32_t)wj[{2 * whole}], (uint32_t)wj[{2 * whole + 1}])",
        }
        for register in registers[whole:]
    ]
    return {
        "bytes": 2 * whole + sum(len(register.taps) for register in registers[whole:]),
        "words": [
            {"at": 2 * i, "name": f"v{i}", "even": f"w{i}", "odd": f"w{i + 1}"}
            for i in range(0, whole, 2)
        ],
        "left": left,
    }


def _steps(geometry: Geometry, registers: list[_Register], pitch: int) -> list[dict[str, Any]]:
    """The sum of a pixel, column by column."""
    return [
        {
            "at": register.column * geometry.dilation[1] * pitch + register.at,
            "w": f"w{index}",
            "add": "nn_dual_add" if len(register.taps) > 1 else "nn_low_add",
        }
        for index, register in enumerate(registers)
    ]


def _columns(geometry: Geometry, pixels: int) -> int:
    return (pixels - 1) * geometry.stride[1] + (geometry.kernel[1] - 1) * geometry.dilation[1] + 1


def _span(geometry: Geometry, pitch: int, pixels: int) -> int:
    """Pixels of a strip, with so many words a column; all strips are about equal."""

    def fits(count: int) -> bool:
        return _columns(geometry, count) * pitch * WORD <= LARGEST_STRIP

    strips = next(n for n in range(1, pixels + 1) if fits(-(-pixels // n)) or n == pixels)
    return -(-pixels // strips)


def _word_of(value: int, dtype: DType) -> int:
    """A number again and again, as a number of 32 bits."""
    return int(np.full(WORD // dtype.bytes, value, dtype.numpy).view("<i4")[0])
