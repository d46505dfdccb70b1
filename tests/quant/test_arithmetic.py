"""quant/arithmetic.py against Python's integers and fractions."""

from __future__ import annotations

import math

import exact
import numpy as np
import pytest

from nn2wasm.ir import DType, QuantParams
from nn2wasm.quant.arithmetic import (
    dequantize,
    integer_bounds,
    quantize,
    ratio,
    requantize,
    round_clamped,
)

rng = np.random.default_rng(7)
SCALES = [2.0**-126, 1e-30, 1e-7, 0.00390625, 0.1, 1 / 3, 1.0, 255.0, 1e20, 3e38]
DTYPES = [DType.S8, DType.U8, DType.S16, DType.U16]


def bounds(dtype: DType) -> tuple[int, int]:
    return dtype.minimum, dtype.maximum


def test_the_judge_rounds_as_hardware_does() -> None:
    values = rng.integers(0, 2**32, 4000).astype(np.uint32).view(np.float32)
    values = values[np.isfinite(values)]
    for a, b in zip(values[1::2], values[:-1:2], strict=True):
        with np.errstate(all="ignore"):
            product = a * b
        assert float(product) == float(exact.to_float(exact.exact(a) * exact.exact(b)))


@pytest.mark.parametrize("zero_point", [-128, -3, 0, 77, 127])
def test_ties_go_to_even(zero_point: int) -> None:
    halves = np.arange(-300, 300, dtype=np.float32) / 2
    result = round_clamped(halves, zero_point, -128, 127)
    expected = [
        exact.half_even(exact.clamp(exact.exact(v), -128 - zero_point, 127 - zero_point))
        + zero_point
        for v in halves
    ]
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("multiplier", [2.0**-40, 1e-6, 0.0007, 0.5, 1 / 3, 1.0, 3.7, 1e10, 3e38])
@pytest.mark.parametrize("zero_point", [-128, 0, 19, 127])
def test_requantize(multiplier: float, zero_point: int) -> None:
    m = np.float32(multiplier)
    near = rng.integers(-300, 300, 200) / float(m)
    edges = [0, 1, -1, 2**24 + 1, -(2**24) - 1, 2**31 - 1, -(2**31), 2**30 + 65]
    edges += [2**31, 2**40 + 2**16 + 1, -(2**40) - 3 * 2**16, 2**55 - 1, 2**62 + 2**38]
    near = np.clip(near, -(2.0**31), 2.0**31 - 1).astype(np.int64)
    wide = rng.integers(-(2**62), 2**62, 100)
    sums = np.concatenate([edges, near, rng.integers(-(2**31), 2**31, 200), wide])
    with np.errstate(over="ignore"):
        result = requantize(sums, np.asarray(m), zero_point, -128, 127)
    expected = [exact.requantize(int(acc), float(m), zero_point, -128, 127) for acc in sums]
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.value)
@pytest.mark.parametrize("scale", SCALES)
def test_quantize(dtype: DType, scale: float) -> None:
    low, high = bounds(dtype)
    s = np.float32(scale)
    for zero_point in (low, (low + high) // 2, high):
        with np.errstate(over="ignore"):
            steps = rng.uniform(low - zero_point - 5, high - zero_point + 5, 60)
            real = np.concatenate([(steps * float(s)), (np.rint(steps) + 0.5) * float(s)]).astype(
                np.float32
            )
        real = np.concatenate(
            [
                real[np.isfinite(real)],
                np.float32([0, -0.0, 1e-45, 3.4e38, -3.4e38, np.inf, -np.inf]),
            ]
        )
        quant = QuantParams.per_tensor(scale, zero_point)
        expected = [exact.quantize(float(v), float(s), zero_point, low, high) for v in real]
        np.testing.assert_array_equal(quantize(real, quant, dtype), expected)


@pytest.mark.parametrize("scale", SCALES)
def test_dequantize(scale: float) -> None:
    integers = np.arange(-128, 128)
    quant = QuantParams.per_tensor(scale, -7)
    with np.errstate(over="ignore"):
        result = dequantize(integers, quant)
    expected = [float(exact.dequantize(int(q), float(np.float32(scale)), -7)) for q in integers]
    np.testing.assert_array_equal(result.astype(np.float64), expected)


def test_quantize_undoes_dequantize() -> None:
    for dtype in DTYPES:
        integers = np.arange(dtype.minimum, dtype.maximum + 1).astype(dtype.numpy)
        for scale in (1e-30, 0.0123, 1 / 3, 1e20):
            quant = QuantParams.per_tensor(scale, 100)
            np.testing.assert_array_equal(
                quantize(dequantize(integers, quant), quant, dtype), integers
            )


def test_an_axis_has_a_scale_for_each_index() -> None:
    real = rng.normal(size=(2, 3, 4)).astype(np.float32)
    quant = QuantParams(np.float32([0.1, 0.2, 0.003]), np.int32([0, 5, -9]), axis=1)
    result = quantize(real, quant, DType.S8)
    for index in range(3):
        one = QuantParams.per_tensor(float(quant.scale[index]), int(quant.zero_point[index]))
        np.testing.assert_array_equal(result[:, index], quantize(real[:, index], one, DType.S8))
        np.testing.assert_array_equal(
            dequantize(result, quant)[:, index], dequantize(result[:, index], one)
        )


def test_ratio_rounds_after_each_step() -> None:
    scales = np.exp(rng.uniform(-12, 3, (500, 3))).astype(np.float32)
    for x, w, y in scales:
        assert float(ratio(x, w, y)) == float(exact.ratio(float(x), float(w), float(y)))
    assert ratio(np.float32(0.5), np.float32([1, 2]), np.float32(0.25)).tolist() == [2, 4]


def test_not_a_number_is_the_lowest_integer() -> None:
    """As in runtime_c, whose comparison with NaN is false, and in onnxruntime on x86."""
    quant = QuantParams.per_tensor(0.1, 3)
    assert quantize(np.float32([np.nan, 0.1]), quant, DType.S8).tolist() == [-128, 4]
    assert round_clamped(np.float32([np.nan, 0.1]), 3, -100, 127).tolist() == [-100, 3]


@pytest.mark.parametrize(("lo", "hi"), [(0.0, math.inf), (0.0, 6.0), (-1.0, 1.0), (-math.inf, 0.0)])
def test_integer_bounds_are_the_quantized_clamp(lo: float, hi: float) -> None:
    real = np.linspace(-20, 20, 4001).astype(np.float32)
    for scale, zero_point in ((0.1, 0), (0.0235, -128), (1 / 3, 5), (7.5, 127)):
        quant = QuantParams.per_tensor(scale, zero_point)
        low, high = integer_bounds(lo, hi, quant, DType.S8)
        clamped = np.minimum(np.maximum(real, np.float32(lo)), np.float32(hi))
        expected = quantize(clamped, quant, DType.S8)
        result = np.minimum(np.maximum(quantize(real, quant, DType.S8).astype(int), low), high)
        np.testing.assert_array_equal(result, expected)
