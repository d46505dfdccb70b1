"""Linear ops with dual multiply-accumulates (SMLAD of Arm's DSP extension): two products a step.

The inputs of some pixels are staged as pairs of 16 bits, side by side in scratch, and multiplied
with two outputs at a time: a word holds two pairs of weights, one for each. Weights are packed
offline so that widening a word's even and odd bytes gives these pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nn2wasm.ir import Array, DType, Node
from nn2wasm.ops.kernel import Kernel, Lowering, Rows, rows_overlap, window_overlap
from nn2wasm.ops.linear import Operands, linear_s8
from nn2wasm.ops.spatial import Geometry, image_window
from nn2wasm.ops.tiled import weight_zero_point
from nn2wasm.ops.tiled_windows import ANY_WINDOW
from nn2wasm.quant.arithmetic import S8_MAX, S8_MIN, integer_bounds

OUTPUTS = 2
"""Of a tile."""
HEIGHT = 3
"""Pixels of a usual tile: its six sums, three inputs and a weight are what registers hold."""
REST_COST = (0.0, 1.4, 2.2)
"""Of a tile that is one or two pixels high, in pixels of a usual one."""
WORD = 4
"""Bytes of a word, and inputs of a step."""
ROUNDS = 12582912
"""1.5 · 2^23: added to a float, it leaves an integer in the low bits."""
LARGEST_SHORT = 2**15
"""Results below this are whole in 16 bits."""


def dual_kernel(kind: str, fits: Callable[[Node], str]) -> Kernel:
    """The row of the kind "gemm" or "conv"."""
    return Kernel(
        symbol=f"nn_{kind}_s8_{HEIGHT}x{OUTPUTS}__dsp",
        template=f"{kind}/s8__dsp.c.j2",
        dtype="s8",
        needs=frozenset({"dsp"}),
        fits=lambda node: fits(node) or _needs_bytes(node),
        headers=("nn2wasm/dsp.h",),
    )


def _needs_bytes(node: Node) -> str:
    if node.output.dtype is not DType.S8:
        return "its result is not quantized"
    if node.output.shape[-1] < OUTPUTS:
        return "a single output"
    return weight_zero_point(node)


def dual_product(node: Node, weights: Array, lo: float, hi: float) -> Lowering:
    """A product with [n][k] weights, an image's row of pixels at a time, or a few rows."""
    x, y = node.input(0), node.output
    n, k = weights.shape
    total = x.element_count // k
    m = _pixels_of_call(total, x.shape[-2] if len(x.shape) > 2 else 1)
    operands = _operands(node, weights, lo, hi, m)
    operands.sizes |= {"pixels": m, "inputs": k}
    rows = Rows(count=total // m, in_row_elements=m * k, out_row_elements=m * n)
    lowering = _scratch(operands.lowering(rows), m, k)
    return rows_overlap(rows, x.dtype.bytes, y.dtype.bytes).on(lowering, 0)


def dual_rows(
    node: Node, weights: Array, geometry: Geometry, lo: float, hi: float
) -> Lowering:
    """Convolution with [oc][ic][kh][kw] weights, an output row at a time."""
    x, y = node.input(0), node.output
    packed = weights.transpose(0, 2, 3, 1).reshape(weights.shape[0], -1)
    pixels, k = y.shape[-2], packed.shape[1]
    operands = _operands(node, packed, lo, hi, pixels)
    operands.context |= ANY_WINDOW
    operands.sizes |= {
        "pixels": pixels,
        "channels": x.shape[-1],
        "width": x.shape[-2],
        "window": geometry.kernel[0],
        "taps": geometry.kernel[1],
        "stride": geometry.stride[1],
        "dilation": geometry.dilation[1],
        "pad": geometry.pad_begin[1],
        "patch_at": min(pixels, HEIGHT) * staged_words(k),
        "x_zero_point": operands.context["x_zero_point"],
    }
    window = image_window(geometry, x, y, operands.context["x_zero_point"])
    lowering = _scratch(operands.lowering(window), pixels, k)
    lowering.scratch_bytes += -(-(k + 3) // WORD) * WORD  # copied by words
    return window_overlap(window, x.dtype.bytes, y.dtype.bytes).on(lowering, 0)


def _pixels_of_call(total: int, row: int) -> int:
    """A divisor of all pixels, in whole rows, that wastes little on incomplete tiles: the smaller,
    the further may an output lie over its input.
    """

    def cost(count: int) -> float:
        tiles = count // HEIGHT * HEIGHT + REST_COST[count % HEIGHT]
        return tiles / count * (1 + math.log2(count) / 50)

    rows = total // row
    return min((row * d for d in range(1, rows + 1) if rows % d == 0), key=cost)


def _scratch(lowering: Lowering, pixels: int, k: int) -> Lowering:
    lowering.scratch_bytes = min(pixels, HEIGHT) * staged_words(k) * WORD
    lowering.scratch_type = "uint32_t"
    return lowering


def staged_words(k: int) -> int:
    """Words of pairs that hold k inputs of a pixel, up to whole steps."""
    return -(-k // WORD) * 2


def _operands(node: Node, weights: Array, lo: float, hi: float, pixels: int) -> Operands:
    """Packed weights, bias and scales, what linear/dual_outputs.c.j2 needs, and its sizes."""
    operands = linear_s8(node, weights, lo, hi, fold=True)
    n, k = weights.shape
    steps = staged_words(k) // 2
    unroll = next(count for count in (4, 2, 1) if steps % count == 0)
    operands.constants = {"w": pack_pairs(weights), **operands.constants}
    operands.context |= {"tiles": _tiles(pixels, unroll), "unroll": unroll}
    operands.sizes |= {"outputs": n, "steps": steps}
    requantization(node, operands, weights, lo, hi)
    return operands


def pack_pairs(weights: Array) -> Array:
    """[n][k] bytes to words [n / 2][k / 4][2]: the even bytes of a word are of the first output, the
    odd ones of the second; inputs 0 and 2 of a step in the first word, 1 and 3 in the second. The
    last two outputs overlap those before where n is odd.
    """
    n, k = weights.shape
    steps = -(-k // WORD)
    firsts = [min(i, n - OUTPUTS) for i in range(0, n, OUTPUTS)]
    padded = np.zeros((len(firsts), OUTPUTS, steps * WORD), np.int8)
    padded[..., :k] = weights[[[first, first + 1] for first in firsts]]
    pairs = padded.reshape(len(firsts), OUTPUTS, steps, 2, 2).transpose(0, 2, 4, 3, 1)
    return np.ascontiguousarray(pairs).reshape(-1).view("<u4").astype(np.uint32)


def requantization(node: Node, operands: Operands, weights: Array, lo: float, hi: float) -> None:
    """Adds how a sum becomes a byte: as what stands before and after the sum and its scale."""
    quant = node.output.quant
    assert quant is not None
    zero_point = int(quant.zero_point)
    low, high = integer_bounds(lo, hi, quant, DType.S8)
    reach = 128 * np.abs(weights.astype(np.int64)).sum(1)
    largest = np.abs(operands.constants["b"].astype(np.int64)) + reach
    scaled = largest * operands.constants["scale"].astype(np.float64)
    if np.max(scaled, initial=0) + abs(zero_point) + 1 >= LARGEST_SHORT:
        operands.context |= {
            "store_open": "nn_requantize(",
            "store_close": ", (float)(y_lo - y_zero_point), (float)(y_hi - y_zero_point), y_zero_point)",
        }
        operands.sizes |= {"y_zero_point": zero_point, "y_lo": low, "y_hi": high}
        return
    odd = zero_point % 2
    saturate, bounds = {
        (S8_MIN, S8_MAX): ("nn_saturate", ""),
        (0, S8_MAX): ("nn_saturate_positive", ""),
    }.get((low, high), ("nn_bounded", ", y_lo, y_hi"))
    operands.context |= {
        "store_open": f"{saturate}(nn_scaled(",
        "store_close": f", (float)shifter){' + 1' if odd else ''}{bounds})",
    }
    operands.sizes |= {"shifter": ROUNDS + zero_point - odd, "y_lo": low, "y_hi": high}


def _tiles(pixels: int, unroll: int) -> list[dict[str, Any]]:
    """Usual tiles, then one of the pixels that are left."""
    whole, rest = f"pixels / {HEIGHT} * {HEIGHT}", pixels % HEIGHT
    tiles = []
    if pixels >= HEIGHT:
        last = whole if rest else "pixels"
        tiles.append(_tile(HEIGHT, unroll) | {"first": "0", "last": last})
    if rest:
        first = whole if pixels >= HEIGHT else "0"
        tiles.append(_tile(rest, unroll) | {"first": first, "last": "pixels"})
    return tiles


def _tile(height: int, unroll: int) -> dict[str, Any]:
    words = [
        {
            "index": word,
            "inputs": [{"row": row, "at": word * height + row} for row in range(height)],
        }
        for word in range(2 * unroll)
    ]
    rows = [{"index": row, "at": ("", " + outputs", " + 2 * outputs")[row]} for row in range(height)]
    return {
        "height": height,
        "rows": rows,
        "words": words,
        "pitch": 2 * height,
        "weight_step": 2 * unroll,
        "input_step": 2 * unroll * height,
    }
