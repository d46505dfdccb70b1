"""Linear ops with dual multiply-accumulates (SMLAD of Arm's DSP extension): two products a step.

The inputs of some pixels are staged as pairs of 16 bits, side by side in scratch, and multiplied
with two outputs at a time: a word holds two pairs of weights, one for each. Weights are packed
offline so that widening a word's even and odd bytes gives these pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nn2wasm.ir import Array, DType, Node
from nn2wasm.ops.dual_stores import dual_operands
from nn2wasm.ops.kernel import Kernel, Lowering, Rows, rows_overlap, window_overlap
from nn2wasm.ops.linear import Operands
from nn2wasm.ops.spatial import Geometry, image_window
from nn2wasm.ops.tiled import weight_zero_point
from nn2wasm.ops.tiled_s16 import short_operands
from nn2wasm.ops.tiled_windows import ANY_WINDOW
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


class Inputs(NamedTuple):
    """How inputs become pairs.

    Attributes:
        dtype: of the inputs.
        stage: the C function that stages a row of them.
        stage_window: the one that stages a window.
        order: of a step's four inputs in its two pairs.
    """

    dtype: DType
    stage: str
    stage_window: str
    order: tuple[int, int, int, int]


BYTES = Inputs(DType.S8, "nn_stage_pairs", "nn_stage_window", (0, 2, 1, 3))
SHORTS = Inputs(DType.S16, "nn_stage_shorts", "nn_stage_short_window", (0, 1, 2, 3))
INPUTS = {inputs.dtype: inputs for inputs in (BYTES, SHORTS)}


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
    """The rows of the kind "gemm" or "conv": on bytes, and on inputs of 16 bits."""
    return tuple(
        Kernel(
            symbol=f"nn_{kind}_{dtype}_{HEIGHT}x{OUTPUTS}__dsp",
            template=f"{kind}/pairs__dsp.c.j2",
            dtype=dtype,
            needs=needs,
            fits=lambda node: fits(node) or _operands_fit(node),
            headers=("nn2wasm/dsp.h",),
        )
        for dtype in ("s8", "s16")
        for needs in (frozenset({"dsp", SMALL}), frozenset({"dsp"}))
    )


def _operands_fit(node: Node) -> str:
    if node.output.shape[-1] < OUTPUTS:
        return "a single output"
    return pairs_fit(node)


def pairs_fit(node: Node) -> str:
    """Why products of 16 bits that 32 bits sum do not serve."""
    if node.output.quant is None:
        return "its result is not quantized"
    wide = node.op.kernel_dtype(node) == DType.S16.value  # type: ignore[attr-defined]
    return short_operands(node) if wide else weight_zero_point(node)


def dual_product(node: Node, kernel: Kernel, weights: Array, lo: float, hi: float) -> Lowering:
    """A product with [n][k] weights, an image's row of pixels at a time, or a few rows."""
    x, y = node.input(0), node.output
    n, k = weights.shape
    total = x.element_count // k
    m = _pixels_of_call(total, x.shape[-2] if len(x.shape) > 2 else 1)
    operands = _operands(node, weights, DualTiling.of(kernel), lo, hi, m)
    operands.sizes |= {"pixels": m, "inputs": k}
    operands.context["stage"] = INPUTS[x.dtype].stage
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
    operands.context |= ANY_WINDOW | {"stage": INPUTS[x.dtype].stage_window}
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
    copied = k * x.dtype.bytes + WORD - x.dtype.bytes  # by words
    lowering.scratch_bytes += -(-copied // WORD) * WORD
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
    order = INPUTS[node.input(0).dtype].order
    operands.constants = {"w": _blocks(operands, weights, width, order)}
    operands.context |= {
        "x_type": node.input(0).dtype.c_name,
        "y_type": node.output.dtype.c_name,
    }
    operands.context["tiles"] = [
        _tile(height, width, tiling.unroll(steps), one_scale=operands.context["one_scale"])
        | {"first": first, "last": last}
        for height, first, last in tiling.heights(pixels)
    ]
    operands.sizes |= {"outputs": n, "steps": steps}
    return operands


def _blocks(operands: Operands, weights: Array, width: int, order: tuple[int, ...]) -> Array:
    """What each `width` outputs need, in words: their biases, weights, scales. The last outputs
    overlap those before where there are not enough.
    """
    n = weights.shape[0]
    firsts = [min(i, n - width) for i in range(0, n, width)]
    outputs = np.add.outer(firsts, np.arange(width))
    parts = [operands.constants["b"][outputs].view(np.uint32), _pack_words(weights[outputs], order)]
    if "scale" in operands.constants:
        parts.append(operands.constants["scale"][outputs].view(np.uint32))
    return np.concatenate(parts, 1).reshape(-1)


def _pack_words(weights: Array, order: tuple[int, ...]) -> Array:
    """[blocks][width][k] bytes to [blocks] of words [k / 4][2][width / 2]: the even bytes of a word
    are of one output, the odd ones of the next; a step's inputs in the order in which they are
    staged, two in the first words and two in the second.
    """
    count, width, k = weights.shape
    steps = -(-k // WORD)
    padded = np.zeros((count, width, steps * WORD), np.int8)
    padded[..., :k] = weights
    staged = padded.reshape(count, width // 2, 2, steps, WORD)[..., list(order)]
    # [block][pair][output][step][first or second word][half of a pair]
    split = staged.reshape(count, width // 2, 2, steps, 2, 2)
    packed = np.ascontiguousarray(split.transpose(0, 3, 4, 1, 5, 2))
    return packed.reshape(-1).view("<u4").astype(np.uint32).reshape(count, -1)


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
