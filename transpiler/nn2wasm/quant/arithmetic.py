"""Exact integer arithmetic in numpy; the judge of every kernel.

    q = clamp(round_half_even(float32(acc) · M) + zero_point)

`acc` is an exact integer sum, `M` the float32 ratio (x_scale · w_scale) / y_scale with a rounding
to float32 after each operation, and the product is rounded to float32 before it is rounded to an
integer: two roundings, in this order, on every target. This is onnxruntime's QLinearConv.

With 16-bit activations a sum may have up to 64 bits. float32(acc) is then still one rounding of the
whole integer, half to even: the same number whether the sum is held in 32 bits or 64.
"""

from __future__ import annotations

import math

import numpy as np

from nn2wasm.ir.dtype import DType
from nn2wasm.ir.tensor import Array, QuantParams

S8_MIN, S8_MAX = -128, 127


def ratio(x_scale: Array, w_scale: Array, y_scale: Array) -> Array:
    """(x_scale · w_scale) / y_scale, rounded to float32 after each step; the shape of w_scale."""
    product = np.asarray(x_scale, np.float32) * np.asarray(w_scale, np.float32)
    return np.asarray(product / np.asarray(y_scale, np.float32), np.float32)


def round_clamped(real: Array, zero_point: int, lo: int, hi: int) -> Array:
    """clamp(round_half_even(real) + zero_point, lo, hi) for float32 numbers; int32."""
    low, high = np.float32(lo - zero_point), np.float32(hi - zero_point)
    clipped = np.minimum(np.fmax(np.asarray(real, np.float32), low), high)  # NaN becomes lo
    return np.asarray(np.rint(clipped).astype(np.int32) + zero_point, np.int32)


def requantize(acc: Array, multiplier: Array, zero_point: int, lo: int, hi: int) -> Array:
    """Integers of the output from exact sums; `multiplier` broadcasts against `acc`."""
    return round_clamped(acc.astype(np.float32) * multiplier, zero_point, lo, hi)


def quantize(real: Array, quant: QuantParams, dtype: DType) -> Array:
    """ONNX QuantizeLinear: divide, round half to even, add the zero point, saturate."""
    scale, zero_point = _aligned(quant, real.ndim)
    with np.errstate(over="ignore"):
        scaled = np.rint(np.asarray(real, np.float32) / scale)
    low = (dtype.minimum - zero_point).astype(np.float32)
    high = (dtype.maximum - zero_point).astype(np.float32)
    clipped = np.minimum(np.fmax(scaled, low), high)  # NaN becomes the lowest
    return (clipped.astype(np.int64) + zero_point).astype(dtype.numpy)


def dequantize(integers: Array, quant: QuantParams) -> Array:
    """ONNX DequantizeLinear: (q − zero_point) · scale in float32."""
    scale, zero_point = _aligned(quant, integers.ndim)
    centred = (integers.astype(np.int64) - zero_point).astype(np.float32)
    return np.asarray(centred * scale, np.float32)


def integer_bounds(lo: float, hi: float, quant: QuantParams, dtype: DType) -> tuple[int, int]:
    """The integers that a clamp to the real interval [lo, hi] leaves; quantization is monotonic."""
    low, high = dtype.minimum, dtype.maximum
    scale, zero_point = float(quant.scale), int(quant.zero_point)
    if lo > -math.inf:
        low = int(np.clip(np.rint(np.float32(lo) / np.float32(scale)) + zero_point, low, high))
    if hi < math.inf:
        high = int(np.clip(np.rint(np.float32(hi) / np.float32(scale)) + zero_point, low, high))
    return low, high


def _aligned(quant: QuantParams, rank: int) -> tuple[Array, Array]:
    """Scale and zero point in a shape that broadcasts against a tensor of that rank."""
    if quant.axis is None or quant.scale.ndim == 0:
        return quant.scale, quant.zero_point.astype(np.int64)
    shape = [1] * rank
    shape[quant.axis] = -1
    return quant.scale.reshape(shape), quant.zero_point.astype(np.int64).reshape(shape)
