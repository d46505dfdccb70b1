"""Tensors without elements: there is one value they can have, so all of them are constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nn2wasm.ir import Array, DType, Node, Shape, Tensor, TensorType
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.registry import KernelOp


@dataclass(frozen=True)
class Empty(KernelOp):
    """A tensor without elements as an output of the network: nothing is to be done for it."""

    kernels = (Kernel(symbol="nn_empty", template="empty/any__scalar.c.j2", dtype="any"),)

    dtype: DType
    shape: Shape

    def kernel_dtype(self, node: Node) -> str:
        return "any"

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        return [TensorType(self.dtype, self.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        return None

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        return Lowering(context={"type": self.dtype.c_name}, arguments=())
