"""A unary function of 8-bit integers as a table of 256: exact by construction.

    y = table[x + 128]

Requantization is one of them. No ONNX operator of its own: `passes.tabulate` makes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import Array, DType, Node, Op, Tensor, TensorType
from nn2wasm.ops.kernel import Kernel, Lowering, stream_lead
from nn2wasm.ops.mve_linear import mve_kernel
from nn2wasm.ops.registry import KernelOp
from nn2wasm.ops.vectors import BYTES, at_least, simd_kernel


@dataclass(frozen=True)
class Table(KernelOp):
    """Inputs x (s8), table [256] (s8): the result for −128 first."""

    elementwise = True
    kernels = (
        mve_kernel("nn_table_s8_16", "table/s8"),
        simd_kernel("nn_table_s8_16", "table/s8", "s8", at_least(BYTES)),
        Kernel(symbol="nn_table_s8__scalar", template="table/s8__scalar.c.j2", dtype="s8"),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(DType.S8, x.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x, table = inputs
        assert x is not None
        assert table is not None
        return [table[x.astype(np.int64) + 128]]

    def transposed(self, node: Node, perm: tuple[int, ...]) -> Op | None:
        return self

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        count = node.input(0).element_count
        whole = count // BYTES * BYTES
        return Lowering(
            context={"count": count, "uneven": count > whole, "lanes": range(BYTES)},
            sizes={"count": count, "whole": whole} if kernel.needs else {},
            constants={"table": node.input(1).value},
            lead={0: stream_lead(count, 1, 1)},
        )
