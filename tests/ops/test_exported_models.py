"""Nodes as exporters and onnxruntime's quantizer write them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from bench import Bench, Quant
from cases import MICROSOFT, Case, compare
from tolerance import CLOSE, EXACT

rng = np.random.default_rng(5)
GRID = np.linspace(-9, 9, 241).astype(np.float32)
IMAGE = rng.normal(size=(1, 2, 6, 7)).astype(np.float32)
POOL = {"kernel_shape": [3, 3], "strides": [2, 2], "count_include_pad": 1, "ceil_mode": 1}
CASES = [
    Case("gelu", "Gelu", {}, [GRID], opset=20, tolerance=CLOSE),
    Case("gelu_tanh", "Gelu", {"approximate": "tanh"}, [GRID], opset=20, tolerance=CLOSE),
    Case("gelu_microsoft", "Gelu", {}, [GRID], opset=20, domain=MICROSOFT, tolerance=CLOSE),
    Case("celu", "Celu", {}, [GRID], opset=20, tolerance=CLOSE),
    Case("celu_alpha", "Celu", {"alpha": 0.7}, [GRID], opset=20, tolerance=CLOSE),
    Case("average_ceil", "AveragePool", POOL, [IMAGE], opset=20, tolerance=CLOSE),
    Case(
        "average_ceil_counted",
        "AveragePool",
        POOL | {"pads": [1, 1, 1, 1]},
        [IMAGE],
        opset=20,
        tolerance=CLOSE,
    ),
    Case(
        "average_ceil_exact_fit",
        "AveragePool",
        POOL | {"pads": [1, 1, 0, 1]},
        [IMAGE],
        opset=20,
        tolerance=CLOSE,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_like_onnxruntime(case: Case) -> None:
    compare(case, CASES)


def bench_of_poolings() -> Bench:
    bench = Bench()
    for dtype, pads, counted in itertools.product(
        (np.int8, np.uint8), ((0, 0, 0, 0), (1, 0, 0, 1)), (0, 1)
    ):
        stem = f"pool_{np.dtype(dtype).name}_{sum(pads)}_{counted}"
        x_quant, y_quant = Quant(dtype, np.float32(0.02), 33), Quant(dtype, np.float32(0.017), 41)
        operands = [
            bench.input(f"{stem}_x", x_quant.integers(1, 2, 6, 6)),
            *bench.pair(f"{stem}_x", x_quant),
            *bench.pair(f"{stem}_y", y_quant),
        ]
        attributes = POOL | {"pads": pads, "count_include_pad": counted}
        bench.done(stem, bench.node("QLinearAveragePool", operands, stem, MICROSOFT, **attributes))
    return bench


def bench_of_products() -> Bench:
    """Scales that make ties, zero points that are odd."""
    bench = Bench()
    for dtype, divisor, zero_point in itertools.product((np.int8, np.uint8), (2.0, 3.1), (0, 77)):
        stem = f"product_{np.dtype(dtype).name}_{int(divisor)}_{zero_point}"
        a_quant, b_quant = Quant(dtype, np.float32(0.5), 20), Quant(dtype, np.float32(0.25), 5)
        y_quant = Quant(dtype, np.float32(divisor), zero_point)
        operands = [
            bench.input(f"{stem}_a", a_quant.integers(1, 4, 33, 17)),
            *bench.pair(f"{stem}_a", a_quant),
            bench.input(f"{stem}_b", b_quant.integers(1, 4, 33, 17)),
            *bench.pair(f"{stem}_b", b_quant),
            *bench.pair(f"{stem}_y", y_quant),
        ]
        bench.done(stem, bench.node("QLinearMul", operands, stem, MICROSOFT))
    return bench


POOLINGS, PRODUCTS = bench_of_poolings(), bench_of_products()


@pytest.mark.parametrize("name", POOLINGS.names)
def test_quantized_poolings_are_onnxruntimes(name: str) -> None:
    answer = POOLINGS.answers()[name]
    assert not (complaint := EXACT(answer.result, answer.reference)), complaint


@pytest.mark.parametrize("name", PRODUCTS.names)
def test_quantized_products_are_onnxruntimes(name: str) -> None:
    answer = PRODUCTS.answers()[name]
    assert not (complaint := EXACT(answer.result, answer.reference)), complaint
