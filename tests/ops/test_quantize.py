from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import Case, compare, refuse
from tolerance import EXACT

from nn2wasm.errors import InvalidModel, QuantizationError, UnsupportedFeature

rng = np.random.default_rng(47)
DTYPES = [np.int8, np.uint8, np.int16, np.uint16]


def reals(scale: float, zero_point: int, dtype: Any) -> np.ndarray:
    """Values in the range and beyond, ties among them, and what is not finite."""
    info = np.iinfo(dtype)
    steps = np.concatenate(
        [
            rng.uniform(info.min - zero_point - 10, info.max - zero_point + 10, 200),
            np.arange(-40, 40) / 2,
        ]
    )
    edges = np.float32([0.0, -0.0, np.inf, -np.inf, 1e-30, -1e-30])
    return np.concatenate([(steps * np.float64(scale)).astype(np.float32), edges])


def quantized(scale: float, zero_point: int, dtype: Any, opset: int = 21) -> Case:
    operands = [reals(scale, zero_point, dtype), np.float32(scale), np.asarray(zero_point, dtype)]
    name = f"q_{np.dtype(dtype).name}_{scale}_{zero_point}_{opset}".replace("-", "m").replace(
        ".", "_"
    )
    return Case(name, "QuantizeLinear", {}, operands, (1, 2), opset, tolerance=EXACT)


def dequantized(scale: float, zero_point: int, dtype: Any, opset: int = 21) -> Case:
    info = np.iinfo(dtype)
    q = rng.integers(info.min, info.max + 1, 500).astype(dtype)
    name = f"d_{np.dtype(dtype).name}_{scale}_{zero_point}_{opset}".replace("-", "m").replace(
        ".", "_"
    )
    operands = [q, np.float32(scale), np.asarray(zero_point, dtype)]
    return Case(name, "DequantizeLinear", {}, operands, (1, 2), opset, tolerance=EXACT)


CASES = [
    *(
        quantized(scale, zero, dtype)
        for dtype in DTYPES
        for scale in (0.5, 0.0231, 3.0)
        for zero in (np.iinfo(dtype).min, 77)
    ),
    *(
        dequantized(scale, zero, dtype)
        for dtype in DTYPES
        for scale in (0.5, 0.0231)
        for zero in (np.iinfo(dtype).min, 77)
    ),
    *(quantized(0.1, 3, np.int8, opset) for opset in (10, 13, 19)),
    *(dequantized(0.1, 3, np.uint8, opset) for opset in (10, 13, 19)),
    Case(
        "no_zero_point",
        "QuantizeLinear",
        {},
        [reals(0.1, 0, np.uint8), np.float32(0.1)],
        (1,),
        21,
        tolerance=EXACT,
    ),
    Case(
        "output_dtype",
        "QuantizeLinear",
        {"output_dtype": 3},
        [reals(0.1, 0, np.int8), np.float32(0.1)],
        (1,),
        21,
        tolerance=EXACT,
    ),
    Case(
        "d_no_zero_point",
        "DequantizeLinear",
        {},
        [np.int8([-128, 5, 127]), np.float32(0.1)],
        (1,),
        21,
        tolerance=EXACT,
    ),
    Case(
        "d_s32",
        "DequantizeLinear",
        {},
        [np.int32([-(2**31), 5, 2**24 + 1]), np.float32(0.1)],
        (1,),
        21,
        tolerance=EXACT,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_numbers_and_integers(case: Case, target: str) -> None:
    compare(case, CASES, target)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_means_nothing(scale: float) -> None:
    operands = [np.float32([1]), np.float32(scale), np.int8(0)]
    bad = Case("bad", "QuantizeLinear", {}, operands, (1, 2), 21)
    refuse(QuantizationError, bad, "scale")


def test_refused() -> None:
    def bad(scale: list[int], **attributes: int) -> Case:
        operands = [np.zeros((4, 4), np.int8), np.ones(scale, np.float32), np.zeros(scale, np.int8)]
        return Case("bad", "DequantizeLinear", attributes, operands, (1, 2), 21)

    refuse(InvalidModel, bad([3], axis=1), "3 scales for axis 1")
    refuse(InvalidModel, bad([3, 4], axis=0, block_size=2), "3 blocks of 2 for the 4 of axis 0")
    refuse(InvalidModel, bad([2, 3], axis=0, block_size=2), "blocks of scales")
    refuse(UnsupportedFeature, Case("bad", "QuantizeLinear", {"output_dtype": 6}, [
        np.zeros(3, np.float32), np.float32(1)], (1,), 21), "quantizing to s32")  # fmt: skip
