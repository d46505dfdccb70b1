"""Element types: the same words in file names, C and reports."""

from __future__ import annotations

from enum import Enum
from typing import Any

import ml_dtypes
import numpy as np


class DType(Enum):
    """An element type; the value is its name everywhere."""

    F32 = "f32"
    F64 = "f64"
    F16 = "f16"
    BF16 = "bf16"
    F8E4M3FN = "f8e4m3fn"
    F8E4M3FNUZ = "f8e4m3fnuz"
    F8E5M2 = "f8e5m2"
    F8E5M2FNUZ = "f8e5m2fnuz"
    F8E8M0 = "f8e8m0"
    F4E2M1 = "f4e2m1"
    S8 = "s8"
    U8 = "u8"
    S16 = "s16"
    U16 = "u16"
    S32 = "s32"
    U32 = "u32"
    S64 = "s64"
    U64 = "u64"
    BOOL = "bool"

    @property
    def numpy(self) -> np.dtype[Any]:
        return _NUMPY[self]

    @property
    def c_name(self) -> str:
        return _C[self]

    @property
    def bytes(self) -> int:
        return self.numpy.itemsize

    @property
    def is_float(self) -> bool:
        return self in (DType.F32, DType.F64)

    @property
    def is_half(self) -> bool:
        """True for the floats of two bytes, which are stored and computed in f32."""
        return self in (DType.F16, DType.BF16)

    @property
    def is_tiny(self) -> bool:
        """True for the floats of a byte or half of one (which takes a byte here, too)."""
        return self.value[:2] in ("f8", "f4")

    @property
    def is_byte(self) -> bool:
        """True for the two 8-bit integers that quantized tensors are made of."""
        return self in (DType.S8, DType.U8)

    @property
    def is_narrow(self) -> bool:
        """True for the integers that quantized activations are made of: 8 and 16 bits."""
        return self in (DType.S8, DType.U8, DType.S16, DType.U16)

    @property
    def signed(self) -> DType:
        """The signed integers of that size; a type without a sign bit to flip is itself."""
        return _SIGNED.get(self, self)

    @property
    def sign_offset(self) -> int:
        """How far the integers of `signed` lie below the same bits of this type."""
        return self.maximum // 2 + 1 if self in _SIGNED else 0

    @property
    def minimum(self) -> int:
        """Smallest value of an integer type."""
        return int(np.iinfo(self.numpy).min)

    @property
    def maximum(self) -> int:
        """Largest value of an integer type."""
        return int(np.iinfo(self.numpy).max)

    @staticmethod
    def of(array: np.ndarray[Any, Any]) -> DType:
        """The element type of a numpy array; KeyError where there is none."""
        return _FROM_NUMPY[array.dtype]


_NUMPY: dict[DType, np.dtype[Any]] = {
    dtype: np.dtype(kind)
    for dtype, kind in {
        DType.F32: np.float32,
        DType.F64: np.float64,
        DType.F16: np.float16,
        DType.BF16: ml_dtypes.bfloat16,
        DType.F8E4M3FN: ml_dtypes.float8_e4m3fn,
        DType.F8E4M3FNUZ: ml_dtypes.float8_e4m3fnuz,
        DType.F8E5M2: ml_dtypes.float8_e5m2,
        DType.F8E5M2FNUZ: ml_dtypes.float8_e5m2fnuz,
        DType.F8E8M0: ml_dtypes.float8_e8m0fnu,
        DType.F4E2M1: ml_dtypes.float4_e2m1fn,
        DType.S8: np.int8,
        DType.U8: np.uint8,
        DType.S16: np.int16,
        DType.U16: np.uint16,
        DType.S32: np.int32,
        DType.U32: np.uint32,
        DType.S64: np.int64,
        DType.U64: np.uint64,
        DType.BOOL: np.bool_,
    }.items()
}
NARROW: dict[np.dtype[Any], tuple[DType, int]] = {
    np.dtype(ml_dtypes.int4): (DType.S8, 4),
    np.dtype(ml_dtypes.uint4): (DType.U8, 4),
    np.dtype(ml_dtypes.int2): (DType.S8, 2),
    np.dtype(ml_dtypes.uint2): (DType.U8, 2),
}
"""Integers that have a byte each here, and how many bits of it they use."""
_SIGNED = {DType.U8: DType.S8, DType.U16: DType.S16}
_FROM_NUMPY = {kind: dtype for dtype, kind in _NUMPY.items()}
_C = {
    DType.F32: "float",
    DType.F64: "double",
    DType.BOOL: "uint8_t",
    **{dtype: "uint16_t" for dtype in DType if dtype.is_half},
    **{dtype: "uint8_t" for dtype in DType if dtype.is_tiny},
} | {
    dtype: f"{'u' if dtype.value[0] == 'u' else ''}int{dtype.value[1:]}_t"
    for dtype in DType
    if dtype.value[0] in "su"
}
