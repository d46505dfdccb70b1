"""Linear ops with dual multiply-accumulates (SMLAD of Arm's DSP extension): two products a step.

The inputs of some pixels are staged as pairs of 16 bits, side by side in scratch, and multiplied
with two outputs at a time: a word holds two pairs of weights, one for each. Weights are packed
offline so that widening a word's even and odd bytes gives these pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nn2wasm.ir import Array, DType, Node, QuantParams
from nn2wasm.ops.kernel import Kernel, Lowering, Rows, rows_overlap, window_overlap
from nn2wasm.ops.linear import Operands, linear_s8
from nn2wasm.ops.spatial import Geometry, image_window
from nn2wasm.ops.tiled import weight_zero_point
from nn2wasm.ops.tiled_windows import ANY_WINDOW
from nn2wasm.quant.arithmetic import S8_MAX, S8_MIN, integer_bounds
from nn2wasm.target import SMALL

OUTPUTS = 2
"""Of a usual tile."""
LINE = 4
"""Outputs of a tile where there is but one pixel."""
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


@dataclass(frozen=True, slots=True)
class DualTiling:
    """How a kernel cuts pixels and outputs.

    Attributes:
        uniform: one C function for all sizes, rather than one for each way to cut.
    """

    uniform: bool

    @classmethod
    def of(cls, kernel: Kernel) -> DualTiling:
        """A kernel's."""
        return cls(SMALL in kernel.needs)

    def heights(self, pixels: int) -> list[tuple[int, str, str]]:
        """Of tiles, with their first and last pixel: usual ones, then what is left."""
        whole, rest = f"pixels / {HEIGHT} * {HEIGHT}", pixels % HEIGHT
        if pixels == 1:
            return [(1, "0", "pixels")]
        if self.uniform:
            return [(HEIGHT, "0", whole), (1, whole, "pixels")]
        first = [(HEIGHT, "0", whole if rest else "pixels")] if pixels >= HEIGHT else []
        return first + ([(rest, whole if first else "0", "pixels")] if rest else [])

    def width(self, pixels: int, outputs: int) -> int:
        """Outputs of a tile."""
        return LINE if pixels == 1 and outputs >= LINE else OUTPUTS

    def unroll(self, steps: int) -> int:
        """Steps in the body of the innermost loop."""
        usual = (2, 1) if self.uniform else (4, 2, 1)
        return next(count for count in usual if steps % count == 0)


def dual_kernels(kind: str, fits: Callable[[Node], str]) -> tuple[Kernel, ...]:
    """The rows of the kind "gemm" or "conv"."""
    return tuple(
        Kernel(
            symbol=f"nn_{kind}_s8_{HEIGHT}x{OUTPUTS}__dsp",
            template=f"{kind}/s8__dsp.c.j2",
            dtype="s8",
            needs=needs,
            fits=lambda node: fits(node) or _needs_bytes(node),
            headers=("nn2wasm/dsp.h",),
        )
        for needs in (frozenset({"dsp", SMALL}), frozenset({"dsp"}))
    )


def _needs_bytes(node: Node) -> str:
    if node.output.dtype is not DType.S8:
        return "its result is not quantized"
    if node.output.shape[-1] < OUTPUTS:
        return "a single output"
    return weight_zero_point(node)


