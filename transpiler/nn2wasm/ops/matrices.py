"""Matrices, batched along the leading axes: ONNX Trilu-14.., EyeLike-9.., Det-11..

Trilu    y[…, i, j] = x[…, i, j] where j − i >= k (upper) or j − i <= k, else 0
EyeLike  1 where j − i = k, else 0; known at compile time
Det      the determinant, by elimination with row pivots in float64
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from nn2wasm.errors import OverBudget
from nn2wasm.ir import Array, DType, Node, Op, Tensor, TensorType
from nn2wasm.ops.cast import ONNX_DTYPES
from nn2wasm.ops.kernel import Kernel, Lowering, stream_lead
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import ImportOp, KernelOp


@dataclass(frozen=True)
class Triangle(KernelOp):
    """Inputs x, diagonal k (s64, of one element)."""

    onnx_types = ("Trilu",)
    kernels = (
        Kernel(
            symbol="nn_triangle__scalar", template="matrices/triangle__scalar.c.j2", dtype="any"
        ),
    )

    upper: bool = True

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        if len(x.shape) < 2:
            raise node.invalid(f"rank {len(x.shape)}; it takes matrices")
        k = node.optional(1) or node.value(np.zeros((), np.int64), "k")
        if k.dtype is not DType.S64 or k.element_count != 1:
            raise node.invalid("its diagonal is not one number of 64 bits")
        node.emit(cls(bool(node.attr_int("upper", 1))), [x, k])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(x.dtype, x.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x, k = np.asarray(inputs[0]), int(np.asarray(inputs[1]).reshape(()))
        rows, columns = x.shape[-2:]
        beside = np.arange(columns)[None, :] - np.arange(rows)[:, None]
        kept = beside >= k if self.upper else beside <= k
        return [np.where(kept, x, np.zeros((), x.dtype))]

    def signed(self, node: Node) -> Op | None:
        return None

    def kernel_dtype(self, node: Node) -> str:
        return "any"

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x = node.input(0)
        context = {
            "type": x.dtype.c_name,
            "outer": prod(x.shape[:-2]),
            "rows": x.shape[-2],
            "columns": x.shape[-1],
            "compare": ">=" if self.upper else "<=",
        }
        lead = stream_lead(x.element_count, x.dtype.bytes, x.dtype.bytes)
        return Lowering(context=context, arguments=(0, 1), lead={0: lead})


class EyeLike(ImportOp):
    """A constant of the input's shape."""

    onnx_types = ("EyeLike",)
    reads_all = True

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        if len(x.shape) != 2:
            raise node.invalid(f"rank {len(x.shape)}; its input is a matrix")
        dtype = x.dtype
        if node.has("dtype"):
            code = node.attr_int("dtype", 0)
            if code not in ONNX_DTYPES:
                raise node.unsupported(f"the element type of code {code}")
            dtype = ONNX_DTYPES[code]
        if x.element_count > node.fold_elements:
            raise OverBudget(
                f"{node.describe()}: a constant of {x.element_count} elements is above the limit",
                facts=[("limit", f"{node.fold_elements} elements")],
            )
        beside = np.arange(x.shape[1])[None, :] - np.arange(x.shape[0])[:, None]
        eye = beside == node.attr_int("k", 0)
        node.alias(node.value(eye.astype(dtype.numpy), "eye"))


@dataclass(frozen=True)
class Determinant(KernelOp):
    onnx_types = ("Det",)
    kernels = (
        Kernel(
            symbol="nn_determinant_f32__scalar",
            template="matrices/determinant_f32__scalar.c.j2",
            dtype="f32",
        ),
    )

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        if len(x.shape) < 2 or x.shape[-1] != x.shape[-2]:
            raise node.invalid(f"its input {list(x.shape)} is not of square matrices")
        if x.dtype is not DType.F32:
            raise node.unsupported(f"elements of type {x.dtype.value}; f32 is compiled")
        node.emit(cls(), [x])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(x.dtype, x.shape[:-2])]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        return [np.asarray(np.linalg.det(np.asarray(inputs[0], np.float64)))]

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x = node.input(0)
        n = x.shape[-1]
        context = {"outer": prod(x.shape[:-2]), "n": n, "square": n * n}
        return Lowering(context=context, scratch_bytes=8 * n * n, scratch_type="double")
