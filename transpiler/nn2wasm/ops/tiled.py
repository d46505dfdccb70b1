"""Linear ops on SIMD: rows of kernel tables, packed operands, and what templates need of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nn2wasm.ir import Array, DType, Node
from nn2wasm.ops.kernel import Kernel, Lowering, Rows, rows_overlap
from nn2wasm.ops.linear import Operands, bias_values, float_literal, linear_s8
from nn2wasm.ops.linear_s16 import linear_s16
from nn2wasm.ops.tiles import FORMS, LANES, Tiling, fill_lanes, tile_sizes, tiles_context
from nn2wasm.quant.arithmetic import integer_bounds
from nn2wasm.target import SMALL

PAIRS = Tiling(form=FORMS["nn_pairs"])
WIDE = Tiling(form=FORMS["nn_wide"])
QUADS = Tiling(form=FORMS["nn_quads"], heights=(8, 6, 4), line_vectors=8)
SINGLE = Tiling(form=FORMS["nn_single"], line_vectors=8)
FUSED = Tiling(form=FORMS["nn_fused"], heights=(8, 6, 4), line_vectors=8)
NATIVE_QUADS = replace(FORMS["nn_quads"], guard="")
QUADS_X8 = Tiling(form=NATIVE_QUADS, heights=(8, 8, 6, 6), line_vectors=16, lanes=8)
SINGLE_X16 = Tiling(form=FORMS["nn_single"], heights=(8, 8, 6, 6), line_vectors=16, lanes=16)

HEADERS: Mapping[str, tuple[str, ...]] = {
    "native": ("nn2wasm/simd128.h", "nn2wasm/native_simd.h"),
    "relaxed": ("nn2wasm/simd128.h", "nn2wasm/relaxed_simd.h"),
    "simd128_shuffle": ("nn2wasm/simd128.h",),
    "simd128": ("nn2wasm/simd128.h",),
}
FORM_HEADERS: Mapping[str, tuple[str, ...]] = {"nn_shorts": ("nn2wasm/simd128_s16.h",)}
Row = tuple[str, str, frozenset[str], Tiling]
"""Dtype, instruction set, what it needs of the target, tiling."""


def _small(rows: Sequence[Row]) -> Iterator[Row]:
    """The same for small modules: a function for all layers."""
    for dtype, isa, needs, tiling in rows:
        if not tiling.shuffles and isa != "native":
            small = replace(tiling, heights=(4, 4), line_vectors=4, uniform=True)
            yield dtype, isa, needs | {SMALL}, small


FAST_SETS: tuple[Row, ...] = (
    ("s8", "native", frozenset({"native"}), QUADS_X8),
    ("s8", "relaxed", frozenset({"relaxed"}), QUADS),
    ("s8", "simd128_shuffle", frozenset({"simd128", "slow_splat"}), replace(PAIRS, shuffles=True)),
    ("s8", "simd128", frozenset({"simd128"}), PAIRS),
    ("s8", "simd128", frozenset({"simd128"}), WIDE),
    ("f32", "native", frozenset({"native"}), SINGLE_X16),
    ("f32", "relaxed", frozenset({"relaxed"}), FUSED),
    (
        "f32",
        "simd128_shuffle",
        frozenset({"simd128", "slow_splat"}),
        replace(SINGLE, shuffles=True),
    ),
    ("f32", "simd128", frozenset({"simd128"}), SINGLE),
)
INSTRUCTION_SETS = (*_small(FAST_SETS), *FAST_SETS)
DEPTHWISE_SETS: tuple[Row, ...] = (  # no splats to shuffle, four channels a vector
    ("s8", "native", frozenset({"native"}), replace(QUADS, form=NATIVE_QUADS)),
    *(row for row in FAST_SETS if row[1] in ("relaxed", "simd128") and row[3] is not WIDE),
)
CHUNK_BYTES = 24576
"""That a kernel touches again and again: they stay in the nearest cache."""
LEAST_PIXELS = 64
"""Of a call, where the image has them."""
NAMES = {"weights": "w", "biases": "b", "scales": "scale"}
"""What kernels call their operands."""
ROUNDED_BY_SUM = 2**22 - 2
"""Products below this are rounded by adding 1.5 · 2^23."""


def simd_kernels(kind: str, fits: Callable[[Node], str]) -> tuple[Kernel, ...]:
    """Rows for all instruction sets of the kind "gemm", "conv" or "depthwise"."""
    rows = []
    for dtype, isa, needs, tiling in DEPTHWISE_SETS if kind == "depthwise" else INSTRUCTION_SETS:
        rows.append(tiled_row(kind, dtype, isa, needs, tiling, fits))
    return tuple(rows)


def tiled_row(
    kind: str,
    dtype: str,
    isa: str,
    needs: frozenset[str],
    tiling: Tiling,
    fits: Callable[[Node], str],
    template: str = "",
) -> Kernel:
    """A row of a kernel table; the template is that of its kind where left out."""
    wide = tiling.form.weight == "int16_t"
    outputs = LANES if kind == "depthwise" else tiling.vectors * LANES
    shape = f"{tiling.height}x{outputs}"
    return Kernel(
        symbol=f"nn_{kind}_{dtype}{'w16' if wide else ''}_{shape}__{isa}",
        template=template or f"{kind}/{dtype}__simd128.c.j2",
        dtype=dtype,
        needs=needs,
        fits=fits if wide else lambda node: fits(node) or weight_zero_point(node),
        tiling=tiling,
        headers=(*HEADERS[isa], *FORM_HEADERS.get(tiling.form.name, ())),
        guard=tiling.form.guard,
    )


def weight_zero_point(node: Node) -> str:
    """Why a kernel that takes weights as they are refuses."""
    quant = node.input(1).quant
    return "its weights have a zero point" if quant is not None and np.any(quant.zero_point) else ""


def tiled_operands(
    node: Node,
    weights: Array,
    tiling: Tiling,
    m: int,
    lo: float,
    hi: float,
    *,
    groups: int = 1,
    call_rows: int = 1,
) -> Operands:
    """Packed weights, bias and scales, the context of tiles.c.j2, and the sizes that it names.

    Args:
        node: inputs x, w, optional b.
        weights: [oc][segments][items], outputs group after group.
        tiling: for that many pixels.
        m: pixels of a row.
        lo: least real result.
        hi: largest real result.
        groups: of outputs; each reads its own inputs.
        call_rows: rows of pixels.
    """
    oc, segments, items = weights.shape
    n, steps = oc // groups, tiling.steps(items)
    operands = linear_operands(node, weights.reshape(oc, -1), tiling, lo, hi, groups)
    if tiling.form.weight == "int16_t":
        weights = centred_weights(node, weights)
    packed = [tiling.pack(part) for part in np.split(weights, groups)]
    operands.constants = {"w": np.concatenate(packed), **operands.constants}
    operands.context |= tiles_context(
        tiling, m=m, n=n, steps=steps, widened=tiling.widens(call_rows * m)
    )
    operands.sizes |= tile_sizes(tiling, m=m, n=n, steps=steps, segments=segments)
    return operands


def centred_weights(node: Node, weights: Array) -> Array:
    """Weights [oc, ...] less their zero points, in 16 bits."""
    quant = node.input(1).quant
    assert quant is not None
    zero_point = np.broadcast_to(quant.zero_point.reshape(-1), (weights.shape[0],))
    aligned = zero_point.reshape(-1, *[1] * (weights.ndim - 1))
    return np.asarray(weights.astype(np.int16) - aligned.astype(np.int16))


def linear_operands(
    node: Node,
    weights: Array,
    tiling: Tiling,
    lo: float,
    hi: float,
    groups: int = 1,
    *,
    fold: bool = True,
) -> Operands:
    """Bias and scales of [oc, k] weights, each group filled up to whole vectors; the clamp.

    `fold`: the bias holds the part of the input's zero point.
    """
    oc = weights.shape[0]
    if node.input(0).dtype is DType.F32:
        bias = fill_lanes(bias_values(node, oc).reshape(groups, -1)).reshape(-1)
        floats = {"x_float": True, "y_float": True, "y_type": "float", "scaled": False}
        clamp, sizes = clamp_floats(lo, hi, tiling)
        return Operands(floats | clamp | {"fill": "0.0f"}, {"b": bias}, sizes)
    if node.input(0).dtype is DType.S16:
        linear = linear_s16(node, weights, lo, hi, fold=fold, uniform_scale=False)
    else:
        linear = linear_s8(node, weights, lo, hi, fold=fold)
    bias, scale = linear.constants["b"], linear.constants["scale"]
    centred = centred_weights(node, weights).astype(np.int64)
    reach = -node.input(0).dtype.minimum
    largest = np.abs(bias.astype(np.int64)) + reach * np.abs(centred).sum(1)
    constants = {
        "b": fill_lanes(bias.reshape(groups, -1)).reshape(-1),
        "scale": fill_lanes(scale.reshape(groups, -1)).reshape(-1),
    }
    if tiling.form.biases > 1:
        unsigned = (bias.astype(np.int64) - 128 * centred.sum(1)).astype(np.int32)
        both = [constants["b"], fill_lanes(unsigned.reshape(groups, -1)).reshape(-1)]
        constants["b"] = np.concatenate(both)
    context: dict[str, Any] = {
        "x_float": False,
        "scaled": True,
        "y_float": linear.context["y_float"],
        "y_short": node.output.dtype is DType.S16,
    }
    context |= {"y_type": linear.context["y_type"], "fill": "x_zero_point"}
    sizes = {"x_zero_point": linear.context["x_zero_point"]}
    if context["y_float"]:
        clamp, bounds = clamp_floats(lo, hi, tiling)
        return Operands(context | clamp, constants, sizes | bounds)
    quant = node.output.quant
    assert quant is not None
    safe = bool(np.all(largest * scale.astype(np.float64) < ROUNDED_BY_SUM))
    dtype = node.output.dtype
    low, high = integer_bounds(lo, hi, quant, dtype)
    context["requantize"] = (
        "nn_requantize4" if safe and not tiling.uniform else "nn_requantize4_any"
    )
    clamped = (low, high) != (dtype.minimum, dtype.maximum) or tiling.uniform
    clamp_function = "nn_clamp_shorts(" if context["y_short"] else "nn_clamp_bytes("
    context["clamp_open"] = clamp_function if clamped else ""
    context["clamp_close"] = ", y_lo, y_hi)" if clamped else ""
    sizes |= {"y_zero_point": int(quant.zero_point), "y_lo": low, "y_hi": high}
    return Operands(context, constants, sizes)


def clamp_floats(lo: float, hi: float, tiling: Tiling) -> tuple[dict[str, Any], dict[str, int]]:
    """The clamp of a vector of floats, and the sizes that it names: bits of the bounds where a
    function is for several layers.
    """
    if not tiling.uniform:
        return clamp_vectors(lo, hi), {}
    bits = np.asarray([lo, hi], np.float32).view(np.int32)
    context = _clamp(lo, hi, "wasm_i32x4_splat(lo_bits)", "wasm_i32x4_splat(hi_bits)")
    return context, {"lo_bits": int(bits[0]), "hi_bits": int(bits[1])}


def clamp_vectors(lo: float, hi: float) -> dict[str, Any]:
    """The clamp of a vector of floats, as what stands before and after it; as nn_clamp and its kin
    do, to the bit.
    """
    low, high = (f"wasm_f32x4_splat({float_literal(bound)})" for bound in (lo, hi))
    return _clamp(lo, hi, low, high)


def _clamp(lo: float, hi: float, low: str, high: str) -> dict[str, Any]:
    wrapped = ("", "")
    if lo > -math.inf and hi < math.inf:
        wrapped = ("wasm_f32x4_pmin(wasm_f32x4_pmax(", f", {low}), {high})")
    elif lo > -math.inf:
        wrapped = (f"wasm_f32x4_pmax({low}, ", ")")
    elif hi < math.inf:
        wrapped = (f"wasm_f32x4_pmin({high}, ", ")")
    return {"clamp_open": wrapped[0], "clamp_close": wrapped[1]}


def tiled_product(node: Node, kernel: Kernel, weights: Array, lo: float, hi: float) -> Lowering:
    """A product with [n][k] weights, some rows of the input at a time."""
    x, y, tiling = node.input(0), node.output, kernel.tiling
    assert tiling is not None
    n, k = weights.shape
    total, depth = x.element_count // k, tiling.form.depth
    pixel = tiling.steps(k) * depth
    pixel_bytes = k * x.dtype.bytes + n * y.dtype.bytes
    if x.dtype is not DType.F32:
        pixel_bytes += pixel * tiling.form.item_bytes
    m = pixel_chunk(total, pixel_bytes, tiling.height)
    tiling = tiling.for_pixels(m)
    operands = tiled_operands(node, weights[:, None], tiling, m, lo, hi)
    uneven = pixel != k or tiling.uniform
    staged = uneven if x.dtype is DType.S16 else x.dtype is not DType.F32
    operands.context |= NAMES | {
        "staged_parameter": f"{tiling.form.item} *restrict staged, " if staged else "",
        "pad": "  ",
        "tile_in": "staged" if staged else "x",
        "tile_out": "y",
        "rowed": False,
        "uneven": uneven,
        "segmented": False,
        "segment": "",
    }
    operands.sizes |= {"inputs": k, "pixel": pixel, "stride": n, "wide_at": m * pixel}
    rows = Rows(count=total // m, in_row_elements=m * k, out_row_elements=m * n)
    lowering = operands.lowering(rows)
    if staged:
        items = m * pixel + widened_items(operands, tiling)
        lowering.scratch_bytes = items * tiling.form.item_bytes
        lowering.scratch_type = tiling.form.item
    return rows_overlap(rows, x.dtype.bytes, y.dtype.bytes).on(lowering, 0)


def widened_items(operands: Operands, tiling: Tiling) -> int:
    """Items of a panel's weights where tiles read them widened."""
    widened = operands.context["widened"]
    return tiling.vectors * LANES * operands.sizes["products"] if widened else 0


def pixel_chunk(pixels: int, pixel_bytes: int, height: int) -> int:
    """Pixels that a matrix product takes at a time: a divisor of all that wastes no tiles.

    All that they touch should stay in the nearest cache while panels of weights pass by; and there
    should be enough of them for what is done once a panel.

    Args:
        pixels: in all.
        pixel_bytes: of a pixel's inputs, as they are and staged, and its outputs.
        height: pixels of a tile.
    """

    def cost(chunk: int) -> float:
        waste = -(-chunk // height) * height / chunk
        too_large = max(0.0, math.log2(chunk * pixel_bytes / CHUNK_BYTES))
        too_few = max(0.0, math.log2(LEAST_PIXELS / chunk))
        return waste * (1 + 0.05 * too_large + 0.05 * too_few)

    small = [d for d in range(1, math.isqrt(pixels) + 1) if pixels % d == 0]
    return min({*small, *(pixels // d for d in small)}, key=lambda d: (cost(d), -d))
