"""Layers as makers of rows: which rows of its inputs a layer needs for a row of its output.

A windowed kernel says so itself (`ops.kernel.Window`). Any other layer makes row r of an image
from row r of its inputs, and from nothing else of them, where it is elementwise or a product over
channels: its kernel for one row is the kernel for an image of one row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from nn2wasm.ir import Node, Tensor
from nn2wasm.ops.kernel import Rows, Window
from nn2wasm.plan.call import Call, make_call
from nn2wasm.plan.parts import may_be_in_parts
from nn2wasm.target import Target

ROW_AXIS = 1
"""Of images: [n, rows, columns, channels]."""


@dataclass(frozen=True, slots=True)
class Reach:
    """The rows of an input under output rows.

    Attributes:
        rows: of the input.
        row_bytes: of one.
        extent: rows under a call.
        stride: input rows from one output row to the next.
        pad: rows above the image.
    """

    rows: int
    row_bytes: int
    extent: int = 1
    stride: int = 1
    pad: int = 0

    def first(self, row: int) -> int:
        """The first input row that the call which makes output row `row`, or a later one, needs."""
        return min(max(0, row * self.stride - self.pad), self.rows)

    def end(self, row: int) -> int:
        """Input rows that must be there before the call that begins at output row `row`."""
        return min(max(0, row * self.stride - self.pad + self.extent), self.rows)


@dataclass(frozen=True, slots=True)
class RowForm:
    """A layer made row by row.

    Attributes:
        call: with the kernel of a row.
        rows: of its output.
        row_bytes: of one.
        step: rows that a call makes; the last may make fewer.
        reaches: of the inputs that it reads by rows.
        wholes: inputs computed at run time that each row needs whole.
        leads: bytes by which a row of the output must begin before the same row of an input, where
            they may overlap at all.
    """

    call: Call
    rows: int
    row_bytes: int
    step: int
    reaches: dict[Tensor, Reach]
    wholes: tuple[Tensor, ...] = ()
    leads: dict[Tensor, int] | None = None


def row_form(call: Call, target: Target) -> RowForm | None:
    """How a call makes rows; None where it needs its inputs whole."""
    walk = call.lowering.walk
    if isinstance(walk, Window):
        return _windowed(call, walk)
    node = call.node
    if len(node.outputs) > 1 or not all(_is_image(t) for t in (node.output, *node.activations)):
        return None
    if node.op.elementwise or (isinstance(walk, Rows) and _keeps_pixels(node)):
        return _pointwise(call, target)
    return None


def _windowed(call: Call, walk: Window) -> RowForm | None:
    x, y = call.arguments[0], call.node.output
    if walk.images > 1:
        return None
    in_row = walk.in_row_elements * x.dtype.bytes
    extent = (walk.kernel - 1) * walk.dilation + 1
    reach = Reach(walk.in_rows, in_row, extent, walk.stride, walk.pad)
    out_row = walk.out_row_elements * y.dtype.bytes
    return RowForm(call, walk.out_rows, out_row, walk.call_rows, {x: reach})


def _pointwise(call: Call, target: Target) -> RowForm | None:
    """The form of a layer whose output row r depends on rows r of its inputs."""
    node = call.node
    y, rows = node.output, node.output.shape[ROW_AXIS]
    one_row: dict[Tensor, Tensor] = {y: _row_of(y)}
    wholes = []
    for tensor in node.present_inputs:
        if tensor.is_constant:
            if node.op.elementwise and _row_size(tensor, y) != 1:
                return None
            continue
        if tensor.shape[: ROW_AXIS + 1] == y.shape[: ROW_AXIS + 1]:
            one_row[tensor] = _row_of(tensor)
        elif _row_size(tensor, y) == 1:
            wholes.append(tensor)
        else:
            return None
    reaches = {t: Reach(rows, t.bytes // rows) for t in one_row if t is not y}
    if not reaches:
        return None
    inputs = [tensor and one_row.get(tensor, tensor) for tensor in node.inputs]
    row_node = Node(node.name, node.op, inputs, [one_row[y]], node.origin)
    of_a_row = make_call(call.index, row_node, target)
    leads: dict[Tensor, int] = {}
    for index, lead in of_a_row.lowering.lead.items():
        if (x := node.input(index)) in reaches and not may_be_in_parts(of_a_row):
            leads[x] = max(lead, leads.get(x, 0))
    form = replace(of_a_row, node=node, row_node=row_node)
    return RowForm(form, rows, y.bytes // rows, 1, reaches, tuple(wholes), leads)


def _is_image(tensor: Tensor) -> bool:
    """Whether it is one image whose rows mean the same."""
    by_row = tensor.quant is not None and tensor.quant.axis == ROW_AXIS
    return len(tensor.shape) == 4 and tensor.shape[0] == 1 and not by_row


def _keeps_pixels(node: Node) -> bool:
    """Whether a product over the last axis leaves all others as they are."""
    return len(node.activations) == 1 and node.input(0).shape[:-1] == node.output.shape[:-1]


def _row_size(tensor: Tensor, y: Tensor) -> int:
    """Rows of a tensor that is broadcast to the output."""
    missing = len(y.shape) - len(tensor.shape)
    return 1 if missing > ROW_AXIS else tensor.shape[ROW_AXIS - missing]


def _row_of(tensor: Tensor) -> Tensor:
    shape = (*tensor.shape[:ROW_AXIS], 1, *tensor.shape[ROW_AXIS + 1 :])
    return Tensor(tensor.name, tensor.dtype, shape, tensor.quant)
