"""A table looked up with indices that are computed: y[i] = table[index[i]].

What a classifier's index becomes where its labels are other numbers than 0, 1, 2 … An index below
the table gives its first entry, one behind it its last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import Array, DType, Node, Tensor, TensorType
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import KernelOp


@dataclass(frozen=True)
class Lookup(KernelOp):
    """Inputs: indices of 64 bits, the table, a constant of one axis."""

    kernels = (Kernel(symbol="nn_lookup__scalar", template="lookup/any__scalar.c.j2", dtype="any"),)

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        index, table = inputs
        assert index is not None
        assert table is not None
        return [TensorType(table.dtype, index.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        index, table = np.asarray(inputs[0]), np.asarray(inputs[1])
        return [table[np.clip(index, 0, len(table) - 1)]]

    def kernel_dtype(self, node: Node) -> str:
        return "any"

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        index, table = node.input(0), node.input(1)
        context = {
            "count": index.element_count,
            "type": table.dtype.c_name,
            "last": table.element_count - 1,
        }
        return Lowering(context=context, constants={"table": table.value})


def look_up(node: OnnxNode, index: Tensor, table: Tensor, suffix: str) -> Tensor:
    """The entries of a table at indices of 64 bits; the indices themselves where they are those."""
    if table.dtype is DType.S64 and np.array_equal(table.value, np.arange(table.element_count)):
        found = index
    else:
        found = node.add(Lookup(), [index, table], suffix=suffix)
    found.labels = table.labels
    return found
