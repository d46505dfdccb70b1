"""com.microsoft's QLinear* operators against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bench import Bench, Quant, rng
from cases import MICROSOFT
from tolerance import EXACT, ONE_STEP

S8, U8 = np.int8, np.uint8
SHAPES = {
    "same": ((2, 5, 7), (2, 5, 7)),
    "long": ((1, 3, 40, 33), (1, 3, 40, 33)),
    "channels": ((2, 5, 3, 4), (1, 5, 1, 1)),
    "scalar": ((2, 5, 7), ()),
    "both": ((4, 1), (1, 6)),
}


def quant(dtype: Any) -> Quant:
    return Quant(
        dtype,
        np.float32(rng.uniform(0.01, 0.1)),
        (128 if dtype is U8 else 0) + int(rng.integers(-60, 60)),
    )


def bench_of_sums() -> Bench:
    bench = Bench()
    for op in ("QLinearAdd", "QLinearMul"):
        for dtype in (S8, U8):
            for name, (a_shape, b_shape) in SHAPES.items():
                for constant in (False, True):
                    stem = f"{op.lower()}_{np.dtype(dtype).name}_{name}{'_constant' * constant}"
                    a_quant, b_quant, y_quant = quant(dtype), quant(dtype), quant(dtype)
                    a = np.asarray(a_quant.integers(*a_shape), dtype)
                    b = np.asarray(b_quant.integers(*b_shape), dtype)
                    second = (bench.constant if constant else bench.input)(f"{stem}_b", b)
                    operands = [bench.input(f"{stem}_a", a), *bench.pair(f"{stem}_a", a_quant)]
                    operands += [
                        second,
                        *bench.pair(f"{stem}_b", b_quant),
                        *bench.pair(f"{stem}_y", y_quant),
                    ]
                    bench.done(stem, bench.node(op, operands, stem, MICROSOFT))
    return bench


SUMS = bench_of_sums()


@pytest.mark.parametrize("name", SUMS.names)
def test_sums_and_products(name: str, target: str) -> None:
    """Sums are onnxruntime's to the byte; its product rounds once more or less than ours."""
    answer = SUMS.answers(target)[name]
    near = EXACT if "add" in name else ONE_STEP
    assert not (complaint := near(answer.result, answer.reference)), complaint


def bench_of_others() -> Bench:
    bench = Bench()
    for dtype in (S8, U8):
        label = np.dtype(dtype).name
        for axis in (1, 2):
            stem = f"concat_{label}_{axis}"
            y_quant, operands = quant(dtype), []
            for index, size in enumerate((2, 3, 2)):
                shape = [2, 4, 5]
                shape[axis] = size
                one = quant(dtype) if index < 2 else y_quant
                operands += [
                    bench.input(f"{stem}_{index}", one.integers(*shape)),
                    *bench.pair(f"{stem}_{index}", one),
                ]
            operands = [*bench.pair(f"{stem}_y", y_quant), *operands]
            bench.done(stem, bench.node("QLinearConcat", operands, stem, MICROSOFT, axis=axis))
        for op, attributes in (("QLinearSigmoid", {}), ("QLinearLeakyRelu", {"alpha": 0.1})):
            stem = f"{op.lower()}_{label}"
            x_quant, y_quant = quant(dtype), quant(dtype)
            x = np.arange(x_quant.limits[0], x_quant.limits[1] + 1).astype(dtype)
            operands = [
                bench.input(f"{stem}_x", x),
                *bench.pair(f"{stem}_x", x_quant),
                *bench.pair(f"{stem}_y", y_quant),
            ]
            bench.done(stem, bench.node(op, operands, stem, MICROSOFT, **attributes))
    return bench


OTHERS = bench_of_others()


@pytest.mark.parametrize("name", OTHERS.names)
def test_tables_and_concatenation(name: str, target: str) -> None:
    answer = OTHERS.answers(target)[name]
    assert not (complaint := ONE_STEP(answer.result, answer.reference)), complaint
    assert np.mean(answer.result != answer.reference) < 0.02
