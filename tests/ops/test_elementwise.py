from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bench import Bench, Quant, rng
from cases import Case, compare, refuse
from tolerance import CLOSE, EXACT, ONE_STEP

from nn2wasm.errors import InvalidModel
from nn2wasm.ir import DType, QuantParams
from nn2wasm.quant.arithmetic import dequantize, quantize

SHAPES = {
    "same": ((2, 3, 4), (2, 3, 4)),
    "scalar": ((2, 3, 4), ()),
    "first_scalar": ((), (2, 3, 4)),
    "one": ((2, 3, 4), (1,)),
    "last": ((2, 3, 4), (4,)),
    "middle": ((2, 3, 4), (3, 1)),
    "channels": ((2, 5, 3, 4), (1, 5, 1, 1)),
    "spatial": ((2, 5, 3, 4), (3, 4)),
    "both": ((2, 1, 4), (1, 3, 1)),
    "longer_second": ((4,), (2, 3, 4)),
    "rank_5": ((2, 1, 3, 1, 4), (1, 5, 1, 2, 1)),
    "scalars": ((), ()),
}


def floats(*shape: int) -> np.ndarray:
    return np.asarray(rng.normal(size=shape), np.float32)


def whole(dtype: Any, *shape: int) -> np.ndarray:
    return np.asarray(rng.integers(-5 if np.dtype(dtype).kind == "i" else 0, 6, shape), dtype)


def truths(*shape: int) -> np.ndarray:
    return np.asarray(rng.integers(0, 2, shape), np.bool_)


ARITHMETIC = [
    Case(f"{op.lower()}_{name}", op, {}, [floats(*a), floats(*b)], tolerance=EXACT)
    for op in ("Add", "Sub", "Mul", "Div")
    for name, (a, b) in SHAPES.items()
]
CHOICE = [
    Case(
        f"{op.lower()}_{name}",
        op,
        {},
        [floats(*SHAPES[name][0]), floats(*SHAPES[name][1])],
        tolerance=EXACT,
    )
    for op in ("Min", "Max")
    for name in ("same", "channels", "both")
]
COMPARISONS = [
    Case(f"{op.lower()}_{label}", op, {}, [make(3, 4), make(4)], tolerance=EXACT)
    for op in ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual")
    for label, make in (
        ("f32", floats),
        ("s32", lambda *s: whole(np.int32, *s)),
        ("s64", lambda *s: whole(np.int64, *s)),
    )
]
LOGIC = [
    *(
        Case(op.lower(), op, {}, [truths(3, 4), truths(4)], tolerance=EXACT)
        for op in ("And", "Or", "Xor")
    ),
    Case("not", "Not", {}, [truths(3, 4)], tolerance=EXACT),
    Case("where", "Where", {}, [truths(3, 4), floats(3, 4), floats(3, 4)], tolerance=EXACT),
    Case(
        "where_broadcast", "Where", {}, [truths(3, 1), floats(2, 1, 4), floats(1)], tolerance=EXACT
    ),
    Case(
        "where_s64",
        "Where",
        {},
        [truths(4), whole(np.int64, 4), whole(np.int64, 4)],
        tolerance=EXACT,
    ),
]
VARIADIC = [
    Case("sum_1", "Sum", {}, [floats(2, 3)], tolerance=EXACT),
    Case("sum_3", "Sum", {}, [floats(2, 3), floats(3), floats(2, 1)]),
    Case("mean_2", "Mean", {}, [floats(2, 3), floats(2, 3)]),
    Case("mean_3", "Mean", {}, [floats(2, 3), floats(3), floats(2, 1)]),
    Case("min_3", "Min", {}, [floats(2, 3), floats(3), floats(2, 1)], tolerance=EXACT),
    Case("max_1", "Max", {}, [floats(2, 3)], tolerance=EXACT),
]
OTHER = [
    Case("pow", "Pow", {}, [np.abs(floats(4, 5)) + np.float32(0.1), floats(5)]),
    Case("pow_square", "Pow", {}, [floats(4, 5), np.float32(2)], constants=(1,)),
    Case("pow_int_exponent", "Pow", {}, [floats(4, 5), np.int64(3)], constants=(1,)),
    Case("prelu", "PRelu", {}, [floats(2, 3, 4), floats(3, 1)], constants=(1,), tolerance=EXACT),
    Case("add_s32", "Add", {}, [whole(np.int32, 3, 4), whole(np.int32, 4)], tolerance=EXACT),
    Case("mul_s64", "Mul", {}, [whole(np.int64, 3, 4), whole(np.int64, 4)], tolerance=EXACT),
    Case("sub_s32", "Sub", {}, [whole(np.int32, 3, 4), whole(np.int32, 3, 1)], tolerance=EXACT),
    Case("max_s32", "Max", {}, [whole(np.int32, 3, 4), whole(np.int32, 4)], tolerance=EXACT),
    Case("twice", "Add", {}, [floats(3, 4)] * 2, tolerance=EXACT),
    Case(
        "div_by_zero", "Div", {}, [np.float32([1, -1, 0]), np.float32([0, 0, 0])], tolerance=EXACT
    ),
]
VERSIONS = [
    Case(f"{op.lower()}_{opset}", op, {}, [floats(2, 3), floats(3)], opset=opset, tolerance=EXACT)
    for op in ("Add", "Mul")
    for opset in (7, 13, 14)
]
CASES = ARITHMETIC + CHOICE + COMPARISONS + LOGIC + VARIADIC + OTHER + VERSIONS


