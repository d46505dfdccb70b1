"""From sums of dual products to bytes or integers of 16 bits: the shortest way for each layer.

A sum times its scale, both floats, is rounded to an integer by adding 1.5 · 2^23, which leaves it
in the low bits. That holds below 2^22, and for a byte in the low half below 2^15: where all sums
that the weights allow are small enough.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nn2wasm.ir import Array, DType, Node, QuantParams
from nn2wasm.ops.linear import Operands, linear_s8
from nn2wasm.ops.linear_s16 import exact_sums, linear_s16
from nn2wasm.quant.arithmetic import S8_MAX, S8_MIN, integer_bounds

ROUNDS = 12582912
"""1.5 · 2^23: added to a float, it leaves an integer in the low bits."""
ROUNDS_BITS = 0x4B400000
"""That float's bits."""
LARGEST_SHORT = 2**15
"""Results below this are whole in 16 bits."""
LARGEST_ROUNDED = 2**22
"""Results below this are whole in the bits of a float."""


def dual_operands(node: Node, weights: Array, lo: float, hi: float) -> Operands:
    """Bias, scale and bounds of [n][k] weights; how a sum becomes a result, as what stands before
    the sum, between it and its scale, and behind that.
    """
    quant = node.output.quant
    assert quant is not None
    if node.input(0).dtype is DType.S16:
        operands = linear_s16(node, weights, lo, hi, fold=True, uniform_scale=False)
        del operands.constants["w"]
        _short_store(operands, _largest_short(node, weights, operands), node, lo, hi)
    else:
        operands = linear_s8(node, weights, lo, hi, fold=True)
        _byte_store(operands, _largest_byte(weights, operands), lo, hi, quant)
    scale = operands.constants["scale"]
    one_scale = bool(np.all(scale == scale[0]))
    operands.context["one_scale"] = one_scale
    if one_scale:  # a number for all: no constants, and layers share functions all the same
        del operands.constants["scale"]
        operands.context["scale_parameter"] = ""
        operands.sizes["scale_bits"] = int(scale[:1].view(np.int32)[0])
    return operands


def _largest_byte(weights: Array, operands: Operands) -> float:
    """The largest size of a sum times its scale."""
    reach = 128 * np.abs(weights.astype(np.int64)).sum(1)
    largest = np.abs(operands.constants["b"].astype(np.int64)) + reach
    return float(np.max(largest * operands.constants["scale"].astype(np.float64), initial=0))


def _largest_short(node: Node, weights: Array, operands: Operands) -> float:
    largest = exact_sums(node, weights, fold=True).largest
    return float(np.max(largest * operands.constants["scale"].astype(np.float64), initial=0))


def _byte_store(
    operands: Operands, largest: float, lo: float, hi: float, quant: QuantParams
) -> None:
    zero_point = int(quant.zero_point)
    low, high = integer_bounds(lo, hi, quant, DType.S8)
    if largest + abs(zero_point) + 1 >= LARGEST_SHORT:
        _store(operands, "nn_requantize(", ", (float)least, (float)largest, y_zero_point)")
        operands.sizes |= _bounds_less_zero_point(low, high, zero_point)
        return
    odd = zero_point % 2
    saturate, bounds = {
        (S8_MIN, S8_MAX): ("nn_saturate", ""),
        (0, S8_MAX): ("nn_saturate_positive", ""),
    }.get((low, high), ("nn_bounded", ", y_lo, y_hi"))
    rest = " + 1" if odd else ""
    _store(operands, f"{saturate}(nn_scaled(", f", (float)shifter){rest}{bounds})")
    operands.sizes |= {"shifter": ROUNDS + zero_point - odd, "y_lo": low, "y_hi": high}


def _short_store(operands: Operands, largest: float, node: Node, lo: float, hi: float) -> None:
    """The same for inputs of 16 bits, and results of 16 or 8."""
    y = node.output
    assert y.quant is not None
    zero_point = int(y.quant.zero_point)
    low, high = integer_bounds(lo, hi, y.quant, y.dtype)
    cast = f"({y.dtype.c_name})"
    if largest + abs(zero_point) + 2 >= LARGEST_ROUNDED:
        tail = ", (float)least, (float)largest, y_zero_point)"
        _store(operands, f"{cast}nn_quantize((float)", tail, between=" * ")
        operands.sizes |= _bounds_less_zero_point(low, high, zero_point)
        return
    odd = zero_point % 2
    whole = (low, high) == (DType.S16.minimum, DType.S16.maximum)
    bounds = "" if whole else ", y_lo, y_hi"
    name = "nn_saturate_short" if whole else f"{cast}nn_clamped"
    _store(operands, f"{name}(nn_scaled(", f", (float)shifter) - rounded{bounds})")
    operands.sizes |= {
        "shifter": ROUNDS + zero_point - odd,
        "rounded": ROUNDS_BITS - odd,
        "y_lo": low,
        "y_hi": high,
    }


def _store(operands: Operands, before: str, behind: str, between: str = ", ") -> None:
    operands.context |= {"store_open": before, "store_middle": between, "store_close": behind}


def _bounds_less_zero_point(low: int, high: int, zero_point: int) -> dict[str, Any]:
    return {
        "y_zero_point": zero_point,
        "least": low - zero_point,
        "largest": high - zero_point,
    }
