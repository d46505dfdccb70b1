"""What ONNX's RNN, GRU and LSTM say, checked: operands in one form, attributes, directions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import Array, DType, QuantParams, Shape, Tensor
from nn2wasm.ops.activations import Activation, read_activations
from nn2wasm.ops.elementwise import Binary
from nn2wasm.ops.joining import Concat
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.slicing import Slice

DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}


@dataclass(frozen=True, slots=True)
class Weights:
    """Rows of gates: floats, or integers of 8 bits and the scale of each row.

    Attributes:
        matrix: [directions, gates · hidden, …].
        scale: [directions, gates · hidden], None beside floats.
    """

    matrix: Tensor
    scale: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Steps:
    """A recurrent node's operands; shapes as in `ops.recurrent_cell.INPUTS`.

    Attributes:
        x: the sequence.
        w: weights of the inputs.
        r: weights of the state.
        b: ONNX's biases, [directions, 2 · gates · hidden], None for zeros.
        p: peepholes, None where there are none.
        lengths: steps of each sequence, None where all are whole.
        h0: the state that the first step gets, None for zeros.
        c0: the cell that the first step gets.
        direction: "forward", "reverse" or "bidirectional".
        batch_first: ONNX's layout 1.
        clip: bound of what activations get.
        activations: of each direction.
    """

    x: Tensor
    w: Weights
    r: Weights
    b: Tensor | None
    p: Tensor | None
    lengths: Tensor | None
    h0: Tensor | None
    c0: Tensor | None
    direction: str
    batch_first: bool
    clip: float
    activations: list[tuple[Activation, ...]]

    @property
    def directions(self) -> int:
        return self.r.matrix.shape[0]

    @property
    def hidden(self) -> int:
        return self.r.matrix.shape[2]


def read_steps(node: OnnxNode, gates: int, defaults: tuple[str, ...]) -> Steps:
    """Reads a node; every shape is compared with those of x, W and R.

    Args:
        node: RNN, GRU or LSTM.
        gates: rows of gates in W and R.
        defaults: a direction's activations where the node names none.
    """
    w, r = read_weights(node, 1), read_weights(node, 2)
    return check_steps(node, w, r, gates, defaults)


def check_steps(
    node: OnnxNode, w: Weights, r: Weights, gates: int, defaults: tuple[str, ...]
) -> Steps:
    """The same for weights that have been read."""
    x = node.input(0)
    if x.dtype is not DType.F32:
        raise node.unsupported(f"elements of type {x.dtype.value}; f32 is compiled")
    if len(x.shape) != 3 or len(w.matrix.shape) != 3 or len(r.matrix.shape) != 3:
        raise node.invalid("its input or weights have not three axes")
    direction = node.attr_str("direction", "forward").lower()
    if direction not in DIRECTIONS:
        raise node.invalid(f"direction {direction[:40]!r}")
    directions, hidden = DIRECTIONS[direction], r.matrix.shape[2]
    if node.has("hidden_size") and node.attr_int("hidden_size", 0) != hidden:
        raise node.invalid(f"hidden_size {node.attr_int('hidden_size', 0)}, R has {hidden}")
    layout = node.attr_int("layout", 0)
    if layout not in (0, 1):
        raise node.invalid(f"layout {layout}; ONNX has 0 and 1")
    batch = x.shape[0 if layout else 1]
    rows = gates * hidden
    _expect(node, w.matrix, (directions, rows, x.shape[2]), "W")
    _expect(node, r.matrix, (directions, rows, hidden), "R")
    state = (batch, directions, hidden) if layout else (directions, batch, hidden)
    clip = node.attr_float("clip", math.inf)
    if not clip > 0:
        raise node.invalid(f"clip {clip}")
    is_lstm = gates == 4
    lengths = node.optional(4)
    if lengths is not None and lengths.dtype is not DType.S32:
        raise node.invalid(f"its sequence_lens are {lengths.dtype.value}; ONNX has s32")
    if lengths is not None:
        _expect(node, lengths, (batch,), "sequence_lens")
    return Steps(
        x, w, r,
        b=_operand(node, 3, (directions, 2 * rows), "B"),
        p=_operand(node, 7, (directions, 3 * hidden), "P") if is_lstm else None,
        lengths=None if lengths is None or _all_whole(lengths, x, layout) else lengths,
        h0=_operand(node, 5, state, "initial_h"),
        c0=_operand(node, 6, state, "initial_c") if is_lstm else None,
        direction=direction,
        batch_first=bool(layout),
        clip=clip,
        activations=read_activations(node, defaults, directions),
    )  # fmt: skip


def _all_whole(lengths: Tensor, x: Tensor, layout: int) -> bool:
    return lengths.data is not None and bool((lengths.data >= x.shape[1 if layout else 0]).all())


def _operand(node: OnnxNode, index: int, shape: Shape, what: str) -> Tensor | None:
    """A float operand that may be left out; zeros are as good as none."""
    tensor = node.optional(index)
    if tensor is None:
        return None
    if tensor.dtype is not DType.F32:
        raise node.unsupported(f"{what} of type {tensor.dtype.value}; f32 is compiled")
    _expect(node, tensor, shape, what)
    return None if tensor.data is not None and not tensor.data.any() else tensor


def _expect(node: OnnxNode, tensor: Tensor, shape: Shape, what: str) -> None:
    if tensor.shape != shape:
        raise node.invalid(f"{what} has shape {list(tensor.shape)}, expected {list(shape)}")
    if 0 in shape:
        raise node.invalid(f"{what} has no elements")


# -- weights -------------------------------------------------------------------------------


def read_weights(node: OnnxNode, index: int) -> Weights:
    """The weights at an input, as integers where DequantizeLinear makes them of such."""
    tensor = node.input(index)
    integers = node.stored(tensor)
    if integers is not None and integers.quant is not None and len(integers.shape) == 3:
        packed = _stored_weights(node, integers.value, integers.quant)
        if packed is not None:
            return packed
    if tensor.dtype is not DType.F32:
        raise node.unsupported(f"weights of type {tensor.dtype.value}; f32 is compiled")
    return Weights(tensor)


def _stored_weights(node: OnnxNode, integers: Array, quant: QuantParams) -> Weights | None:
    if quant.axis not in (None, 0, 1):
        return None
    aligned = [1, 1]
    if quant.axis is not None:
        aligned[quant.axis] = -1
    scale, zero_point = quant.scale.reshape(aligned), quant.zero_point.reshape(aligned)
    return _byte_weights(node, integers, scale, zero_point)


def _byte_weights(
    node: OnnxNode, integers: Array, scale: Array, zero_point: Array
) -> Weights | None:
    """[directions, rows, …] as bytes without zero point; None where bytes cannot hold them.

    Scales and zero points are [directions, rows], or 1 along either axis.
    """
    if integers.dtype.itemsize != 1:
        return None
    centred = integers.astype(np.int32) - zero_point.astype(np.int32)[..., None]
    if centred.size and (centred.min() < -128 or centred.max() > 127):
        return None
    scales = np.broadcast_to(scale, integers.shape[:2])
    return Weights(
        node.value(centred.astype(np.int8), "bytes"),
        node.value(np.ascontiguousarray(scales, np.float32), "scale"),
    )


def read_steps_of_bytes(node: OnnxNode, gates: int, defaults: tuple[str, ...]) -> Steps:
    """Reads com.microsoft DynamicQuantizeLSTM: its matrices are turned, and scales are inputs.

    That operator rounds inputs and states to 8 bits, with a scale taken anew at each step; here
    they stay floats, so that results are nearer to those of the network before quantization.
    """
    w, r = (_turned_weights(node, index, 6 + 2 * index) for index in (1, 2))
    return check_steps(node, w, r, gates, defaults)


def _turned_weights(node: OnnxNode, index: int, scale_index: int) -> Weights:
    """[directions, inputs, rows] with scales [directions] or [directions, rows]."""
    integers, quant = node.constant(index, "weights"), []
    if integers.ndim != 3 or integers.dtype.itemsize != 1:
        raise node.invalid("weights that are not 8-bit integers of three axes")
    turned = np.ascontiguousarray(integers.transpose(0, 2, 1))
    for position, what in ((scale_index, "scale"), (scale_index + 1, "zero point")):
        values = np.asarray(node.constant(position, what))
        if values.shape not in ((turned.shape[0],), turned.shape[:2]):
            raise node.invalid(f"a {what} of shape {list(values.shape)}")
        quant.append(values.reshape(turned.shape[0], -1))
    scale, zero_point = quant
    if scale.dtype != np.float32 or not (np.isfinite(scale).all() and (scale > 0).all()):
        raise node.invalid("scales that are not positive float32")
    if zero_point.dtype != integers.dtype:
        raise node.invalid("a zero point of another type than its weights")
    packed = _byte_weights(node, turned, scale, zero_point)
    if packed is not None:
        return packed
    centred = turned.astype(np.float32) - zero_point.astype(np.float32)[..., None]
    return Weights(node.value(centred * scale[..., None], "weights"))


# -- biases --------------------------------------------------------------------------------


def whole_bias(node: OnnxNode, b: Tensor | None, rows: int) -> Tensor | None:
    """Both biases of all gates, added."""
    if b is None:
        return None
    first, second = part(node, b, 1, 0, rows), part(node, b, 1, rows, rows)
    return node.add(Binary("Add"), [first, second], suffix="bias")


def gru_bias(node: OnnxNode, b: Tensor | None, hidden: int) -> tuple[Tensor | None, Tensor | None]:
    """The biases of a GRU that resets after its product: that of all gates, and the one inside."""
    if b is None:
        return None, None
    inside = part(node, b, 1, 5 * hidden, hidden)
    zero = node.value(np.zeros((b.shape[0], hidden), np.float32), "zero")
    outer = [part(node, b, 1, 3 * hidden, 2 * hidden), zero]
    second = node.add(Concat(1), outer, suffix="outer_bias")
    first = part(node, b, 1, 0, 3 * hidden)
    return node.add(Binary("Add"), [first, second], suffix="bias"), inside


def part(node: OnnxNode, tensor: Tensor, axis: int, begin: int, size: int) -> Tensor:
    """Elements begin … begin + size of an axis."""
    rank = len(tensor.shape)
    starts = tuple(begin if i == axis else 0 for i in range(rank))
    sizes = tuple(size if i == axis else n for i, n in enumerate(tensor.shape))
    return node.add(Slice(starts, sizes, (1,) * rank), [tensor], suffix="part")
