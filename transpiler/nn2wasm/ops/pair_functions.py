"""Functions of two numbers, in C and in numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from nn2wasm.ir import Array, DType


class Function(NamedTuple):
    """How a function of two numbers is computed.

    Attributes:
        c_float: C expression of floats a and b, empty where it only runs at compile time.
        c_int: C expression of integers a and b, empty likewise; @ is the type in names of
            `integers.h`, # the type without a sign in which sums wrap around.
        numpy: the same in numpy.
        boolean: whether the result is a truth value.
    """

    c_float: str
    c_int: str
    numpy: Callable[[Array, Array], Array]
    boolean: bool = False

    def expression(self, dtype: DType) -> str:
        """C of a and b of that type, empty where it only runs at compile time."""
        if dtype.is_float:
            return self.c_float
        wide = 64 if dtype.bytes == 8 else 32
        kind = "s" if dtype.value[0] == "s" else "u"
        return self.c_int.replace("@", f"{kind}{wide}").replace("#", f"uint{wide}_t")


def _divide(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return a / b
    safe = np.where(b == 0, 1, b).astype(b.dtype)
    whole = a // safe
    behind = (whole * safe != a) & ((a < 0) != (safe < 0))
    return np.where(b == 0, 0, np.where(behind, whole + 1, whole)).astype(a.dtype)


def _remainder(a: Array, b: Array) -> Array:
    return np.fmod(a, b)


def _power(a: Array, b: Array) -> Array:
    """Modulo the type's range; below zero the whole part, as `nn_power_s64`."""
    if a.dtype.kind == "f":
        return np.asarray(np.power(a, b.astype(a.dtype)))
    a, b = np.broadcast_arrays(a, b)
    bits = 8 * a.dtype.itemsize
    result = [_whole_power(int(x), int(n), bits) for x, n in zip(a.flat, b.flat, strict=True)]
    return np.asarray(result, np.uint64).astype(a.dtype).reshape(a.shape)


def _whole_power(x: int, n: int, bits: int) -> int:
    if n < 0:
        return {1: 1, -1: 1 if n % 2 == 0 else 2**bits - 1}.get(x, 0)
    return int(pow(x, n, 2**bits))


def _shift_left(a: Array, n: Array) -> Array:
    inside = n < 8 * a.dtype.itemsize
    return np.where(inside, a << np.where(inside, n, 0).astype(n.dtype), 0).astype(a.dtype)


def _shift_right(a: Array, n: Array) -> Array:
    most = np.asarray(8 * a.dtype.itemsize - 1, n.dtype)
    moved = a >> np.minimum(n, most)
    return np.where((n > most) & (a >= 0), 0, moved).astype(a.dtype)


FUNCTIONS: dict[str, Function] = {
    "Add": Function("a + b", "(#)a + (#)b", np.add),
    "Sub": Function("a - b", "(#)a - (#)b", np.subtract),
    "Mul": Function("a * b", "(#)a * (#)b", np.multiply),
    "Div": Function("a / b", "nn_quotient_@(a, b)", _divide),
    "Min": Function("a < b ? a : b", "a < b ? a : b", np.minimum),
    "Max": Function("a > b ? a : b", "a > b ? a : b", np.maximum),
    "Pow": Function("nn_pow(a, b)", "nn_power_@(a, b)", _power),
    "PRelu": Function(
        "a >= 0.0f ? a : a * b", "a > 0 ? a : a * b", lambda a, b: np.where(a >= 0, a, a * b)
    ),
    "Mod": Function("nn_modulo(a, b)", "nn_modulo_@(a, b)", np.mod),
    "Remainder": Function("nn_fmod(a, b)", "nn_remainder_@(a, b)", _remainder),
    "BitwiseAnd": Function("", "a & b", np.bitwise_and),
    "BitwiseOr": Function("", "a | b", np.bitwise_or),
    "BitwiseXor": Function("", "a ^ b", np.bitwise_xor),
    "ShiftLeft": Function("", "nn_shift_left_@(a, b)", _shift_left),
    "ShiftRight": Function("", "nn_shift_right_@(a, b)", _shift_right),
    "Equal": Function("a == b", "a == b", np.equal, True),
    "Less": Function("a < b", "a < b", np.less, True),
    "LessOrEqual": Function("a <= b", "a <= b", np.less_equal, True),
    "Greater": Function("a > b", "a > b", np.greater, True),
    "GreaterOrEqual": Function("a >= b", "a >= b", np.greater_equal, True),
    "And": Function("", "a && b", np.logical_and, True),
    "Or": Function("", "a || b", np.logical_or, True),
    "Xor": Function("", "a != b", np.logical_xor, True),
}

VARIANTS = {"Remainder": "Mod", "ShiftLeft": "BitShift", "ShiftRight": "BitShift"}
"""Functions that an attribute makes of an ONNX operator."""

ONNX_TYPES = tuple(dict.fromkeys(VARIANTS.get(name, name) for name in FUNCTIONS))
"""The operators that these functions are."""
