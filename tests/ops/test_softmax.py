from __future__ import annotations

import numpy as np
import pytest
from cases import MICROSOFT, Case, compare, compare_between_quantizers, refuse
from tolerance import CLOSE, EXACT, ONE_STEP, ulp

from nn2wasm.errors import InvalidModel, QuantizationError, UnsupportedFeature

rng = np.random.default_rng(20)


def floats(*shape: int, size: float = 4.0) -> np.ndarray:
    return (rng.normal(size=shape) * size).astype(np.float32)


CASES = [
    Case("last", "Softmax", {}, [floats(3, 7)], tolerance=ulp(16)),
    Case("middle", "Softmax", {"axis": 1}, [floats(2, 5, 4)]),
    Case("negative_axis", "Softmax", {"axis": -3}, [floats(2, 3, 4, 5)]),
    Case("image", "Softmax", {"axis": 1}, [floats(1, 19, 6, 6)]),
    Case("vector", "Softmax", {"axis": 0}, [floats(10)]),
    Case("one_element", "Softmax", {}, [floats(4, 1)], tolerance=EXACT),
    Case("huge", "Softmax", {}, [floats(3, 9, size=1e30)], tolerance=EXACT),
    Case("tiny", "Softmax", {}, [floats(3, 9, size=1e-30)], tolerance=ulp(4)),
    Case(
        "infinite",
        "Softmax",
        {},
        [np.float32([[0, -np.inf, 1], [-np.inf, 5, -np.inf]])],
        tolerance=ulp(4),
    ),
    Case("long", "Softmax", {}, [floats(1, 5000, size=0.1)]),
    Case("flat_default", "Softmax", {}, [floats(2, 3, 4)], opset=11),
    Case("flat_0", "Softmax", {"axis": 0}, [floats(2, 3, 4)], opset=11),
    Case("flat_last", "Softmax", {"axis": 2}, [floats(2, 3, 4)], opset=11),
    Case("flat_classes", "Softmax", {"axis": 1}, [floats(2, 10, 1, 1)], opset=11),
    Case("flat_7", "Softmax", {"axis": 1}, [floats(2, 3, 2)], opset=7),
    Case("log", "LogSoftmax", {}, [floats(3, 7)]),
    Case("log_middle", "LogSoftmax", {"axis": 1}, [floats(2, 5, 4)]),
    Case("log_huge", "LogSoftmax", {}, [floats(3, 9, size=1e30)]),
    Case("log_flat", "LogSoftmax", {"axis": 1}, [floats(2, 3, 4)], opset=11),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_float(case: Case, target: str) -> None:
    compare(case, CASES, target)


def qlinear(dtype: type, length: int, index: int) -> Case:
    """QLinearSoftmax as random as its scales allow, probabilities of one step and of all."""
    low, high = (-128, 127) if dtype is np.int8 else (0, 255)
    spread = int(rng.choice([6, 40, 256]))
    first = int(rng.integers(low, high - spread + 2))
    x = rng.integers(first, first + spread, (20, length)).astype(dtype)
    x_scale = np.float32(np.exp(rng.uniform(-6, 1)))
    y_scale = np.float32(rng.choice([1 / 256, 1 / 255, 1 / 128, 0.0043, 0.0037]))
    y_zero = dtype(rng.choice([low, low, low + 3]))
    operands = [x, x_scale, dtype(rng.integers(low, high)), y_scale, y_zero]
    return Case(
        f"q_{np.dtype(dtype).name}_{length}_{index}",
        "QLinearSoftmax",
        {"axis": -1, "opset": 13},
        [np.asarray(v) for v in operands],
        constants=(1, 2, 3, 4),
        domain=MICROSOFT,
        tolerance=EXACT,
    )


QLINEAR = [
    qlinear(dtype, length, index)
    for dtype in (np.int8, np.uint8)
    for length in (2, 3, 10, 12, 35, 1000)  # with 1 onnxruntime's product overflows
    for index in range(4)
]


@pytest.mark.parametrize("case", QLINEAR, ids=str)
def test_qlinear_is_onnxruntime_byte_for_byte(case: Case, target: str) -> None:
    compare(case, QLINEAR, target)


def quantized(shape: tuple[int, ...], attributes: dict[str, int], opset: int) -> Case:
    operands = [
        rng.integers(0, 256, shape).astype(np.uint8),
        *(np.float32(0.07), np.uint8(100), np.float32(1 / 256), np.uint8(0)),
    ]
    return Case(
        f"axis_{attributes['axis'] % 9}_of_{len(shape)}_opset_{opset}",
        "QLinearSoftmax",
        attributes | {"opset": opset},
        [np.asarray(v) for v in operands],
        constants=(1, 2, 3, 4),
        domain=MICROSOFT,
        tolerance=EXACT,
    )


AXES = [
    quantized((2, 5, 4), {"axis": 1}, 13),
    quantized((3, 4, 5), {"axis": 0}, 13),
    quantized((2, 5, 4), {"axis": 1}, 11),
    quantized((2, 3, 4), {"axis": 2}, 11),
]


@pytest.mark.parametrize("case", AXES, ids=str)
def test_qlinear_along_other_axes(case: Case) -> None:
    compare(case, AXES)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize(
    "result",
    [(1 / 256, 0), (1 / 200, 5), (0.0123, 10), (1e-4, 7), (1e-9, 0)],
)
def test_between_quantizers_is_within_one_step(dtype: type, result: tuple[float, int]) -> None:
    limits = np.iinfo(dtype)
    x = rng.integers(limits.min, limits.max + 1, (16, 2 if result[0] < 1e-3 else 11)).astype(dtype)
    case = Case("between", "Softmax", {"axis": 1}, [x], tolerance=ONE_STEP)
    y = (result[0], int(result[1] + limits.min))
    compare_between_quantizers(case, {0: (0.1, 3)}, y, dtype)


def test_one_class_is_certain() -> None:
    operands = [
        np.zeros((3, 1), np.uint8),
        np.float32(2),
        np.uint8(0),
        np.float32(1 / 256),
        np.uint8(0),
    ]
    case = Case(
        "one",
        "QLinearSoftmax",
        {"axis": -1, "opset": 13},
        [np.asarray(v) for v in operands],
        constants=(1, 2, 3, 4),
        domain=MICROSOFT,
        tolerance=EXACT,
        reference=np.full((3, 1), 255, np.uint8),
    )
    compare(case, [case])


def test_refused() -> None:
    x = floats(2, 3)
    refuse(InvalidModel, Case("bad", "Softmax", {"axis": 2}, [x]), "axis 2")
    refuse(InvalidModel, Case("bad", "LogSoftmax", {"axis": -3}, [x]), "axis -3")
    refuse(UnsupportedFeature, Case("bad", "Softmax", {}, [x.astype(np.int32)]), "s32")
    operands = [np.int8([[1]]), np.float32(0), np.int8(0), np.float32(1), np.int8(0)]
    parts = [np.asarray(v) for v in operands]
    bad = Case("bad", "QLinearSoftmax", {}, parts, constants=(1, 2, 3, 4), domain=MICROSOFT)
    refuse(QuantizationError, bad, "scale")


def test_close_is_not_vacuous() -> None:
    assert CLOSE(np.float32([1.0, 2.0]), np.float32([1.0, 2.1]))
