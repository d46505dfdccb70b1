"""Product of two activations, batched with numpy broadcasting: y[…, m, n] = sum_k a[…, m, k] ·
b[…, k, n].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nn2wasm.ir import Array, Node, Op, Shape, Tensor, TensorType
from nn2wasm.ops.broadcast import (
    broadcast_strides,
    contiguous_strides,
    index_expression,
    loop_context,
    merge_loops,
)
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.part_nodes import part_node
from nn2wasm.ops.registry import KernelOp
from nn2wasm.ops.tiles import offset
from nn2wasm.ops.vectors import FLOATS, simd_kernel

TILE_ROWS, TILE_VECTORS = 4, 2


def _columns_fit(node: Node) -> str:
    b = node.input(1).shape
    return "" if len(b) > 1 and b[-1] >= FLOATS else "it has fewer than 4 columns"


@dataclass(frozen=True)
class MatMul(KernelOp):
    """Inputs a, b (f32); emitted by `ops.gemm` where the matrix is not constant."""

    kernels = (
        simd_kernel("nn_matmul_f32_4x8", "matmul/f32", "f32", _columns_fit),
        Kernel(symbol="nn_matmul_f32__scalar", template="matmul/f32__scalar.c.j2", dtype="f32"),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        a, b = inputs
        assert a is not None
        assert b is not None
        return [TensorType(a.dtype, _result_shape(a.shape, b.shape))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        return [np.matmul(np.asarray(inputs[0]), np.asarray(inputs[1]))]

    def stacked(self, node: Node, count: int) -> Op | None:
        return self if min(len(tensor.shape) for tensor in node.present_inputs) > 1 else None

    def macs(self, node: Node) -> int:
        return node.output.element_count * node.input(0).shape[-1]

    def outputs_apart(self, node: Node) -> int:
        b = node.input(1)
        return b.shape[-1] if b.is_constant and len(b.shape) > 1 else 0

    def part(self, node: Node, first: int, end: int) -> Node:
        b = node.input(1)
        part = b.moved(lambda array: array[..., first:end])
        return part_node(node, [node.input(0), part], np.arange(first, end))

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        a, b, y = node.input(0), node.input(1), node.output
        m, k = (a.shape[-2] if len(a.shape) > 1 else 1), a.shape[-1]
        n = b.shape[-1] if len(b.shape) > 1 else 1
        outer = y.shape[: len(y.shape) - (len(a.shape) > 1) - (len(b.shape) > 1)]
        strides = [
            tuple(size * block for size in broadcast_strides(shape, outer))
            for shape, block in ((a.shape[:-2], m * k), (b.shape[:-2], k * n))
        ]
        result = tuple(size * m * n for size in contiguous_strides(outer))
        loops = merge_loops(outer, [*strides, result])
        context = {
            "m": m, "k": k, "n": n,
            **loop_context(loops),
            "a_index": index_expression(loops, 0),
            "b_index": index_expression(loops, 1),
            "y_index": index_expression(loops, 2),
        }  # fmt: skip
        if not kernel.needs:
            return Lowering(context=context, arguments=(0, 1))
        sizes = {"rows": m, "depth": k, "columns": n}
        return Lowering(context=context | _tile(m, n), sizes=sizes, arguments=(0, 1))


def _tile(m: int, n: int) -> dict[str, Any]:
    """Rows and vectors of columns at a time."""
    height, vectors = min(m, TILE_ROWS), min(n // FLOATS, TILE_VECTORS)
    return {
        "height": height,
        "width": vectors * FLOATS,
        "tile_rows": [
            {"index": i, "a_at": offset(i, "depth"), "y_at": offset(i, "columns")}
            for i in range(height)
        ],
        "vectors": [{"index": i, "at": offset(i * FLOATS)} for i in range(vectors)],
    }


def _result_shape(a: Shape, b: Shape) -> Shape:
    outer = np.broadcast_shapes(a[:-2], b[:-2])
    return (*outer, *a[-2:-1], *(b[-1:] if len(b) > 1 else ()))
