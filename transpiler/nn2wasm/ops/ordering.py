"""The largest or smallest elements along an axis, in order: ONNX TopK-1..

    values[i] = x[indices[i]], i = 0 … k − 1

Of equal elements the one with the lower index comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nn2wasm.ir import Array, DType, Node, Op, Tensor, TensorType
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.softmax import AxisFunction


@dataclass(frozen=True)
class TopK(AxisFunction):
    """Outputs values and indices (s64). Unsorted ones are sorted, too."""

    onnx_types = ("TopK",)
    kernels = (
        Kernel(symbol="nn_topk__scalar", template="indexing/topk__scalar.c.j2", dtype="any"),
    )

    k: int
    largest: bool = True

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        if not x.shape:
            raise node.invalid("its input is a scalar")
        if x.dtype is DType.BOOL:
            raise node.invalid("its input is of truth values")
        axis = node.axis(node.attr_int("axis", -1), len(x.shape))
        if node.opset < 10:
            k = node.attr_int("k", -1)
        else:
            given = node.ints(1, "k")
            if given is None or len(given) != 1:
                raise node.invalid("its k is not one number")
            k = given[0]
        if not 1 <= k <= x.shape[axis]:
            raise node.invalid(f"k = {k} of {x.shape[axis]} elements along axis {axis}")
        node.emit(cls(axis, k, bool(node.attr_int("largest", 1))), [x])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        shape = (*x.shape[: self.axis], self.k, *x.shape[self.axis + 1 :])
        return [TensorType(x.dtype, shape), TensorType(DType.S64, shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x = np.asarray(inputs[0])
        if self.largest:  # from the end: of equal ones the last comes first there, too
            back = np.flip(np.argsort(np.flip(x, self.axis), self.axis, kind="stable"), self.axis)
            order = x.shape[self.axis] - 1 - back
        else:
            order = np.argsort(x, self.axis, kind="stable")
        first = np.take(order, np.arange(self.k), self.axis)
        return [np.take_along_axis(x, first, self.axis), first]

    def transposed(self, node: Node, perm: tuple[int, ...]) -> Op | None:
        return replace(self, axis=perm.index(self.axis))

    def signed(self, node: Node) -> Op | None:
        return None

    def kernel_dtype(self, node: Node) -> str:
        return "any"

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        context = self.loops(node)
        context |= {
            "type": node.input(0).dtype.c_name,
            "k": self.k,
            "compare": ">" if self.largest else "<",
            "which": "largest" if self.largest else "smallest",
            "k_slab": self.k * context["inner"],
        }
        return Lowering(context=context, scratch_bytes=4 * self.k, scratch_type="int32_t")
