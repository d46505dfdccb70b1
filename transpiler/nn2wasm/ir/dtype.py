"""Element types: the same words in file names, C and reports."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np


class DType(Enum):
    """An element type; the value is its name everywhere."""

    F32 = "f32"
    F64 = "f64"
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
        return np.dtype(_NUMPY[self])

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


_NUMPY = {
    DType.F32: np.float32,
    DType.F64: np.float64,
    DType.S8: np.int8,
    DType.U8: np.uint8,
    DType.S16: np.int16,
    DType.U16: np.uint16,
    DType.S32: np.int32,
    DType.U32: np.uint32,
    DType.S64: np.int64,
    DType.U64: np.uint64,
    DType.BOOL: np.bool_,
}
_SIGNED = {DType.U8: DType.S8, DType.U16: DType.S16}
_FROM_NUMPY = {np.dtype(v): k for k, v in _NUMPY.items()}
_C = {
    DType.F32: "float",
    DType.F64: "double",
    DType.BOOL: "uint8_t",
} | {
    dtype: f"{'u' if dtype.value[0] == 'u' else ''}int{dtype.value[1:]}_t"
    for dtype in DType
    if dtype.value[0] in "su"
}
