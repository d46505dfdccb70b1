"""Transposed convolution on SIMD: lanes are output channels, a pixel's sums stay in registers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nn2wasm.ir import Array, DType, Node
from nn2wasm.ops.linear import Operands, bias_values, linear_s8
from nn2wasm.ops.tiled import ROUNDED_BY_SUM, clamp_vectors, weight_zero_point
from nn2wasm.ops.tiles import LANES, offset, vector_stores
from nn2wasm.quant.arithmetic import S8_MAX, S8_MIN, integer_bounds

WIDEST = 8
"""Vectors of sums at a time."""
STEP = 8
"""Inputs that are widened at once."""


def channels_fit(node: Node) -> str:
    """Why channels do not fill vectors."""
    op: Any = node.op
    if op.groups > 1:
        return "it has groups"
    return "" if node.output.shape[-1] % LANES == 0 else "its outputs do not fill vectors of four"


def bytes_fit(node: Node) -> str:
    """The same for 8-bit integers."""
    if node.input(0).shape[-1] % STEP:
        return "its inputs do not fill vectors of eight"
    return weight_zero_point(node) or channels_fit(node)


def vector_operands(node: Node, packed: Array, lo: float, hi: float) -> Operands:
    """Weights [taps][oc][ic] in panels of vectors, and what templates need of them."""
    taps, oc, ic = packed.shape
    vectors = max(v for v in range(1, WIDEST + 1) if oc // LANES % v == 0)
    width = vectors * LANES
    quantized = node.input(0).dtype is DType.S8
    depth = 2 if quantized else 1
    panels = packed.reshape(taps, oc // width, width, ic // depth, depth).transpose(0, 1, 3, 2, 4)
    context: dict[str, Any] = {
        "width": width,
        "x_type": node.input(0).dtype.c_name,
        "step_weights": width * depth,
        "vectors": [
            {"index": i, "at": offset(i * LANES), "w_at": offset(i * LANES * depth)}
            for i in range(vectors)
        ],
        "pairs": [{"index": i, "splat": ", ".join([str(i)] * LANES)} for i in range(STEP // depth)],
        "blocks": [],
    }
    constants = {"w": np.ascontiguousarray(panels)}
    if not quantized:
        return Operands(context | clamp_vectors(lo, hi), constants | {"b": bias_values(node, oc)})
    weights = packed.transpose(1, 0, 2).reshape(oc, -1)
    linear = linear_s8(node, weights, lo, hi, fold=False)
    constants |= {name: linear.constants[name] for name in ("b", "scale")}
    context |= {key: linear.context[key] for key in ("x_zero_point", "y_float", "y_type")}
    if context["y_float"]:
        return Operands(context | clamp_vectors(lo, hi), constants)
    return Operands(context | _bytes(node, linear.constants, weights, lo, hi, vectors), constants)


def _bytes(
    node: Node, constants: dict[str, Array], weights: Array, lo: float, hi: float, vectors: int
) -> dict[str, Any]:
    """How sums become bytes."""
    quant = node.output.quant
    assert quant is not None
    low, high = integer_bounds(lo, hi, quant, DType.S8)
    clamped = (low, high) != (S8_MIN, S8_MAX)
    bias, scale = constants["b"], constants["scale"]
    largest = np.abs(bias.astype(np.int64)) + 255 * np.abs(weights.astype(np.int64)).sum(1)
    safe = bool(np.all(largest * scale.astype(np.float64) < ROUNDED_BY_SUM))
    blocks = []
    for index in range(math.ceil(vectors / 4)):
        count = min(4, vectors - index * 4)
        sums = ", ".join(f"a{index * 4 + i}" for i in range(count))
        stores = vector_stores(count * LANES, index * 16)
        blocks.append({"index": index, "count": count, "sums": sums, "stores": stores})
    return {
        "blocks": blocks,
        "y_zero_point": int(quant.zero_point),
        "requantize": "nn_requantize4" if safe else "nn_requantize4_any",
        "clamp_open": "nn_clamp_bytes(" if clamped else "",
        "clamp_close": f", {low}, {high})" if clamped else "",
    }
