"""Vectors that are `on` at one index and `off` elsewhere: ONNX OneHot-9..

    y[outer, d, inner] = index[outer, inner] == d ? values[1] : values[0], d = 0 … depth − 1

Negative indices count from the end; where an index is outside the depth all is `off`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from nn2wasm.ir import Array, DType, Node, Op, Tensor, TensorType
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import KernelOp


@dataclass(frozen=True)
class OneHot(KernelOp):
    """Inputs indices (any numbers; fractions are cut off), values [off, on]."""

    onnx_types = ("OneHot",)
    kernels = (
        Kernel(symbol="nn_one_hot__scalar", template="indexing/one_hot__scalar.c.j2", dtype="any"),
    )

    depth: int
    axis: int

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        indices, values = node.input(0), node.input(2)
        depth = node.constant(1, "depth").reshape(-1)
        if depth.size != 1 or not 1 <= depth[0] < 2**31:
            raise node.invalid(f"its depth is {depth.tolist()}, not one number above 0")
        if indices.dtype is DType.BOOL:
            raise node.invalid("its indices are truth values")
        if values.element_count != 2:
            raise node.invalid(f"{values.element_count} values; it needs [off, on]")
        axis = node.axis(node.attr_int("axis", -1), len(indices.shape) + 1)
        node.emit(cls(int(depth[0]), axis), [indices, values])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        indices, values = inputs
        assert indices is not None
        assert values is not None
        shape = (*indices.shape[: self.axis], self.depth, *indices.shape[self.axis :])
        return [TensorType(values.dtype, shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        indices, values = (np.asarray(array) for array in inputs)
        low = 0 if indices.dtype.kind == "u" else -self.depth
        inside = (indices >= low) & (indices < self.depth)
        at = np.where(inside, indices, 0).astype(np.int64) % self.depth
        steps = np.arange(self.depth).reshape(-1, *[1] * (indices.ndim - self.axis))
        hot = (np.expand_dims(at, self.axis) == steps) & np.expand_dims(inside, self.axis)
        off, on = values.reshape(-1)
        return [np.where(hot, on, off)]

    def signed(self, node: Node) -> Op | None:
        return None

    def kernel_dtype(self, node: Node) -> str:
        return "any"

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        indices, y = node.input(0), node.output
        inner = prod(indices.shape[self.axis :])
        suffix = ".0f" if indices.dtype is DType.F32 else ""
        unsigned = indices.dtype.value.startswith("u")
        context = {
            "index_type": indices.dtype.c_name,
            "type": y.dtype.c_name,
            "count": y.element_count,
            "outer": prod(indices.shape[: self.axis]),
            "depth": self.depth,
            "inner": inner,
            "slab": self.depth * inner,
            "inside": ("" if unsigned else f"v >= -{self.depth}{suffix} && ")
            + f"v < {self.depth}{suffix}",
            "unsigned": unsigned,
        }
        return Lowering(context=context, arguments=(0, 1))
