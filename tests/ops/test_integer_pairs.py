"""Functions of two integers, and of one, at the ends of their ranges."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from bench import rng
from cases import Case, compare, refuse
from tolerance import CLOSE, EXACT

from nn2wasm.errors import InvalidModel

TYPES = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64)


@functools.cache
def edges(dtype: type) -> np.ndarray:
    """The ends of a type's range, small numbers, and some between."""
    info = np.iinfo(dtype)
    ends = [info.min, info.min + 1, info.max, info.max - 1, 0, 1, 2, 3, 7]
    if info.min < 0:
        ends += [-1, -2, -3, -7]
    drawn = rng.integers(info.min, info.max, 8, dtype, endpoint=True)
    return np.concatenate([np.asarray(ends, dtype), drawn])


def pairs(dtype: type) -> tuple[np.ndarray, np.ndarray]:
    values = edges(dtype)
    return values[:, None], values[None, :]


def quotient(a: int, b: int) -> int:
    return 0 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def modulo(a: int, b: int) -> int:
    return 0 if b == 0 else a % b


def remainder(a: int, b: int) -> int:
    return a - quotient(a, b) * b if b else 0


MEANINGS = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": quotient,
    "Mod": modulo,
}


def wrapped(function, dtype: type, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A function in Python's integers, of every pair, in the type's bits."""
    bits = 8 * np.dtype(dtype).itemsize
    a, b = np.broadcast_arrays(a, b)
    values = [function(int(x), int(y)) % 2**bits for x, y in zip(a.flat, b.flat, strict=True)]
    return np.asarray(values, np.uint64).astype(dtype).reshape(a.shape)


def case(name: str, op: str, dtype: type, function, **attributes: object) -> Case:
    a, b = pairs(dtype)
    expected = wrapped(function, dtype, a, b)
    label = f"{name}_{np.dtype(dtype).name}"
    return Case(label, op, attributes, [a, b], opset=18, tolerance=EXACT, reference=expected)


def power(a: int, b: int) -> int:
    """Below zero the whole part."""
    if b >= 0:
        return a**b
    return 0 if abs(a) != 1 else a ** (-b)


POWERS = []
for _dtype in (np.int32, np.int64):
    _base, _exponent = edges(_dtype)[:, None], np.asarray([0, 1, 2, 5, 30, -1, -2, -5], _dtype)
    POWERS.append(
        Case(
            f"pow_{np.dtype(_dtype).name}", "Pow", {}, [_base, _exponent], opset=15,
            tolerance=EXACT, reference=wrapped(power, _dtype, _base, _exponent),
        )
    )  # fmt: skip

SHIFTS = []
for _dtype in (np.uint8, np.uint16, np.uint32, np.uint64):
    _bits = 8 * np.dtype(_dtype).itemsize
    _places = np.asarray([0, 1, 3, _bits - 1], _dtype)
    for _way, _move in (("LEFT", lambda a, n: a << n), ("RIGHT", lambda a, n: a >> n)):
        _x = edges(_dtype)[:, None]
        SHIFTS.append(
            Case(
                f"shift_{_way.lower()}_{_bits}", "BitShift", {"direction": _way}, [_x, _places],
                opset=18, tolerance=EXACT, reference=wrapped(_move, _dtype, _x, _places),
            )
        )  # fmt: skip

ALONE = []
for _dtype in (np.int8, np.int16, np.int32, np.int64):
    for _op, _function in (
        ("Abs", abs),
        ("Neg", lambda a: -a),
        ("BitwiseNot", lambda a: ~a),
        ("Sign", lambda a: (a > 0) - (a < 0)),
    ):
        _x = edges(_dtype)
        _expected = wrapped(lambda a, _, f=_function: f(a), _dtype, _x, _x)
        ALONE.append(
            Case(
                f"{_op.lower()}_{np.dtype(_dtype).name}", _op, {}, [_x], opset=18,
                tolerance=EXACT, reference=_expected,
            )
        )  # fmt: skip

CASES = [
    *(case(op.lower(), op, dtype, MEANINGS[op]) for op in MEANINGS for dtype in TYPES),
    *(case("fmod", "Mod", dtype, remainder, fmod=1) for dtype in TYPES),
    *(
        case(op.lower(), op, dtype, function)
        for op, function in (
            ("BitwiseAnd", lambda a, b: a & b),
            ("BitwiseOr", lambda a, b: a | b),
            ("BitwiseXor", lambda a, b: a ^ b),
        )
        for dtype in (np.uint8, np.int16, np.int32, np.uint64)
    ),
    *POWERS,
    *SHIFTS,
    *ALONE,
]  # fmt: skip
FLOATS = np.float32([-7.5, -3, -0.5, 0, 0.25, 1, 2, 5.3, np.inf, -np.inf, np.nan, 1e30, -1e-30])
with np.errstate(invalid="ignore"):
    REMAINDERS = np.fmod(FLOATS[:, None], FLOATS[None, :])
OF_FLOATS = [
    Case("fmod_f32", "Mod", {"fmod": 1}, [FLOATS[:, None], FLOATS[None, :]], opset=13,
         tolerance=EXACT, reference=REMAINDERS),
    Case("is_nan", "IsNaN", {}, [FLOATS], opset=13, tolerance=EXACT),
    Case("is_inf", "IsInf", {}, [FLOATS], opset=13, tolerance=EXACT),
    Case("is_above", "IsInf", {"detect_negative": 0}, [FLOATS], opset=13, tolerance=EXACT),
    Case("is_below", "IsInf", {"detect_positive": 0}, [FLOATS], opset=13, tolerance=EXACT),
    Case("shrink", "Shrink", {"lambd": 0.4, "bias": 0.1}, [FLOATS[:8]], opset=13),
    *(
        Case(op.lower(), op, {}, [np.linspace(low, high, 37).astype(np.float32)], opset=13,
             tolerance=CLOSE)
        for op, low, high in (
            ("Sin", -40, 40), ("Cos", -40, 40), ("Tan", -1.5, 1.5), ("Asin", -1, 1),
            ("Acos", -1, 1), ("Atan", -9, 9), ("Sinh", -9, 9), ("Cosh", -9, 9),
            ("Asinh", -99, 99), ("Acosh", 1, 99), ("Atanh", -0.99, 0.99),
        )
    ),
    Case("pow_to_whole", "Pow", {}, [FLOATS[:8, None], np.int32([0, 1, 2, 3, -2])], opset=13),
    Case("pow_of_whole", "Pow", {}, [np.int64([1, 2, 3, 10]), np.float32([0.5, 2, 3, -1])],
         opset=13, tolerance=EXACT),
]  # fmt: skip


@pytest.mark.parametrize("one", CASES, ids=str)
def test_integers(one):
    compare(one, CASES)


@pytest.mark.parametrize("one", OF_FLOATS, ids=str)
def test_floats(one):
    compare(one, OF_FLOATS)


def test_directions():
    x = np.uint8([1])
    bad = Case("bad", "BitShift", {"direction": "UP"}, [x, x])
    refuse(InvalidModel, bad, "direction 'UP'")
