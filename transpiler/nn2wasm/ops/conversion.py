"""Elements of one type as elements of another, in numpy and in C.

to a truth value   x != 0
float to integer   toward zero; outside the type's range its nearest end, NaN gives 0
integer narrowed   the low bits; also a float's to 2 and 4 bits
to a small float   to nearest, ties to even; beyond the largest as ONNX says
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import Array, DType

HEADER = "nn2wasm/small_floats.h"
ROUNDINGS = ("down", "nearest", "up")
LARGEST = {
    DType.F8E4M3FN: 448.0,
    DType.F8E4M3FNUZ: 240.0,
    DType.F8E5M2: 57344.0,
    DType.F8E5M2FNUZ: 57344.0,
}
"""Largest numbers of the formats that may saturate."""


@dataclass(frozen=True)
class Conversion:
    """How elements become those of a type.

    Attributes:
        dtype: the type.
        bits: of integers that use fewer than their type has; 0: all.
        saturate: floats of 8 bits end at their largest, else they become infinite or no number.
        rounding: of exponents alone (float8e8m0): "down", "nearest" or "up".
    """

    dtype: DType
    bits: int = 0
    saturate: bool = True
    rounding: str = "up"

    def evaluate(self, x: Array) -> Array:
        """The same elements in that type."""
        if self.bits:
            return self._narrow(x)
        if self.dtype is DType.F8E8M0:
            return self._exponents(x.astype(np.float32))
        if self.dtype in LARGEST and self.saturate:
            largest = LARGEST[self.dtype]
            inside: Array = np.clip(x.astype(_wide(x)), -largest, largest)
            return np.asarray(inside.astype(self.dtype.numpy))
        if not _is_float(x) or not _is_integer(self.dtype):
            return np.asarray(x.astype(self.dtype.numpy))
        x = x.astype(_wide(x))
        low, high = float(self.dtype.minimum), float(self.dtype.maximum)
        inside = np.asarray(np.where((x > low) & (x < high), x, 0).astype(self.dtype.numpy))
        inside[x >= high] = self.dtype.maximum
        inside[x <= low] = self.dtype.minimum
        return inside

    def _narrow(self, x: Array) -> Array:
        whole = Conversion(DType.S32).evaluate(x) if _is_float(x) else x
        sign = 1 << (self.bits - 1) if self.dtype is DType.S8 else 0
        low = whole.astype(np.int64) & ((1 << self.bits) - 1)
        return ((low ^ sign) - sign).astype(self.dtype.numpy)

    def _exponents(self, x: Array) -> Array:
        bits = x.view(np.uint32) & 0x7FFFFFFF
        field, digits = bits >> 23, bits & 0x7FFFFF
        up = {
            "down": digits < 0,
            "nearest": (digits > 0x400000) | ((digits == 0x400000) & (field > 0)),
            "up": digits > 0,
        }[self.rounding]
        up = up & ~((field == 254) & self.saturate)
        codes = np.where(field == 255, 255, field + up).astype(np.uint8)
        return codes.view(self.dtype.numpy)

    def expression(self, source: DType) -> str:
        """C expression of `v` of that type, converted; small floats are their codes."""
        value, wide = "v", source
        if source.is_half or source.is_tiny:
            value, wide = f"nn_float_of_{source.value}(v)", DType.F32
        if self.bits:
            whole = _to_integer(DType.S32, value) if wide.is_float else value
            sign = 1 << (self.bits - 1) if self.dtype is DType.S8 else 0
            low = f"(({whole}) & {(1 << self.bits) - 1})"
            return f"({low} ^ {sign}) - {sign}" if sign else low
        if self.dtype.is_half or self.dtype.is_tiny:
            return self._encoded(value, wide)
        name = self.dtype.c_name
        if self.dtype is DType.BOOL:
            return f"{value} != 0.0f" if wide.is_float else "v != 0"
        if not wide.is_float or self.dtype.is_float:
            return f"({name}){value}"
        return _to_integer(self.dtype, value)

    def _encoded(self, value: str, wide: DType) -> str:
        if wide is DType.F64:
            value = f"nn_odd_float({value})"
        elif wide is not DType.F32:
            value = f"(float){value}"
        if self.dtype is DType.F8E8M0:
            options = f", {ROUNDINGS.index(self.rounding)}, {int(self.saturate)}"
        else:
            options = f", {int(self.saturate)}" if self.dtype in LARGEST else ""
        return f"nn_{self.dtype.value}_of_float({value}{options})"

    def headers(self, source: DType) -> tuple[str, ...]:
        """What C needs for it."""
        small = any(dtype.is_half or dtype.is_tiny for dtype in (source, self.dtype))
        return (HEADER,) if small else ()


def _to_integer(target: DType, value: str) -> str:
    # every bound is a power of two, which a float holds; the largest number itself may not be one
    name = target.c_name
    macro = name.removesuffix("_t").upper()
    above = f"{float(target.maximum + 1):.1f}f"
    if target.minimum == 0:
        return f"{value} >= {above} ? {macro}_MAX : {value} > -1.0f ? ({name}){value} : 0"
    low = f"{float(target.minimum):.1f}f"
    return (
        f"{value} >= {above} ? {macro}_MAX : {value} >= {low} ? ({name}){value} : "
        f"{value} < 0.0f ? {macro}_MIN : 0"
    )


def _is_float(x: Array) -> bool:
    dtype = DType.of(x)
    return dtype.is_float or dtype.is_half or dtype.is_tiny


def _is_integer(dtype: DType) -> bool:
    return dtype.value[0] in "su"


def _wide(x: Array) -> type:
    return np.float64 if x.dtype == np.float64 else np.float32
