"""What a loaded model tells about one of its inputs or outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nn2wasm.errors import RunError
from nn2wasm.ir.dtype import NARROW, DType


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output.

    Attributes:
        name: as in the ONNX model.
        dtype: element type.
        shape: every size is known.
        scale: of a quantized tensor, real = (q − zero_point)·scale; None for others.
        zero_point: the q that means 0.
        labels: names of an output's classes, where the model has them: what its integers are
            indices into; of floats, the elements of the last axis.
        bits: of integers that use fewer than their type has, 0 for all others.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    scale: float | None = None
    zero_point: int | None = None
    labels: tuple[str, ...] = ()
    bits: int = 0

    @property
    def numpy(self) -> np.dtype[Any]:
        """The type of its elements in arrays: those of ml_dtypes where numpy has none."""
        narrow = (kind for kind, wide in NARROW.items() if wide == (self.dtype, self.bits))
        return next(narrow, self.dtype.numpy)

    @property
    def byte_count(self) -> int:
        return math.prod(self.shape) * self.dtype.bytes

    @staticmethod
    def from_metadata(entry: Mapping[str, Any]) -> TensorInfo:
        """One entry of ``inputs`` or ``outputs``; RunError if it makes no sense."""
        try:
            shape = tuple(int(size) for size in entry["shape"])
            if min(shape, default=0) < 0:
                raise ValueError("negative size")
            return TensorInfo(
                name=str(entry["name"]),
                dtype=DType(entry["dtype"]),
                shape=shape,
                scale=None if entry.get("scale") is None else float(entry["scale"]),
                zero_point=None if entry.get("zero_point") is None else int(entry["zero_point"]),
                labels=tuple(map(str, entry.get("labels") or ())),
                bits=int(entry.get("bits", 0)),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as problem:
            raise RunError(f"the metadata describes a tensor wrongly: {problem!r}") from problem
