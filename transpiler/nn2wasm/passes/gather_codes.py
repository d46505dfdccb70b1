"""Rows of a table that may be kept as integers, or halves, are gathered as such.

    Gather(table) = (Gather(codes) − Gather(zero points)) · Gather(scales)

Rules: rows of a constant table of two axes are gathered at indices that are computed; the table has
an encoding (`ir.encoding`) with a scale for each row, each of a row's blocks, or each column. What
is computed for an element is what was computed for it when the table was made floats.
"""

from __future__ import annotations

from math import gcd

import numpy as np

from nn2wasm.ir import Array, Blocks, DType, Graph, Half, Node, Op, Tensor
from nn2wasm.ops.cast import Cast
from nn2wasm.ops.elementwise import Binary
from nn2wasm.ops.gathering import GatherAt
from nn2wasm.ops.shape import Reshape
from nn2wasm.passes.base import PassOptions

LEAST_BYTES = 1024
"""Of tables: smaller ones save less than three more layers cost."""


def gather_codes(graph: Graph, options: PassOptions) -> int:
    """Returns how many tables there were."""
    count = 0
    for node in list(graph.nodes):
        if not isinstance(node.op, GatherAt) or node.op.axis != 0:
            continue
        table = node.input(0)
        if table.encoding is None or len(table.shape) != 2 or table.bytes < LEAST_BYTES:
            continue
        made = _Rewrite(graph, node)
        result = made.decoded(table)
        if result is not None:
            made.put(result)
            count += 1
    return count


class _Rewrite:
    """Nodes that take the place of one."""

    def __init__(self, graph: Graph, node: Node) -> None:
        self._graph, self._node = graph, node
        self._nodes: list[Node] = []

    def decoded(self, table: Tensor) -> Tensor | None:
        """The rows; None where floats had better be kept."""
        encoding = table.encoding
        if isinstance(encoding, Half):
            return self._half(table, encoding)
        assert isinstance(encoding, Blocks)
        columns = table.shape[1]
        changes = np.flatnonzero((encoding.blocks[:, 1:] != encoding.blocks[:, :-1]).any(axis=0))
        size = gcd(columns, *(int(change) + 1 for change in changes))
        numbers = encoding.blocks[:, ::size]
        codes = (encoding.centred + encoding.zero_point[encoding.blocks]).astype(np.int16)
        low = int(codes.min())
        zeros = encoding.zero_point[numbers]
        kept = codes.size + 4 * numbers.size * (1 + bool(zeros.any()))
        by_row = bool(np.any(numbers != numbers[:1]))
        if int(codes.max()) - low > 255 or (by_row and 4 * kept > 3 * table.bytes):
            return None
        base = min(low, 0)
        shape = (*self._node.output.shape[:-1], columns // size)
        q = self._gather(self._constant(table, "codes", (codes - base).astype(np.uint8)))
        value = self._make(Cast(DType.F32), [q])
        value = self._make(Reshape((*shape, size)), [value])
        if np.any(zeros != base):
            centre = self._parameters(table, "zeros", zeros - base, by_row, shape)
            value = self._make(Binary("Sub"), [value, centre])
        scale = self._parameters(table, "scales", encoding.scale[numbers], by_row, shape)
        return self._make(Binary("Mul"), [value, scale])

    def put(self, result: Tensor) -> None:
        """The result, in the node's shape, is what the node gave."""
        old = self._node.output
        last = self._graph.make(
            Reshape(old.shape), [result], name=self._node.name, outputs=[old],
            origin=self._node.origin,
        )  # fmt: skip
        self._graph.insert_before(self._node, [*self._nodes, last])
        self._graph.remove(self._node)

    def _half(self, table: Tensor, encoding: Half) -> Tensor | None:
        halves = table.value.astype(encoding.dtype.numpy)
        if halves.astype(np.float32).tobytes() != table.value.tobytes():
            return None
        rows = self._gather(self._constant(table, "halves", halves))
        return self._make(Cast(DType.F32), [rows])

    def _parameters(
        self, table: Tensor, what: str, values: Array, by_row: bool, shape: tuple[int, ...]
    ) -> Tensor:
        """Scales or zero points of the rows that are gathered, as floats [..., blocks, 1]."""
        values = values.astype(np.float32)
        if not by_row:
            return self._constant(table, what, values[0].reshape(-1, 1))
        rows = self._gather(self._constant(table, what, values))
        return self._make(Reshape((*shape, 1)), [rows])

    def _gather(self, table: Tensor) -> Tensor:
        return self._make(self._node.op, [table, self._node.input(1)])

    def _constant(self, table: Tensor, what: str, values: Array) -> Tensor:
        return self._graph.constant(f"{table.name}_{what}", values)

    def _make(self, op: Op, inputs: list[Tensor]) -> Tensor:
        node = self._graph.make(op, inputs, name=self._node.name, origin=self._node.origin)
        self._nodes.append(node)
        return node.output