@pytest.mark.parametrize("case", CASES, ids=str)
def test_float(case: Case, target: str) -> None:
    compare(case, CASES, target)


S8, U8 = np.int8, np.uint8
REAL = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Min": np.minimum,
    "Max": np.maximum,
}


def quant(dtype: Any) -> Quant:
    return Quant(
        dtype,
        np.float32(rng.uniform(0.01, 0.1)),
        (128 if dtype is U8 else 0) + int(rng.integers(-60, 60)),
    )


def real_of(q: np.ndarray, quant: Quant) -> np.ndarray:
    return dequantize(q, QuantParams.per_tensor(quant.scale, quant.zero_point))


def bench_between_quantizers() -> Bench:
    bench = Bench()
    for op, function in REAL.items():
        for dtype in (S8, U8):
            for name in ("same", "last", "channels", "both", "scalar"):
                stem = f"{op.lower()}_{np.dtype(dtype).name}_{name}"
                a_quant, b_quant, y_quant = quant(dtype), quant(dtype), quant(dtype)
                shapes = SHAPES[name]
                a, b = a_quant.integers(*shapes[0]), b_quant.integers(*shapes[1])
                a, b = np.asarray(a, dtype), np.asarray(b, dtype)
                with np.errstate(all="ignore"):
                    real = function(real_of(a, a_quant), real_of(b, b_quant))
                expected = quantize(
                    real,
                    QuantParams.per_tensor(y_quant.scale, y_quant.zero_point),
                    DType.U8 if dtype is U8 else DType.S8,
                )
                constant = name in ("last", "scalar")
                operands = [
                    bench.dequantized(f"{stem}_a", a, a_quant),
                    bench.dequantized(f"{stem}_b", b, b_quant, constant=constant),
                ]
                result = bench.node(op, operands, f"{stem}_real")
                relu = op == "Add" and name == "same"
                if relu:
                    result = bench.node("Relu", [result], f"{stem}_relu")
                    expected = np.maximum(
                        expected, dtype(np.clip(y_quant.zero_point, *y_quant.limits))
                    )
                bench.finish(stem, result, y_quant, expected)
    return bench


BENCH = bench_between_quantizers()


@pytest.mark.parametrize("name", BENCH.names)
def test_between_quantizers(name: str, target: str) -> None:
    """The definition is exact: dequantize, compute in float32, quantize."""
    answer = BENCH.answers(target)[name]
    assert answer.expected is not None
    assert not (complaint := EXACT(answer.result, answer.expected)), complaint
    assert not (complaint := ONE_STEP(answer.result, answer.reference)), complaint


def test_refused() -> None:
    refuse(
        InvalidModel, Case("bad", "Add", {}, [floats(2, 3), floats(4)]), "broadcast|shape|dimension"
    )
    refuse(InvalidModel, Case("bad", "Add", {}, [floats(2), whole(np.int64, 2)]), "type")
    assert CLOSE(np.float32([1]), np.float32([1.1]))
