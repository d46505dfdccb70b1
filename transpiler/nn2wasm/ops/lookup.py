"""Tables looked up with indices that are computed: y[…][i] = table[…][index[i]].

What a classifier's index becomes where its labels are other numbers than 0, 1, 2 … An index below
the table gives its first entry, one behind it its last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import Array, DType, Node, Tensor, TensorType
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import KernelOp


@dataclass(frozen=True)
class Lookup(KernelOp):
    """Inputs: indices of 64 bits; the table, whose last axis they are of."""

    kernels = (Kernel(symbol="nn_lookup__scalar", template="lookup/any__scalar.c.j2", dtype="any"),)

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        index, table = inputs
        assert index is not None
        assert table is not None
        return [TensorType(table.dtype, (*table.shape[:-1], *index.shape))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        index, table = np.asarray(inputs[0]), np.asarray(inputs[1])
        return [table[..., np.clip(index, 0, table.shape[-1] - 1)]]

    def kernel_dtype(self, node: Node) -> str:
        return "any"

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        index, table = node.input(0), node.input(1)
        context = {
            "tables": math.prod(table.shape[:-1]),
            "entries": table.shape[-1],
            "count": index.element_count,
            "type": table.dtype.c_name,
            "last": table.shape[-1] - 1,
        }
        if table.is_constant:
            return Lowering(context=context, constants={"table": table.value})
        return Lowering(context=context, arguments=(0, 1))


def look_up(node: OnnxNode, index: Tensor, table: Tensor, suffix: str) -> Tensor:
    """The entries of a table at indices of 64 bits; the indices themselves where they are those."""
    counts = table.is_constant and table.dtype is DType.S64 and len(table.shape) == 1
    if counts and np.array_equal(table.value, np.arange(table.element_count)):
        found = index
    else:
        found = node.add(Lookup(), [index, table], suffix=suffix)
    found.labels = table.labels
    return found
