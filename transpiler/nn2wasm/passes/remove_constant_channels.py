"""Removes channels that are provably constant, or that nobody looks at; the bytes stay the same.

A channel whose interval of values (`passes.channel_ranges`) is a single number adds the same to
every sum that reads it: (v − zero_point) · Σw goes into the reader's bias, its weights go, and what
computed it goes.

Tensors tied by ops that keep channels apart (depthwise, pooling, tables, sums of equal shape,
views) lose a channel together. Rules, for each channel of such a family:

1. every reader outside the family is a Conv of one group or a Gemm;
2. each of them finds the channel constant, and equal to the zero point where the reader pads
(outside
   the image it reads zero points), or multiplies it with zeros alone;
3. every writer outside the family is a Conv of one group or a Gemm: no input or output of the
network;
4. one channel of the family is kept.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nn2wasm.ir import Array, DType, Graph, Node, QuantParams, Tensor
from nn2wasm.ops.conv import Conv
from nn2wasm.ops.elementwise import Binary
from nn2wasm.ops.gemm import Gemm
from nn2wasm.ops.linear import Linear
from nn2wasm.ops.pool import AveragePool, MaxPool
from nn2wasm.ops.shape import Reshape
from nn2wasm.ops.table import Table
from nn2wasm.passes.base import PassOptions
from nn2wasm.passes.channel_ranges import Range, channel_ranges, linear_weights
from nn2wasm.passes.edges import Edges


def remove_constant_channels(graph: Graph, options: PassOptions) -> int:
    """Returns the number of channels removed."""
    if not any(tensor.dtype is DType.S8 for node in graph.nodes for tensor in node.outputs):
        return 0
    edges, ranges = Edges(graph), channel_ranges(graph)
    count = 0
    for family in reversed(_families(graph)):  # what a reader no longer computes, it need not read
        keep = _kept(family, edges, ranges)
        if keep is not None:
            _round_up(keep, options.channel_multiple)
        if keep is not None and not keep.all():
            _shrink(graph, family, edges, ranges, keep)
            count += int((~keep).sum())
    return count


def _families(graph: Graph) -> list[list[Tensor]]:
    """Activations grouped by the ops that tie their channels together."""
    parent: dict[Tensor, Tensor] = {}

    def root(tensor: Tensor) -> Tensor:
        while parent.setdefault(tensor, tensor) is not tensor:
            tensor = parent[tensor]
        return tensor

    order = [*graph.inputs, *(tensor for node in graph.nodes for tensor in node.outputs)]
    for tensor in order:
        root(tensor)
    for node in graph.nodes:
        if _ties(node):
            for tensor in node.activations:
                parent[root(tensor)] = root(node.output)
    families: dict[Tensor, list[Tensor]] = {}
    for tensor in order:
        families.setdefault(root(tensor), []).append(tensor)
    return list(families.values())


def _ties(node: Node) -> bool:
    """Whether channel c of the output depends on channel c of the inputs alone, and on nothing
    else.
    """
    op = node.op
    if any(t.dtype is not DType.S8 or not t.shape for t in [*node.activations, node.output]):
        return False
    if isinstance(op, Conv):
        return op.groups > 1 and op.groups == node.input(1).shape[0] == node.output.shape[-1]
    if isinstance(op, Binary):
        return len(node.activations) == 2 and all(
            t.shape == node.output.shape for t in node.activations
        )
    if isinstance(op, Reshape):
        return op.shape[-1] == node.input(0).shape[-1]
    return isinstance(op, Table | MaxPool | AveragePool)


def _mixes(node: Node) -> bool:
    """A linear op on integers that reads all channels of its input."""
    op = node.op
    if not (isinstance(op, Gemm) or (isinstance(op, Conv) and op.groups == 1)):
        return False
    x, w = node.input(0), node.input(1)
    return x.dtype is DType.S8 and w.is_constant and x.quant is not None and w.quant is not None


def _kept(family: list[Tensor], edges: Edges, ranges: dict[Tensor, Range]) -> Array | None:
    """Which channels stay, bool [channels]; None where the family cannot change."""
    channels = {tensor.shape[-1] if tensor.shape else 0 for tensor in family}
    if len(channels) != 1 or any(tensor.dtype is not DType.S8 for tensor in family):
        return None
    keep = np.zeros(channels.pop(), np.bool_)
    for tensor in family:
        writer = edges.producer(tensor)
        if writer is None or edges.is_output(tensor) or not (_ties(writer) or _mixes(writer)):
            return None
        for reader in edges.readers(tensor):
            if _ties(reader):
                continue
            if not _mixes(reader) or reader.input(0) is not tensor:
                return None
            keep |= ~_removable(reader, ranges[tensor])
    if not keep.any():
        keep[:1] = True
    return keep


def _round_up(keep: Array, multiple: int) -> None:
    """Keeps further channels until their number is a multiple: vectors without a rest."""
    missing = -int(keep.sum()) % multiple
    keep[np.flatnonzero(~keep)[:missing]] = True


def _removable(reader: Node, values: Range) -> Array:
    """The channels that a linear op can do without, bool [channels]."""
    x, op = reader.input(0), reader.op
    assert x.quant is not None
    constant = values[0] == values[1]
    if isinstance(op, Conv) and op.geometry.is_padded:
        constant &= values[0] == int(x.quant.zero_point)
    ignored = ~np.any(linear_weights(reader), axis=(0, 1))
    return np.asarray(constant | ignored)


def _shrink(
    graph: Graph, family: list[Tensor], edges: Edges, ranges: dict[Tensor, Range], keep: Array
) -> None:
    """Drops the channels from the family's tensors, its writers and its readers."""
    nodes: dict[Node, None] = {}
    for tensor in family:
        writer = edges.producer(tensor)
        assert writer is not None
        nodes[writer] = None
        for reader in edges.readers(tensor):
            if not _ties(reader):
                _forget_inputs(graph, reader, ranges[tensor], keep)
    for node in nodes:
        if isinstance(node.op, Linear):
            _forget_outputs(graph, node, keep)
        elif isinstance(node.op, Reshape):
            node.op = Reshape((*node.op.shape[:-1], int(keep.sum())))
    for tensor in family:
        tensor.shape = (*tensor.shape[:-1], int(keep.sum()))
        tensor.source = None
        ranges[tensor] = (ranges[tensor][0][keep], ranges[tensor][1][keep])