def dual_product(node: Node, kernel: Kernel, weights: Array, lo: float, hi: float) -> Lowering:
    """A product with [n][k] weights, an image's row of pixels at a time, or a few rows."""
    x, y = node.input(0), node.output
    n, k = weights.shape
    total = x.element_count // k
    m = _pixels_of_call(total, x.shape[-2] if len(x.shape) > 2 else 1)
    operands = _operands(node, weights, DualTiling.of(kernel), lo, hi, m)
    operands.sizes |= {"pixels": m, "inputs": k}
    rows = Rows(count=total // m, in_row_elements=m * k, out_row_elements=m * n)
    lowering = _scratch(operands.lowering(rows), m, k)
    return rows_overlap(rows, x.dtype.bytes, y.dtype.bytes).on(lowering, 0)


def dual_rows(
    node: Node, kernel: Kernel, weights: Array, geometry: Geometry, lo: float, hi: float
) -> Lowering:
    """Convolution with [oc][ic][kh][kw] weights, an output row at a time."""
    x, y = node.input(0), node.output
    packed = weights.transpose(0, 2, 3, 1).reshape(weights.shape[0], -1)
    pixels, k = y.shape[-2], packed.shape[1]
    operands = _operands(node, packed, DualTiling.of(kernel), lo, hi, pixels)
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


def _operands(
    node: Node, weights: Array, tiling: DualTiling, lo: float, hi: float, pixels: int
) -> Operands:
    """Packed weights, bias and scales, what linear/dual_outputs.c.j2 needs, and its sizes."""
    operands = dual_operands(node, weights, lo, hi)
    n, k = weights.shape
    width = tiling.width(pixels, n)
    steps = staged_words(k) // 2
    operands.constants = {"w": _blocks(operands, weights, width)}
    operands.context["tiles"] = [
        _tile(height, width, tiling.unroll(steps), one_scale=operands.context["one_scale"])
        | {"first": first, "last": last}
        for height, first, last in tiling.heights(pixels)
    ]
    operands.sizes |= {"outputs": n, "steps": steps}
    return operands


def _blocks(operands: Operands, weights: Array, width: int) -> Array:
    """What each `width` outputs need, in words: their biases, weights, scales. The last outputs
    overlap those before where there are not enough.
    """
    n = weights.shape[0]
    firsts = [min(i, n - width) for i in range(0, n, width)]
    outputs = np.add.outer(firsts, np.arange(width))
    parts = [operands.constants["b"][outputs].view(np.uint32), _pack_words(weights[outputs])]
    if "scale" in operands.constants:
        parts.append(operands.constants["scale"][outputs].view(np.uint32))
    return np.concatenate(parts, 1).reshape(-1)


def _pack_words(weights: Array) -> Array:
    """[blocks][width][k] bytes to [blocks] of words [k / 4][2][width / 2]: the even bytes of a word
    are of one output, the odd ones of the next; inputs 0 and 2 of a step in the first words, 1 and
    3 in the second.
    """
    count, width, k = weights.shape
    steps = -(-k // WORD)
    padded = np.zeros((count, width, steps * WORD), np.int8)
    padded[..., :k] = weights
    # [block][pair][output][step][half of a pair][first or second word]
    split = padded.reshape(count, width // 2, 2, steps, 2, 2)
    packed = np.ascontiguousarray(split.transpose(0, 3, 5, 1, 4, 2))
    return packed.reshape(-1).view("<u4").astype(np.uint32).reshape(count, -1)


def dual_operands(node: Node, weights: Array, lo: float, hi: float) -> Operands:
    """Bias, scale and bounds of [n][k] weights; how a sum becomes a byte, as what stands before the
    sum and behind its scale.
    """
    operands = linear_s8(node, weights, lo, hi, fold=True)
    quant = node.output.quant
    assert quant is not None
    scale = operands.constants["scale"]
    _requantization(operands, weights, lo, hi, quant)
    one_scale = bool(np.all(scale == scale[0]))
    operands.context["one_scale"] = one_scale
    if one_scale:  # a number for all: no constants, and layers share functions all the same
        del operands.constants["scale"]
        operands.context["scale_parameter"] = ""
        operands.sizes["scale_bits"] = int(scale[:1].view(np.int32)[0])
    return operands


def _requantization(
    operands: Operands, weights: Array, lo: float, hi: float, quant: QuantParams
) -> None:
    """Adds the form of requantization: the shortest that holds for the largest sums."""
    zero_point = int(quant.zero_point)
    low, high = integer_bounds(lo, hi, quant, DType.S8)
    reach = 128 * np.abs(weights.astype(np.int64)).sum(1)
    largest = np.abs(operands.constants["b"].astype(np.int64)) + reach
    scaled = largest * operands.constants["scale"].astype(np.float64)
    if np.max(scaled, initial=0) + abs(zero_point) + 1 >= LARGEST_SHORT:
        operands.context["store_open"] = "nn_requantize("
        operands.context["store_close"] = ", (float)least, (float)largest, y_zero_point)"
        operands.sizes |= {
            "y_zero_point": zero_point,
            "least": low - zero_point,
            "largest": high - zero_point,
        }
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


def _tile(height: int, width: int, unroll: int, *, one_scale: bool) -> dict[str, Any]:
    """The sums of some pixels and outputs, and the words that its loop's body multiplies."""
    pairs = width // 2
    words = [
        {
            "index": word * pairs + pair,
            "inputs": [
                {
                    "at": word * height + row,
                    "even": f"a{row}{2 * pair}",
                    "odd": f"a{row}{2 * pair + 1}",
                }
                for row in range(height)
            ],
        }
        for word in range(2 * unroll)
        for pair in range(pairs)
    ]
    rows = [
        {
            "at": ("", " + outputs", " + 2 * outputs")[row],
            "outputs": [
                {
                    "index": i,
                    "sum": f"a{row}{i}",
                    "scale": "one_scale" if one_scale else f"s{i}",
                }
                for i in range(width)
            ],
        }
        for row in range(height)
    ]
    return {
        "height": height,
        "width": width,
        "rows": rows,
        "words": words,
        "pitch": 2 * height,
        "scales": [] if one_scale else [{"index": i, "name": f"s{i}"} for i in range(width)],
        "weight_step": 2 * unroll * pairs,
        "input_step": 2 * unroll * height,
    }
