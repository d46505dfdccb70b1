"""Numbers of any type as C constants."""

from __future__ import annotations

import math

from nn2wasm.ir import DType
from nn2wasm.ops.linear import float_literal


def integer_literal(value: int, dtype: DType) -> str:
    """An integer's C constant; the smallest of a type has none of its own."""
    suffix = {DType.S64: "LL", DType.U64: "ULL", DType.U32: "U"}.get(dtype, "")
    return f"(-{-(value + 1)}{suffix} - 1)" if value < 0 else f"{value}{suffix}"


def number_literal(value: float, dtype: DType) -> str:
    """A number of that type as C."""
    if not dtype.is_float:
        return integer_literal(int(value), dtype)
    finite = dtype is DType.F64 and math.isfinite(value)
    return repr(float(value)) if finite else float_literal(value)