def _forget_inputs(graph: Graph, reader: Node, values: Range, keep: Array) -> None:
    """Takes input channels from a linear op; what they added goes into its bias."""
    op, x, w = reader.op, reader.input(0), reader.input(1)
    assert x.quant is not None
    weights = linear_weights(reader)
    centred = np.where(values[0] == values[1], values[0] - int(x.quant.zero_point), 0)
    added = (weights * np.where(keep, 0, centred)).sum((1, 2))
    bias = reader.optional(2)
    old = np.zeros(weights.shape[0], np.int64) if bias is None else bias.value.reshape(-1)
    total = (old.astype(np.int64) + added).astype(np.int32)
    axis = (1 if op.trans_w else 0) if isinstance(op, Gemm) else 1
    data = np.compress(keep, w.value, axis)
    stem = f"{reader.name}_bias" if bias is None else bias.name
    reader.inputs = [x, graph.constant(w.name, data, w.quant), graph.constant(stem, total)]


def _forget_outputs(graph: Graph, writer: Node, keep: Array) -> None:
    """Takes output channels from a linear op: their weights, scales and biases."""
    op, w, bias = writer.op, writer.input(1), writer.optional(2)
    assert isinstance(op, Linear)
    data = np.compress(keep, w.value, op.weight_axis)
    quant = w.quant
    if quant is not None and quant.axis is not None:
        quant = QuantParams(quant.scale[keep], quant.zero_point[keep], quant.axis)
    writer.inputs[1] = graph.constant(w.name, data, quant)
    if bias is not None:
        writer.inputs[2] = graph.constant(bias.name, bias.value.reshape(-1)[keep])
    if isinstance(op, Conv) and op.groups > 1:
        writer.op = replace(op, groups=int(keep.sum()))
